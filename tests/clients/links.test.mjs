// WebSockets of clients that speak no Socket.IO, by a WebSocket library that is not ours: lab echoes them at /lab/link.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { WebSocket } from "ws";
import { lab } from "./lib/config.mjs";
import { daemonOnly, startDaemon } from "./lib/daemon.mjs";
import { request } from "./lib/http.mjs";
import { Queue, until, within } from "./lib/wait.mjs";

describe("links", { skip: daemonOnly }, () => {
  let daemon;
  before(async () => {
    daemon = await startDaemon(lab({ shards: 2 }));
  });
  after(() => daemon?.stop());

  const dial = (query, ...options) => new WebSocket(`ws://127.0.0.1:${daemon.port}/lab/link?${query}`, ...options);
  const event = (socket, name) => within(name, new Promise((done) => socket.once(name, (...values) => done(values))));

  /** An open link, and what it hears. */
  async function open(query, ...options) {
    const socket = dial(query, ...options);
    const heard = new Queue();
    socket.on("message", (data, isBinary) => heard.push(isBinary ? data : data.toString()));
    await event(socket, "open");
    return { socket, heard };
  }

  /** How a link is turned away. */
  async function refused(query) {
    const socket = dial(query);
    const [, response] = await event(socket, "unexpected-response");
    let body = "";
    for await (const piece of response) body += piece;
    return { status: response.statusCode, body };
  }

  for (const query of ["", "home=a", "home=b"]) {
    test(`messages come back, ${query || "at home where it is"}`, async () => {
      const { socket, heard } = await open(query);
      for (const text of ["hello", "", "käse 𝄞", "x".repeat(200_000)]) {
        socket.send(text);
        assert.equal(await heard.next(), text);
      }
      socket.send(Buffer.from([0, 255, 1]));
      assert.deepEqual(await heard.next(), Buffer.from([0, 255, 1]));
      ["in ", "three ", "pieces"].forEach((text, at) => socket.send(text, { fin: at === 2 }));
      assert.equal(await heard.next(), "in three pieces");
      for (let number = 0; number < 1_000; number += 1) socket.send(`${number}`);
      for (let number = 0; number < 1_000; number += 1) assert.equal(await heard.next(), `${number}`);
      socket.ping("are you there?");
      assert.equal((await event(socket, "pong"))[0].toString(), "are you there?");
      socket.send("close");
      const [code, reason] = await event(socket, "close");
      assert.deepEqual([code, reason.toString()], [4000, "asked for"]);
    });
  }

  test("the home chooses a subprotocol among those offered", async () => {
    const { socket } = await open("", ["json-rpc", "other"]);
    assert.equal(socket.protocol, "json-rpc");
    socket.close(1000);
    assert.equal((await event(socket, "close"))[0], 1000);
  });

  test("a client that answers pings stays, without a message", async () => {
    const { socket, heard } = await open("ping=100&home=a");
    for (let pings = 0; pings < 10; pings += 1) await event(socket, "ping");
    socket.send("still here");
    assert.equal(await heard.next(), "still here");
    socket.terminate();
  });

  test("a client that is refused reads the status and the words", async () => {
    assert.deepEqual(await refused("refuse=403"), { status: 403, body: "not you" });
    assert.deepEqual(await refused("refuse=401&home=b"), { status: 401, body: "not you" });
    const { status, body } = await refused("home=");
    assert.deepEqual([status, JSON.parse(body).error.code], [400, "VALIDATION"]);
  });

  test("a message over the limit closes with 1009, and operators read why", async () => {
    const { socket } = await open("max=100&home=a");
    socket.send("x".repeat(101));
    assert.equal((await event(socket, "close"))[0], 1009);
    const row = async () => {
      const { links } = (await request(daemon.adminPort, "/health/detailed")).json();
      return links.find(({ app, kind }) => app === "lab" && kind === "arrived");
    };
    const { closed } = await until("it is counted", async () => {
      const links = await row();
      return links?.closed.too_large === 1 && links;
    });
    assert.deepEqual(closed, { too_large: 1, cut: 1, peer: 1, ours: 5 });
    const { refused: turnedAway, open: left } = await row();
    assert.deepEqual([turnedAway, left], [2, 0]);
  });

  test("a path of links is no page", async () => {
    const answer = await request(daemon.port, "/lab/link");
    assert.deepEqual([answer.status, answer.headers.upgrade, answer.json().error.code], [426, "websocket", "UPGRADE_REQUIRED"]);
  });
});
