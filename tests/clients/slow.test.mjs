// The official client on a slow line: its pong waits behind a picture that takes longer than all heartbeats together.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { lab } from "./lib/config.mjs";
import { daemonOnly, startDaemon } from "./lib/daemon.mjs";
import { relay } from "./lib/relay.mjs";
import { Clients, TRANSPORTS } from "./lib/socketio.mjs";
import { until } from "./lib/wait.mjs";

const PICTURE_BYTES = 700_000;
const BYTES_PER_SECOND = 150_000;

describe("a slow line", { skip: daemonOnly }, () => {
  const clients = new Clients();
  let daemon;
  let line;
  before(async () => {
    daemon = await startDaemon(lab({ shards: 2, ping: [800, 800] }));
    line = await relay(daemon.port, { bytesPerSecond: BYTES_PER_SECOND });
  });
  afterEach(() => clients.closeAll());
  after(async () => {
    line?.close();
    await daemon?.stop();
  });

  for (const [name, options] of Object.entries(TRANSPORTS)) {
    test(`brings a picture, ${name}`, async () => {
      const socket = await clients.connected(line.url, options);
      const ended = new Promise((_, reject) => socket.once("disconnect", (reason) => reject(new Error(reason))));
      // A client that upgrades asks for nothing while a POST of its is on its way, and so hears no ping: it ends by itself.
      await until("it has its last transport", () => socket.io.engine.transport.name === options.transports.at(-1));
      const began = Date.now();
      const picture = Buffer.alloc(PICTURE_BYTES, 7);
      const answer = await Promise.race([ended, socket.timeout(20_000).emitWithAck("message-with-ack", picture)]);
      assert.ok(picture.equals(answer));
      assert.ok(Date.now() - began > 3_200, "twice interval and timeout together");
    });
  }
});
