// nginx and haproxy in front (F-22, T-16): clients are served through each as without, the daemon knows whom it serves, its
// refusals arrive as what they are, and no request hides in another.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, afterEach, before, describe, test } from "node:test";
import { proxied } from "./lib/config.mjs";
import { daemonOnly, startDaemon } from "./lib/daemon.mjs";
import { packets } from "./lib/engine.mjs";
import { request } from "./lib/http.mjs";
import { mint } from "./lib/jwt.mjs";
import { startProxy } from "./lib/proxy.mjs";
import { Clients, TRANSPORTS, once } from "./lib/socketio.mjs";
import { upgradeKeepsMessages } from "./lib/upgrade.mjs";
import { sleep, until, within } from "./lib/wait.mjs";

const HANDSHAKE = "/socket.io/?EIO=4&transport=polling";
const TEXT = { "content-type": "text/plain;charset=UTF-8" };
const OCTETS = { "content-type": "application/octet-stream" };
const UNKNOWN = `${HANDSHAKE}&sid=aaaaaaaaaaaaaaaaaaaa`;
const ANNOUNCED = "proxy_protocol = true";
/** Interval and timeout of the pings of [`proxied`]. */
const PONG_LIMIT_MS = 2_800;
const SERVER = "server one 127.0.0.1:3000";

/** Each: the proxy, what is other than in its file, and what is other at the daemon's listener. */
const SETUPS = {
  "nginx, plain": { kind: "nginx", changes: [["    keepalive 64;\n", ""], ['""      "";', '""      close;'], ["proxy_buffering off;", ""]] },
  "nginx, kept connections behind": { kind: "nginx", changes: [["proxy_buffering off;", ""]] },
  "nginx, buffering off": { kind: "nginx", changes: [["proxy_buffering off;", "proxy_buffering off; proxy_request_buffering off;"]] },
  "nginx, TLS and HTTP/2": { kind: "nginx", tls: true },
  "haproxy, plain": { kind: "haproxy", changes: [["option forwardfor", "option forwardfor\n    option http-server-close"]] },
  "haproxy, kept connections behind": { kind: "haproxy" },
  "haproxy, TLS and HTTP/2": { kind: "haproxy", tls: true },
  "haproxy, send-proxy": { kind: "haproxy", changes: [[SERVER, `${SERVER} send-proxy`]], listener: ANNOUNCED },
  "haproxy, send-proxy-v2, TLS and HTTP/2": { kind: "haproxy", tls: true, changes: [[SERVER, `${SERVER} send-proxy-v2`]], listener: ANNOUNCED },
};

const clients = new Clients();
afterEach(() => clients.closeAll());

/** A client with a token, over the proxy. */
const client = (proxy, options) =>
  clients.connected(proxy.url, { ca: proxy.ca, auth: { token: mint({ sub: "ana", role: "admin" }) }, ...options });

/** A polling session by hand, over whatever sends its requests. */
async function polling(front, headers = {}) {
  const answer = await front.request(HANDSHAKE, { headers });
  assert.equal(answer.status, 200, answer.body);
  const { sid } = JSON.parse(packets(answer.body)[0].slice(1));
  return {
    sid,
    get: () => front.request(`${HANDSHAKE}&sid=${sid}`),
    post: (body) => front.request(`${HANDSHAKE}&sid=${sid}`, { method: "POST", headers: TEXT, body }),
  };
}

/** Status and error code of a POST that is refused. */
async function refusal(front, path, body) {
  const answer = await front.request(path, { method: "POST", headers: TEXT, body });
  return [answer.status, answer.status === 400 ? JSON.parse(answer.body).code : answer.body];
}

for (const [name, setup] of Object.entries(SETUPS)) {
  describe(name, { skip: daemonOnly }, () => {
    let daemon;
    let proxy;
    before(async () => {
      daemon = await startDaemon(proxied({ listener: setup.listener }));
      proxy = await startProxy(setup.kind, [daemon], setup);
    });
    after(async () => {
      await proxy?.stop();
      await daemon?.stop();
    });

    for (const [transport, options] of Object.entries(TRANSPORTS)) {
      test(`${transport}: events, acks, binary and half a megabyte come back`, async () => {
        const socket = await client(proxy, options);
        const back = once(socket, "message-back");
        socket.emit("message", 1, "2", { 3: [true, null] }, "é𝄞");
        assert.deepEqual(await back, [1, "2", { 3: [true, null] }, "é𝄞"]);
        const answers = await Promise.all(Array.from({ length: 50 }, (_, index) =>
          socket.timeout(5_000).emitWithAck("message-with-ack", index)));
        assert.deepEqual(answers, [...Array(50).keys()]);
        const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
        assert.deepEqual(Buffer.from(await socket.timeout(5_000).emitWithAck("message-with-ack", bytes)), bytes);
        const long = "x".repeat(500_000);
        assert.equal(await socket.timeout(10_000).emitWithAck("message-with-ack", long), long);
      });
    }

    test("clients that say nothing live on by their pongs", async () => {
      const silent = await Promise.all(Object.values(TRANSPORTS).map((options) => client(proxy, options)));
      await sleep(PONG_LIMIT_MS + 500);
      for (const socket of silent) assert.equal(await socket.timeout(5_000).emitWithAck("message-with-ack", "still"), "still");
      const names = silent.map((socket) => socket.io.engine.transport.name);
      assert.deepEqual(names, Object.values(TRANSPORTS).map(({ transports }) => transports.at(-1)));
    });

    upgradeKeepsMessages(() => client(proxy, TRANSPORTS["polling, then upgraded"]));

    test("a client that hangs up is gone", async () => {
      const socket = await client(proxy, { transports: ["websocket"] });
      socket.io.engine.close();
      await until("its end is in the log", () => /"closed"/.test(daemon.log) && daemon.log.includes("transport_"));
    });

    const fronts = { "HTTP/1": () => ({ ...proxy, request: (path, options) => proxy.request(path, { from: "127.0.0.9", ...options }), close() {} }) };
    if (setup.tls) fronts["HTTP/2"] = () => proxy.h2({ from: "127.0.0.9" });
    for (const [version, front] of Object.entries(fronts)) {
      test(`${version}: a session by polling counts for its client, whatever that says it were`, async () => {
        const from = await front();
        const told = setup.listener === ANNOUNCED ? {} : { "x-forwarded-for": "192.0.2.66", forwarded: "for=192.0.2.67;proto=http" };
        const session = await polling(from, told);
        assert.equal((await session.post("40")).status, 200);
        assert.equal((await session.post("1")).status, 200);
        await until("the client is in the log", () => daemon.log.includes('"ip":"127.0.0.9"'));
        assert.ok(!daemon.log.includes("192.0.2."), "and nobody else");
        from.close();
      });

      test(`${version}: answers to bodies that nobody reads arrive as what they are, every time`, async () => {
        const from = await front();
        const session = await polling(from);
        for (let round = 0; round < 6; round++) {
          assert.deepEqual(await refusal(from, UNKNOWN, "x".repeat(1_200_000)), [400, 1], `unknown sid, round ${round}`);
          assert.equal((await session.post("6" + "x".repeat(1_200_000))).status, 413, `too large, round ${round}`);
          assert.equal((await session.post("3")).status, 200, "the session lives");
        }
        const octets = await from.request(`${HANDSHAKE}&sid=${session.sid}`, { method: "POST", headers: OCTETS, body: "x".repeat(900_000) });
        assert.equal(octets.status, 400);
        assert.equal((await from.request("/health/live")).status, 200, "the node is still in rotation");
        from.close();
      });
    }
  });
}

describe("two nodes behind nginx", { skip: daemonOnly }, () => {
  let daemons;
  let proxy;
  const start = async (changes) => {
    daemons = await Promise.all([startDaemon(proxied()), startDaemon(proxied())]);
    proxy = await startProxy("nginx", daemons, { changes });
  };
  afterEach(async () => {
    await proxy?.stop();
    for (const daemon of daemons ?? []) await daemon.stop({ mayHaveEnded: true });
  });

  test("a client meets the same node again, on every transport", async () => {
    await start([]);
    for (const options of Object.values(TRANSPORTS)) {
      const socket = await client(proxy, options);
      assert.equal(await socket.timeout(5_000).emitWithAck("message-with-ack", "x"), "x");
    }
  });

  test("six large bodies with invented sids take no node out of rotation", async () => {
    await start([["    hash $remote_addr consistent;\n", ""]]);
    for (let round = 0; round < 6; round++) {
      assert.deepEqual(await refusal(proxy, UNKNOWN, "x".repeat(1_200_000)), [400, 1], `round ${round}`);
    }
    for (let round = 0; round < 10; round++) {
      const socket = await client(proxy, { transports: ["websocket"] });
      assert.equal(await socket.timeout(5_000).emitWithAck("message-with-ack", round), round);
    }
    const opened = async ({ adminPort }) =>
      Number(/^siod_connections_opened_total\{transport="websocket"\} (\d+)$/m.exec((await request(adminPort, "/metrics")).body)[1]);
    const each = await Promise.all(daemons.map(opened));
    assert.ok(each.every((count) => count >= 4), `sessions of each node: ${each}`);
  });

  test("one that ends is replaced by the other", async () => {
    await start([["    hash $remote_addr consistent;\n", ""]]);
    await daemons[0].kill();
    for (let round = 0; round < 10; round++) {
      const socket = await client(proxy, { transports: ["websocket"] });
      assert.equal(await socket.timeout(5_000).emitWithAck("message-with-ack", round), round);
    }
  });
});

describe("no request hides in another (T-16)", { skip: daemonOnly }, () => {
  const HIDDEN = "GET /health/hidden HTTP/1.1\r\nHost: x\r\n\r\n";
  const post = (fields, body) => `POST /socket.io/?EIO=4&transport=polling&sid=nobody HTTP/1.1\r\nHost: x\r\n${fields}\r\n${body}`;
  const chunk = `${HIDDEN.length.toString(16)}\r\n${HIDDEN}\r\n0\r\n\r\n`;
  const ATTEMPTS = {
    "both lengths": post(`Content-Length: 5\r\nTransfer-Encoding: chunked\r\n`, `0\r\n\r\n${HIDDEN}`),
    "both lengths, the other way round": post(`Transfer-Encoding: chunked\r\nContent-Length: ${chunk.length}\r\n`, chunk),
    "two lengths": post(`Content-Length: 0\r\nContent-Length: ${HIDDEN.length}\r\n`, HIDDEN),
    "a length with a sign": post(`Content-Length: +${HIDDEN.length}\r\n`, HIDDEN),
    "a list of lengths": post(`Content-Length: 0, ${HIDDEN.length}\r\n`, HIDDEN),
    "a coding that is none": post("Transfer-Encoding: xchunked\r\n", `0\r\n\r\n${HIDDEN}`),
    "a coding with a space": post(`Transfer-Encoding : chunked\r\nContent-Length: 5\r\n`, `0\r\n\r\n${HIDDEN}`),
    "a coding behind a tab": post(`Transfer-Encoding:\tchunked\r\nContent-Length: 5\r\n`, `0\r\n\r\n${HIDDEN}`),
    "two codings": post("Transfer-Encoding: chunked, identity\r\n", `0\r\n\r\n${HIDDEN}`),
    "a chunk with a bare LF": post("Transfer-Encoding: chunked\r\n", `0\n\n${HIDDEN}`),
    "a folded header": post(`X: y\r\n Content-Length: ${HIDDEN.length}\r\n`, HIDDEN),
    "an upgrade that fails": `GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n${HIDDEN}`,
  };

  for (const kind of ["nginx", "haproxy"]) {
    test(`through ${kind}`, async () => {
      const daemon = await startDaemon(proxied());
      const proxy = await startProxy(kind, [daemon]);
      try {
        for (const [what, bytes] of Object.entries(ATTEMPTS)) {
          const answer = await exchange(proxy.port, bytes);
          // A proxy may see a second request where its client wrote one, but then it is the client's who asked.
          const statuses = [...answer.matchAll(/HTTP\/1\.[01] (\d{3})/g)].map(([, status]) => Number(status));
          assert.ok(statuses.length >= 1 && statuses.length <= 2, `${what}: ${statuses}`);
          assert.ok(!statuses.includes(502) && !statuses.includes(101), `${what}: ${answer}`);
          // Nothing is left on a kept connection for whoever comes next.
          for (let round = 0; round < 4; round++) {
            const health = await proxy.request("/health/live");
            assert.deepEqual([health.status, JSON.parse(health.body).status], [200, "ok"], what);
          }
        }
      } finally {
        await proxy.stop();
        await daemon.stop();
      }
    });
  }

  /** All that is answered to some bytes within half a second of silence. */
  function exchange(port, bytes) {
    const answer = new Promise((resolve, reject) => {
      const socket = connect(port, "127.0.0.1", () => socket.write(bytes));
      let text = "";
      let quiet = setTimeout(done, 3_000);
      function done() {
        clearTimeout(quiet);
        socket.destroy();
        resolve(text);
      }
      socket.on("data", (data) => {
        text += data.toString("latin1");
        clearTimeout(quiet);
        quiet = setTimeout(done, 500);
      });
      socket.on("end", done);
      socket.on("error", (error) => (["ECONNRESET", "EPIPE"].includes(error.code) ? done() : reject(error)));
    });
    return within("an answer", answer, 15_000);
  }
});
