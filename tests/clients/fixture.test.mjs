// The protocol, rule by rule, against the conformance fixture: raw HTTP and raw WebSocket, no client library in between.
// The numbers of sections are those of docs/PROTOCOL.md.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ORACLE, better, startFixture } from "./lib/daemon.mjs";
import { Polling, Ws, packets, upgrade } from "./lib/engine.mjs";
import { raw, request } from "./lib/http.mjs";
import { sleep, until, within } from "./lib/wait.mjs";

const MAX_PAYLOAD = 1_000_000;
const PING_INTERVAL = 300;
const PING_TIMEOUT = 200;
const UNKNOWN_SID = "AAAAAAAAAAAAAAAAAAAA";
const ERRORS = [
  "Transport unknown",
  "Session ID unknown",
  "Bad handshake method",
  "Bad request",
  "Forbidden",
  "Unsupported protocol version",
];

let daemon;
let port;
before(async () => {
  daemon = await startFixture();
  port = daemon.port;
});
after(() => daemon?.stop());

/** Runs `run` for each row; the row's first cell is the test's name. */
function table(rows, run) {
  for (const [name, ...cells] of rows) {
    const { skip } = typeof cells.at(-1) === "object" && cells.at(-1) !== null && "skip" in cells.at(-1) ? cells.pop() : {};
    test(name, { skip }, () => run(...cells));
  }
}

function refused(answer, code) {
  assert.equal(answer.status, code === 4 ? 403 : 400);
  assert.deepEqual(answer.json(), { code, message: ERRORS[code] });
  assert.match(answer.headers["content-type"], /^application\/json/);
}

/** The session has ended: by the next poll at the latest, the server says so. */
async function ended(session) {
  const said = await session.get();
  if (said.status === 200) assert.match(said.body, /^(1|6\x1e1|6)$/);
  await until("the sid is forgotten", async () => (await session.get()).status === 400);
}

describe("PROTOCOL 1: verification of a request", () => {
  describe("a handshake by GET", () => {
    table([
      ["no transport", "EIO=4", 0],
      ["unknown transport", "EIO=4&transport=abc", 0],
      ["a property of every object as transport (B07)", "EIO=4&transport=constructor", 0],
      ["webtransport", "EIO=4&transport=webtransport", 0],
      ["transport in upper case", "EIO=4&transport=POLLING", 0],
      ["unknown sid", `EIO=4&transport=polling&sid=${UNKNOWN_SID}`, 1],
      ["a property of every object as sid (B09)", "EIO=4&transport=polling&sid=__proto__", 1],
      ["a sid of another length", "EIO=4&transport=polling&sid=abc", 1],
      ["websocket without an upgrade", "EIO=4&transport=websocket", 3],
      ["no EIO", "transport=polling", 5],
      ["EIO=3", "EIO=3&transport=polling", 5],
      ["EIO=abc", "EIO=abc&transport=polling", 5],
      ["EIO=04", "EIO=04&transport=polling", 5],
    ], async (query, code) => refused(await request(port, `/socket.io/?${query}`), code));
  });

  describe("a handshake by another method", () => {
    table([["POST", "POST"], ["PUT", "PUT"], ["DELETE", "DELETE"], ["PATCH", "PATCH"]], async (method) => {
      refused(await request(port, "/socket.io/?EIO=4&transport=polling", { method }), 2);
    });
  });

  describe("accepted spellings", () => {
    table([
      ["the last duplicate wins", "EIO=3&EIO=4&transport=abc&transport=polling"],
      ["escaped names and values", "%45IO=%34&transport=poll%69ng"],
      ["a cache buster is ignored", "EIO=4&transport=polling&t=abc.1"],
      ["unknown parameters are ignored (B12)", "__proto__=x&constructor=y&EIO=4&transport=polling"],
    ], async (query) => assert.equal((await request(port, `/socket.io/?${query}`)).status, 200));

    test("a path that begins with the engine's", async () => {
      assert.equal((await request(port, "/socket.io/foo?EIO=4&transport=polling")).status, 200);
    });
    test("a path without the slash is not the engine's", async () => {
      assert.equal((await request(port, "/socket.io?EIO=4&transport=polling")).status, 404);
    });
  });

  describe("an upgrade", () => {
    table([
      ["unknown transport", "/socket.io/?EIO=4&transport=abc", 0],
      ["unknown sid", `/socket.io/?EIO=4&transport=websocket&sid=${UNKNOWN_SID}`, 1],
      ["no EIO, refused before the 101", "/socket.io/?transport=websocket", 5, { skip: better("it answers after the 101") }],
      ["EIO=3, refused before the 101", "/socket.io/?EIO=3&transport=websocket", 5, { skip: better("it answers after the 101") }],
    ], async (path, code) => {
      const answer = await upgrade(port, path);
      assert.equal(answer.status, 400);
      assert.ok(answer.body.includes(ERRORS[code]), answer.body);
      assert.equal(answer.headers.connection.toLowerCase(), "close");
    });

    test("with another revision than the session's (B11)", async () => {
      const session = await Polling.open(port);
      const answer = await upgrade(port, `/socket.io/?EIO=3&transport=websocket&sid=${session.sid}`);
      assert.equal(answer.status, 400);
    });

    table([
      ["no key", { "Sec-WebSocket-Key": null }, 400],
      ["a short key (B45)", { "Sec-WebSocket-Key": "dGhlIHNhbXBsZQ==" }, 400],
      ["a key that is not base64", { "Sec-WebSocket-Key": "!!!!!!!!!!!!!!!!!!!!!!==" }, 400],
      ["version 12", { "Sec-WebSocket-Version": "12" }, 400],
      ["no version", { "Sec-WebSocket-Version": null }, 400],
    ], async (headers, status) => {
      const answer = await upgrade(port, "/socket.io/?EIO=4&transport=websocket", headers);
      assert.equal(answer.status, status);
    });

    test("by POST", async () => {
      const answer = await upgrade(port, "/socket.io/?EIO=4&transport=websocket", {}, { method: "POST" });
      assert.ok([400, 405].includes(answer.status), String(answer.status));
    });
  });

  describe("hostile upgrade headers are ignored", () => {
    const params = Array.from({ length: 500 }, (_, index) => `x${index}`).join("; ");
    table([
      ["an extension called constructor (B32)", { "Sec-WebSocket-Extensions": "constructor" }],
      ["an extension called __proto__ (B32)", { "Sec-WebSocket-Extensions": "__proto__; a=b" }],
      ["many parameters (B32)", { "Sec-WebSocket-Extensions": `permessage-deflate; ${params}` }, { skip: better("ws refuses the offer's grammar") }],
      ["a protocol with many spaces (B33)", { "Sec-WebSocket-Protocol": `b,${" ".repeat(4_000)}x` }],
    ], async (headers) => {
      const answer = await upgrade(port, "/socket.io/?EIO=4&transport=websocket", headers);
      assert.equal(answer.status, 101);
      assert.equal(answer.headers["sec-websocket-extensions"], undefined);
    });
  });
});

describe("PROTOCOL 2: the open packet", () => {
  test("over polling: its keys, in their order, and the fixture's values", async () => {
    const { handshake } = await Polling.open(port);
    const text = packets(handshake.body)[0];
    const pattern = /^0\{"sid":"[A-Za-z0-9_-]{20}","upgrades":\["websocket"\],"pingInterval":300,"pingTimeout":200,"maxPayload":1000000\}$/;
    assert.match(text, pattern);
  });
  test("over WebSocket there is nothing to upgrade to", async () => {
    const ws = await Ws.session(port);
    assert.deepEqual(ws.open.upgrades, []);
    ws.end();
  });
  test("two sessions have two sids", async () => {
    const [one, two] = [await Polling.open(port), await Polling.open(port)];
    assert.notEqual(one.sid, two.sid);
  });
});

describe("PROTOCOL 3: polling", () => {
  test("headers of a poll", async () => {
    const { handshake } = await Polling.open(port);
    assert.match(handshake.headers["content-type"], /^text\/plain; charset=UTF-8$/i);
    assert.equal(handshake.headers["cache-control"], "no-store");
    assert.equal(Number(handshake.headers["content-length"]), handshake.bytes.length);
  });
  test("headers and body of a POST", async () => {
    const session = await Polling.open(port);
    const answer = await session.post("40");
    assert.equal(answer.status, 200);
    assert.equal(answer.body, "ok");
    assert.equal(answer.headers["cache-control"], "no-store");
  });
  test("several packets in one body, both ways", async () => {
    const session = await Polling.open(port);
    await session.join();
    await session.post('42["message",1]\x1e42["message","é\u2028"]');
    const arrived = [];
    while (arrived.length < 2) arrived.push(...(await session.poll()));
    assert.deepEqual(arrived, ['42["message-back",1]', '42["message-back","é\u2028"]']);
  });
  test("binary travels as b and base64", async () => {
    const session = await Polling.open(port);
    await session.join();
    await session.post('451-["message",{"_placeholder":true,"num":0}]\x1ebAQIDBA==');
    const arrived = [];
    while (arrived.length < 2) arrived.push(...(await session.poll()));
    assert.deepEqual(arrived, ['451-["message-back",{"_placeholder":true,"num":0}]', "bAQIDBA=="]);
  });
  test("raw Engine.IO: text and binary come back", async () => {
    const session = await Polling.open(port, { path: "/engine.io/" });
    await session.post("4hello €\x1ebAQIDBA==\x1e4");
    const arrived = [];
    while (arrived.length < 3) arrived.push(...(await session.poll()));
    assert.deepEqual(arrived, ["4hello €", "bAQIDBA==", "4"]);
  });
  test("a parked poll is answered as soon as there is something", async () => {
    const session = await Polling.open(port, { path: "/engine.io/" });
    const poll = session.poll();
    await session.post("4now");
    assert.deepEqual(await poll, ["4now"]);
  });

  test("two GETs at once end the session", async () => {
    const session = await Polling.open(port);
    const first = session.get();
    await sleep(30);
    const second = await session.get();
    assert.equal(second.status, 400);
    assert.deepEqual([(await first).status, (await first).body], [200, "1"]);
    await until("the sid is forgotten", async () => (await session.get()).status === 400);
  });
  test("two POSTs at once end the session", async () => {
    const session = await Polling.open(port);
    const head = `POST ${session.target} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n`;
    const first = raw(port, `${head}4`);
    await sleep(30);
    assert.equal((await session.post("40")).status, 400);
    await first;
    await until("the sid is forgotten", async () => (await session.get()).status === 400);
  });
  test("an aborted GET ends the session", async () => {
    const session = await Polling.open(port);
    const abort = new AbortController();
    const poll = session.get({ signal: abort.signal }).catch(() => {});
    await sleep(30);
    abort.abort();
    await poll;
    await until("the sid is forgotten", async () => (await session.get()).status === 400);
  });

  describe("what a POST may be", () => {
    table([
      // name, body, headers, status of the POST (null: any), does the session live
      ["octet-stream (B08)", "40", { "content-type": "application/octet-stream" }, 400, false],
      ["an unknown packet type", "abc", {}, null, false],
      ["a ping of the client's", "2", {}, null, false],
      ["close", "1", {}, 200, false],
      ["open is ignored", "0{}", {}, 200, true],
      ["upgrade is ignored", "5", {}, 200, true],
      ["noop is ignored", "6", {}, 200, true],
      ["an unasked pong is taken", "3", {}, 200, true],
      ["exactly the limit is taken", "6\x1e".repeat(10) + "6" + "x".repeat(MAX_PAYLOAD - 21), {}, 200, true],
    ], async (body, headers, status, lives) => {
      const session = await Polling.open(port);
      const answer = await session.post(body, { headers }).catch((error) => ({ status: error.code }));
      if (status !== null) assert.equal(answer.status, status);
      if (lives) assert.ok(await session.lives());
      else await ended(session);
    });

    test("a body over the limit is 413 and the session lives", async () => {
      const session = await Polling.open(port);
      const answer = await session.post("6" + "x".repeat(MAX_PAYLOAD)).catch((error) => ({ status: error.code, body: "" }));
      assert.ok([413, "ECONNRESET", "EPIPE"].includes(answer.status), String(answer.status));
      assert.equal(answer.body, "");
      assert.ok(await session.lives());
    });
    test("packets after a close are ignored", async () => {
      const session = await Polling.open(port, { path: "/engine.io/" });
      assert.equal((await session.post("1\x1e4late")).status, 200);
      const said = await session.get();
      assert.ok(!said.body.includes("late"));
    });
    test("close answers the parked GET with a noop", async () => {
      const session = await Polling.open(port);
      const poll = session.get();
      await sleep(30);
      await session.post("1");
      assert.deepEqual([(await poll).status, (await poll).body], [200, "6"]);
    });
    test("nothing but separators, in linear time (B27)", async () => {
      const session = await Polling.open(port);
      const started = Date.now();
      await session.post("\x1e".repeat(500_000)).catch(() => {});
      assert.ok(Date.now() - started < 3_000);
    });
  });

  test("other methods with a valid sid are refused and parked nowhere", async () => {
    const session = await Polling.open(port);
    for (const method of ["PUT", "DELETE", "PATCH"]) {
      const { status } = await request(port, session.target, { method });
      assert.ok([400, 405, 500].includes(status), `${method}: ${status}`);
    }
  });
  test("a session that the server closes says so on the next GET, once", async () => {
    const session = await Polling.open(port);
    await session.post('42["message"]');
    const said = await session.get();
    assert.deepEqual([said.status, said.body], [200, "6\x1e1"]);
    refused(await session.get(), 1);
  });
  test("a parked GET of a session that the server closes gets the close", async () => {
    const session = await Polling.open(port);
    const poll = session.get();
    await sleep(30);
    await session.post('42["message"]');
    assert.match((await poll).body, /^(1|6\x1e1)$/);
  });
});

describe("PROTOCOL 4: WebSocket", () => {
  test("the accept key", async () => {
    const answer = await upgrade(port, "/socket.io/?EIO=4&transport=websocket");
    assert.equal(answer.status, 101);
    assert.equal(answer.headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  });
  test("text, base64 and binary messages", async () => {
    const ws = await Ws.session(port, { path: "/engine.io/" });
    ws.send("4text €");
    assert.equal(await ws.next(), "4text €");
    ws.send(Buffer.from([1, 2, 3, 4]));
    assert.deepEqual(await ws.next(), Buffer.from([1, 2, 3, 4]));
    ws.send("bAQIDBA==");
    assert.deepEqual(await ws.next(), Buffer.from([1, 2, 3, 4]));
    ws.end();
  });
  test("b64 in the query: binary comes back as text", async () => {
    const ws = await Ws.session(port, { path: "/engine.io/", query: "&b64=1" });
    ws.send(Buffer.from([1, 2, 3, 4]));
    assert.equal(await ws.next(), "bAQIDBA==");
    ws.end();
  });

  describe("engine packets in an open session", () => {
    table([
      // name, message, close code (null: it stays open)
      ["an unknown type", "abc", 1005],
      ["a digit beyond the types", "7", 1005],
      ["an empty message", "", 1005],
      ["a ping of the client's", "2", 1005],
      ["close", "1", 1005, { skip: better("close is ignored over WebSocket") }],
      ["open is ignored", "0", null],
      ["upgrade is ignored", "5", null],
      ["noop is ignored", "6", null],
      ["an unasked pong is taken (B69)", "3", null],
    ], async (message, code) => {
      const ws = await Ws.session(port, { path: "/engine.io/" });
      ws.send(message);
      if (code !== null) return assert.equal(await ws.close(), code);
      ws.send("4still here");
      assert.equal(await ws.next(), "4still here");
      ws.end();
    });
  });

  describe("the frame layer", () => {
    const frame = (...bytes) => Buffer.from(bytes);
    const mask = [1, 2, 3, 4];
    table([
      ["an unmasked frame", frame(0x81, 0x01, 0x34), 1002],
      ["a reserved bit straight after the upgrade (B05)", frame(0xb1, 0x80, ...mask), 1002],
      ["a reserved opcode", frame(0x83, 0x80, ...mask), 1002],
      ["a continuation of nothing", frame(0x80, 0x80, ...mask), 1002],
      ["a fragmented ping", frame(0x09, 0x80, ...mask), 1002],
      ["a ping of 126 bytes", frame(0x89, 0xfe, 0, 126, ...mask), 1002],
      ["a close of one byte (B45)", frame(0x88, 0x81, ...mask, 0), 1002],
      ["close code 999 (B45)", frame(0x88, 0x82, 0, 0, 0, 0, 3, 0xe7), 1002],
      ["close code 1004 (B45)", frame(0x88, 0x82, 0, 0, 0, 0, 3, 0xec), 1002],
      ["close code 1005 (B45)", frame(0x88, 0x82, 0, 0, 0, 0, 3, 0xed), 1002],
      ["close code 1015 (B45)", frame(0x88, 0x82, 0, 0, 0, 0, 3, 0xf7), 1002],
      ["close code 5000 (B45)", frame(0x88, 0x82, 0, 0, 0, 0, 0x13, 0x88), 1002],
      ["text that is not UTF-8", frame(0x81, 0x82, 0, 0, 0, 0, 0x34, 0xff), 1007],
      ["a length of 2^62 (B41)", frame(0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, ...mask), [1002, 1009]],
      ["a length over the limit (B30)", frame(0x82, 0xff, 0, 0, 0, 0, 0, 0x0f, 0x42, 0x41, ...mask), 1009],
    ], async (bytes, codes) => {
      const ws = await Ws.session(port, { path: "/engine.io/" });
      ws.socket._socket.write(bytes);
      const code = await ws.close();
      assert.ok([codes].flat().includes(code), `closed with ${code}`);
    });

    test("a message of exactly the limit comes back, one byte more is 1009", async () => {
      const ws = await Ws.session(port, { path: "/engine.io/" });
      const message = "4" + "x".repeat(MAX_PAYLOAD - 1);
      ws.send(message);
      assert.equal((await ws.next()).length, MAX_PAYLOAD);
      ws.send(message + "x");
      assert.equal(await ws.close(), 1009);
    });
    test("fragments are joined, and a ping between them is answered", async () => {
      const ws = await Ws.session(port, { path: "/engine.io/" });
      const pong = new Promise((resolve) => ws.socket.once("pong", resolve));
      ws.socket.send("4he", { fin: false });
      ws.socket.ping("in between");
      ws.socket.send("llo", { fin: true });
      assert.equal(await ws.next(), "4hello");
      assert.equal((await within("the pong", pong)).toString(), "in between");
      ws.end();
    });
    test("fragments together over the limit are 1009 (B46)", async () => {
      const ws = await Ws.session(port, { path: "/engine.io/" });
      const part = "x".repeat(200_000);
      ws.socket.send("4", { fin: false });
      for (let count = 0; count < 6; count++) ws.socket.send(part, { fin: false });
      assert.equal(await ws.close(), 1009);
    });
    test("endless empty fragments end (B36)", { skip: better("its bound is 131,072 fragments") }, async () => {
      const ws = await Ws.session(port, { path: "/engine.io/" });
      const empty = Buffer.from([0x00, 0x80, 0, 0, 0, 0]);
      ws.socket._socket.write(Buffer.concat([Buffer.from([0x01, 0x81, 0, 0, 0, 0, 0x34]), ...Array(20_000).fill(empty)]));
      assert.ok([1008, 1009].includes(await ws.close()));
    });
    test("a frame in one-byte pieces is one frame", async () => {
      const ws = await Ws.session(port, { path: "/engine.io/" });
      const bytes = Buffer.from([0x81, 0x83, 0, 0, 0, 0, 0x34, 0x68, 0x69]);
      for (const byte of bytes) {
        ws.socket._socket.write(Buffer.from([byte]));
        await sleep(2);
      }
      assert.equal(await ws.next(), "4hi");
      ws.end();
    });
    test("a close is answered with a close (B35: no stale bytes)", async () => {
      const ws = await Ws.session(port, { path: "/engine.io/" });
      ws.socket.close(1000, "bye");
      const { code, reason } = await within("the close", ws.closed);
      assert.equal(code, 1000);
      assert.ok(["", "bye"].includes(reason));
    });
  });

  describe("the bare echo", () => {
    for (const size of [0, 1, 125, 126, 65_535, 65_536, 2_000_000]) {
      test(`${size} bytes`, async () => {
        const ws = await Ws.open(port, { raw: `ws://127.0.0.1:${port}/echo` });
        const bytes = Buffer.alloc(size, 7);
        ws.send(bytes);
        assert.deepEqual(await ws.next(), bytes);
        ws.end();
      });
    }
    test("text stays text", async () => {
      const ws = await Ws.open(port, { raw: `ws://127.0.0.1:${port}/echo` });
      ws.send("é€𝄞");
      assert.equal(await ws.next(), "é€𝄞");
      ws.end();
    });
  });
});

describe("PROTOCOL 5: upgrade", () => {
  test("probe, upgrade, and the session goes on", async () => {
    const session = await Polling.open(port);
    await session.join();
    const parked = session.get();
    const ws = await session.ws();
    ws.send("2probe");
    assert.equal(await ws.next(), "3probe");
    assert.equal((await parked).body, "6");
    ws.send("5");
    ws.send('420["message-with-ack",1]');
    assert.equal(await ws.next(), "430[1]");
    refused(await session.get(), 3);
    ws.end();
  });
  test("noops repeat while the upgrade goes on", async () => {
    const session = await Polling.open(port);
    const ws = await session.ws();
    ws.send("2probe");
    assert.equal(await ws.next(), "3probe");
    for (let count = 0; count < 3; count++) {
      const started = Date.now();
      assert.deepEqual(await session.poll(), ["6"]);
      assert.ok(Date.now() - started < 350, "no poll waits for the next ping");
    }
    ws.end();
  });
  test("what is sent before the 5 goes to polling, what is buffered goes to the WebSocket", async () => {
    const session = await Polling.open(port, { path: "/engine.io/" });
    const ws = await session.ws();
    ws.send("2probe");
    assert.equal(await ws.next(), "3probe");
    await session.post("4before");
    const arrived = [];
    while (!arrived.includes("4before")) arrived.push(...packets((await session.get()).body));
    await session.post("4buffered");
    ws.send("5");
    assert.equal(await ws.next(), "4buffered");
    ws.end();
  });
  test("a 5 without a probe is taken", async () => {
    const session = await Polling.open(port, { path: "/engine.io/" });
    const ws = await session.ws();
    ws.send("5");
    ws.send("4hello");
    assert.equal(await ws.next(), "4hello");
    ws.end();
  });
  test("a GET parked at the 5 is let go", async () => {
    const session = await Polling.open(port, { path: "/engine.io/" });
    const ws = await session.ws();
    const parked = session.get();
    await sleep(30);
    ws.send("5");
    const said = await parked;
    assert.equal(said.status, 200);
    assert.ok(["1", "6"].includes(said.body), said.body);
    ws.end();
  });
  test("anything else before the 5 closes the WebSocket only", async () => {
    for (const message of ["4hello", "1", "2", "3", "2other"]) {
      const session = await Polling.open(port, { path: "/engine.io/" });
      const ws = await session.ws();
      ws.send(message);
      assert.equal(await ws.close(), 1005, message);
      await session.post("4hello");
      assert.ok((await session.poll()).includes("4hello"), message);
    }
  });
  test("a second WebSocket while one upgrades is not let in", async () => {
    const session = await Polling.open(port, { path: "/engine.io/" });
    const first = await session.ws();
    first.send("2probe");
    await first.next();
    const second = await session.ws().catch(() => null);
    if (second !== null) assert.equal(await second.close(), 1005);
    first.send("5");
    first.send("4mine");
    assert.equal(await first.next(), "4mine");
    first.end();
  });
  test("a WebSocket session is not taken over by its sid", { skip: better("it lets the second one in") }, async () => {
    const first = await Ws.session(port, { path: "/engine.io/" });
    const second = await Ws.open(port, { path: "/engine.io/", query: `&sid=${first.open.sid}` }).catch(() => null);
    if (second !== null) {
      second.send("2probe");
      second.send("5");
      assert.equal(await second.close(), 1005);
    }
    first.send("4mine");
    assert.equal(await first.next(), "4mine");
    first.end();
  });
  test("a WebSocket lost before the 5 leaves the session on polling", async () => {
    const session = await Polling.open(port, { path: "/engine.io/" });
    const ws = await session.ws();
    ws.send("2probe");
    await ws.next();
    ws.end();
    await session.post("4still");
    const arrived = [];
    while (!arrived.includes("4still")) arrived.push(...(await session.poll()));
  });
  test("a client that stops answering during the upgrade is noticed (B60)", { skip: better("socket.io#5246") }, async () => {
    const session = await Polling.open(port, { path: "/engine.io/" });
    const ws = await session.ws();
    ws.answersPings = false;
    ws.send("2probe");
    assert.equal(await ws.next(), "3probe");
    // Nothing more is said, on neither connection: each GET would be a sign of life.
    await sleep(PING_INTERVAL + PING_TIMEOUT + 500);
    const { status, body } = await session.get();
    assert.ok(status === 400 || packets(body).includes("1"), `${status} ${body}`);
    ws.end();
  });
});

describe("PROTOCOL 6: heartbeat", () => {
  test("pings come at the interval, over WebSocket", async () => {
    const ws = await Ws.session(port);
    ws.answersPings = false;
    ws.send("40"); // the connect timeout is another test's
    await ws.next();
    await ws.next();
    for (let count = 0; count < 3; count++) {
      const started = Date.now();
      assert.equal(await ws.next(), "2");
      const waited = Date.now() - started;
      assert.ok(waited > PING_INTERVAL - 120 && waited < PING_INTERVAL + 150, `${waited} ms`);
      ws.send("3");
    }
    ws.end();
  });
  test("a missing pong closes, over WebSocket", async () => {
    const ws = await Ws.session(port);
    ws.answersPings = false;
    const started = Date.now();
    assert.equal(await ws.close(), 1005);
    const waited = Date.now() - started;
    assert.ok(waited > PING_INTERVAL + PING_TIMEOUT - 100 && waited < PING_INTERVAL + PING_TIMEOUT + 400, `${waited} ms`);
  });
  test("a missing pong closes, over polling", async () => {
    const session = await Polling.open(port);
    assert.equal((await session.get()).body, "2");
    await sleep(PING_TIMEOUT + 400);
    assert.equal((await session.get()).status, 400);
  });
  test("whatever arrives is a sign of life, over WebSocket", { skip: better("a slow line brings the pong late") }, async () => {
    const ws = await Ws.session(port, { path: "/engine.io/" });
    ws.answersPings = false;
    for (let count = 0; count < 20; count++) {
      ws.send("4event");
      await sleep(PING_TIMEOUT / 2);
    }
    assert.ok(ws.isOpen);
    assert.ok(ws.messages.length > 20, "pings came, and no pong was sent");
    assert.equal(await ws.close(), 1005);
  });
  test("pings are sent whatever else is", async () => {
    const ws = await Ws.session(port, { path: "/engine.io/" });
    const busy = setInterval(() => ws.isOpen && ws.send("4x"), 20);
    await until("three pings", () => ws.pings >= 3, 3_000);
    clearInterval(busy);
    ws.end();
  });
});

describe("PROTOCOL 7: Socket.IO packets", () => {
  describe("CONNECT", () => {
    table([
      ["to the root", "40", /^40\{"sid":"[\w-]{20}"\}$/, '42["auth",{}]'],
      ["with auth", '40{"token":"123"}', /^40\{"sid":"[\w-]{20}"\}$/, '42["auth",{"token":"123"}]'],
      ["with a space as type", "4 ", /^40\{"sid":/, '42["auth",{}]'],
      ["to a namespace", "40/custom,", /^40\/custom,\{"sid":"[\w-]{20}"\}$/, '42/custom,["auth",{}]'],
      ["to a namespace with auth", '40/custom,{"a":1}', /^40\/custom,\{/, '42/custom,["auth",{"a":1}]'],
      ["to a namespace without comma", "40/custom", /^40\/custom,\{/, '42/custom,["auth",{}]'],
    ], async (sent, pattern, then) => {
      const ws = await Ws.session(port);
      ws.send(sent);
      assert.match(await ws.next(), pattern);
      assert.equal(await ws.next(), then);
      ws.end();
    });

    test("the socket's sid is not the session's", async () => {
      const ws = await Ws.joined(port);
      assert.notEqual(JSON.parse(ws.connected.slice(2)).sid, ws.open.sid);
      ws.end();
    });
    table([
      ["an unknown namespace", "40/nope,", '44/nope,{"message":"Invalid namespace"}'],
      ["a name with a query is another name", "40/custom?x=1,", '44/custom?x=1,{"message":"Invalid namespace"}'],
    ], async (sent, answer) => {
      const ws = await Ws.session(port);
      ws.send(sent);
      assert.equal(await ws.next(), answer);
      ws.send("40");
      assert.match(await ws.next(), /^40\{/);
      ws.end();
    });
    test("nobody who joined nothing stays", async () => {
      const ws = await Ws.session(port);
      assert.equal(await ws.close(3_000), 1005);
    });
    test("a refused CONNECT does not stop that clock", async () => {
      const ws = await Ws.session(port);
      ws.send("40/nope,");
      await ws.next();
      assert.equal(await ws.close(3_000), 1005);
    });
  });

  describe("after a CONNECT", () => {
    table([
      ["an event", '42["message",1,"2",{"3":[true]}]', '42["message-back",1,"2",{"3":[true]}]'],
      ["an event with an ack", '42456["message-with-ack",1,"2",{"3":[false]}]', '43456[1,"2",{"3":[false]}]'],
      ["an ack id of many digits", '42123456789["message-with-ack"]', "43123456789[]"],
      ["numbers keep their value", '42["message",-0.5,1e3]', /^42\["message-back",-0.5,(1e3|1000)\]$/],
      ["text keeps its characters", '42["message","é\\u2028𝄞\\"\\\\"]', /^42\["message-back","é(\\u2028|\u2028)𝄞\\"\\\\"\]$/],
      ["a comma and a slash in the name of nothing", '42["message",",/"]', '42["message-back",",/"]'],
    ], async (sent, answer) => {
      const ws = await Ws.joined(port);
      ws.send(sent);
      const said = await ws.next();
      if (answer instanceof RegExp) assert.match(said, answer);
      else assert.equal(said, answer);
      ws.end();
    });

    test("binary, without and with an ack, in order", async () => {
      const ws = await Ws.joined(port);
      const [one, two] = [Buffer.from([1, 2, 3]), Buffer.from([4, 5, 6])];
      for (const [head, answer] of [
        ['452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', '452-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'],
        ['452-789["message-with-ack",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', '462-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'],
      ]) {
        for (const part of [head, one, two]) ws.send(part);
        assert.equal(await ws.next(), answer);
        assert.deepEqual(await ws.next(), one);
        assert.deepEqual(await ws.next(), two);
      }
      ws.end();
    });

    describe("harmless", () => {
      table([
        ["an unknown event", '42["nothing",1]'],
        ["an event without JSON", "42"],
        ["an ack without JSON", "43"],
        ["an ack nobody asked for (T-13)", "43999[1]"],
        ["a numeric name", "42[7]"],
        ["the name error (B03)", '42["error","x"]'],
      ], async (sent) => {
        const ws = await Ws.joined(port);
        ws.send(sent);
        ws.send('42["message"]');
        assert.equal(await ws.next(), '42["message-back"]');
        ws.end();
      });
    });

    test("DISCONNECT leaves the connection open, and CONNECT joins again", async () => {
      const ws = await Ws.joined(port);
      ws.send("41");
      ws.send("40/custom,");
      assert.match(await ws.next(), /^40\/custom,/);
      await ws.next();
      ws.send("40");
      assert.match(await ws.next(), /^40\{/);
      ws.end();
    });

    describe("closes the connection", () => {
      const placeholder = (num) => `451-["message",{"_placeholder":true,"num":${num}}]`;
      table([
        ["an empty packet", "4"],
        ["an unknown type", "47"],
        ["a type that is no digit", "4abc"],
        ["an event for a namespace not joined", '42/custom,["message"]'],
        ["an ack for a namespace not joined", "43/custom,1[]"],
        ["DISCONNECT of a namespace not joined", "41/custom,"],
        ["a second CONNECT", "40"],
        ["a CONNECT_ERROR", '44{"message":"x"}'],
        ["broken JSON", '42["message"'],
        ["trailing bytes after the JSON", '42["message"]x'],
        ["an event that is no array", '42{"message":1}'],
        ["an empty event (B17)", "42[]"],
        ["a null name (B17)", "42[null]"],
        ["an object as name (B17)", '42[{"toString":1}]'],
        ["an array as name (B17)", "42[[]]"],
        ["the reserved name connect (B18)", '42["connect"]'],
        ["the reserved name connect_error (B18)", '42["connect_error"]'],
        ["the reserved name disconnect (B18)", '42["disconnect"]'],
        ["the reserved name disconnecting (B18)", '42["disconnecting"]'],
        ["the reserved name newListener (B18)", '42["newListener"]'],
        ["the reserved name removeListener (B18)", '42["removeListener"]'],
        ["an ack that is no array", "431{}"],
        ["DISCONNECT with JSON", "41{}"],
        ["CONNECT with an array", "40/custom,[]"],
        ["attachments without a count (B22)", '45-["message"]'],
        ["attachments without a dash (B22)", '451["message"]'],
        ["attachments in another notation (B22)", '451e0-["message"]', { skip: better("it reads 1e0 as a number") }],
        ["attachments in hexadecimal (B22)", '450x1-["message"]', { skip: better("it reads 0x1 as a number") }],
        ["no attachments (B22)", '450-["message"]'],
        ["eleven attachments (B19)", '4511-["message"]'],
        ["very many attachments (B19)", '459999999999-["message"]'],
        ["text where an attachment is due (B21)", [placeholder(0), '42["message"]']],
        ["an attachment that nothing announced (B21)", [Buffer.from([1])]],
        ["a placeholder that names a method (B16)", [placeholder('"splice"'), Buffer.from([1])]],
        ["a placeholder below zero (B16)", [placeholder(-1), Buffer.from([1])]],
        ["a placeholder with a fraction (B16)", [placeholder(0.5), Buffer.from([1])], { skip: better("it takes the fraction and delivers nothing") }],
        ["a placeholder out of range (B16)", [placeholder(99), Buffer.from([1])]],
        ["a placeholder beyond all numbers (B16)", [placeholder("1e400"), Buffer.from([1])]],
        ["JSON nested 100,000 deep (B98)", `42["message",${"[".repeat(100_000)}${"]".repeat(100_000)}]`, { skip: better("it has no bound on depth") }],
      ], async (sent) => {
        const ws = await Ws.joined(port);
        for (const message of [sent].flat()) ws.send(message);
        assert.equal(await ws.close(), 1005);
      });
    });
  });

  test("an event sent before the CONNECT closes (B73)", async () => {
    const ws = await Ws.session(port);
    ws.send('42["message",1]');
    assert.equal(await ws.close(), 1005);
  });
  test("an event right behind the CONNECT is never handled before it", async () => {
    const ws = await Ws.session(port);
    ws.send("40");
    ws.send('42["message",1]');
    // The reference and the daemon may close, since the CONNECT has not been decided; or it has, and the order holds.
    const arrived = [];
    while (ws.isOpen || ws.messages.length > 0) {
      const message = await ws.next().catch(() => null);
      if (message === null) break;
      arrived.push(message);
      if (message.startsWith('42["message-back"')) break;
    }
    const [connected, , back] = arrived;
    if (arrived.length > 0) assert.match(connected, /^40\{/);
    if (back !== undefined) assert.equal(back, '42["message-back",1]');
    ws.end();
  });
  test("on polling a broken packet ends the session with 6 and 1", async () => {
    const session = await Polling.open(port);
    await session.join();
    await session.post("4");
    const said = await session.get();
    assert.equal(said.body, "6\x1e1");
  });
});

describe("PROTOCOL 9: CORS of the fixture: every origin", () => {
  test("a request says so", async () => {
    const answer = await request(port, "/socket.io/?EIO=4&transport=polling", { headers: { origin: "https://a.example" } });
    assert.equal(answer.headers["access-control-allow-origin"], "*");
    assert.equal(answer.headers["access-control-allow-credentials"], undefined);
  });
  test("a preflight is answered before verification", async () => {
    const headers = { origin: "https://a.example", "access-control-request-method": "POST", "access-control-request-headers": "x-a, x-b" };
    const answer = await request(port, "/socket.io/", { method: "OPTIONS", headers });
    assert.equal(answer.status, 204);
    assert.equal(answer.headers["access-control-allow-origin"], "*");
    assert.match(answer.headers["access-control-allow-methods"], /GET.*POST/);
    assert.equal(answer.headers["access-control-allow-headers"], "x-a, x-b");
  });
});

test("the fixture listens on IPv6 loopback as well", { skip: ORACLE ? "the oracle listens where it is told" : undefined }, async () => {
  const answer = await request(port, "/socket.io/?EIO=4&transport=polling", { host: "::1" });
  assert.equal(answer.status, 200);
});
