// The official JavaScript client, over each transport, against the fixture and against `lab` on one shard and on four.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { lab } from "./lib/config.mjs";
import { ORACLE, daemonOnly, startDaemon, startFixture } from "./lib/daemon.mjs";
import { Clients, TRANSPORTS, connected, once, refusal } from "./lib/socketio.mjs";
import { upgradeKeepsMessages } from "./lib/upgrade.mjs";
import { until, within } from "./lib/wait.mjs";

const clients = new Clients();
afterEach(() => clients.closeAll());

describe("the conformance fixture", () => {
  let daemon;
  before(async () => (daemon = await startFixture()));
  after(() => daemon?.stop());

  for (const [name, options] of Object.entries(TRANSPORTS)) {
    describe(name, () => {
      test("connects with auth and gets it back", async () => {
        const socket = clients.create(daemon.url, { ...options, auth: { token: "abc", nested: { list: [1, 2] } } });
        const [auth] = await once(socket, "auth");
        assert.deepEqual(auth, { token: "abc", nested: { list: [1, 2] } });
        assert.match(socket.id, /^[\w-]{20}$/);
      });

      if (name.includes("upgraded")) {
        upgradeKeepsMessages(() => clients.connected(daemon.url, options));
      }

      test("a message comes back", async () => {
        const socket = await clients.connected(daemon.url, options);
        const back = once(socket, "message-back");
        socket.emit("message", 1, "2", { 3: [true, null] }, "é𝄞\u2028");
        assert.deepEqual(await back, [1, "2", { 3: [true, null] }, "é𝄞\u2028"]);
      });

      test("a client that offers subprotocols gets the first", async () => {
        const socket = await clients.connected(daemon.url, { ...options, protocols: ["chat", "other"] });
        await until("it has its last transport", () => socket.io.engine.transport.name === options.transports.at(-1));
        if (options.transports.at(-1) === "websocket") assert.equal(socket.io.engine.transport.ws.protocol, "chat");
      });

      test("an ack brings the arguments back, many at once in order", async () => {
        const socket = await clients.connected(daemon.url, options);
        const answers = await Promise.all(Array.from({ length: 50 }, (_, index) =>
          socket.timeout(5_000).emitWithAck("message-with-ack", index)));
        assert.deepEqual(answers, [...Array(50).keys()]);
      });

      test("binary, by event and by ack", async () => {
        const socket = await clients.connected(daemon.url, options);
        const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
        const back = once(socket, "message-back");
        socket.emit("message", bytes, { deep: [Buffer.from([0])] });
        const [first, second] = await back;
        assert.deepEqual(Buffer.from(first), bytes);
        assert.deepEqual(Buffer.from(second.deep[0]), Buffer.from([0]));
        const answer = await socket.timeout(5_000).emitWithAck("message-with-ack", bytes);
        assert.deepEqual(Buffer.from(answer), bytes);
      });

      test("a message of half a megabyte", async () => {
        const socket = await clients.connected(daemon.url, options);
        const text = "x".repeat(500_000);
        assert.equal(await socket.timeout(5_000).emitWithAck("message-with-ack", text), text);
      });

      test("a second namespace on the same connection", async () => {
        const root = await clients.connected(daemon.url, options);
        const custom = root.io.socket("/custom", { auth: { a: 1 } });
        const auth = once(custom, "auth");
        assert.deepEqual(await auth, [{ a: 1 }]);
        assert.notEqual(custom.id, root.id);
        custom.disconnect();
        assert.equal(await root.timeout(5_000).emitWithAck("message-with-ack", "still"), "still");
      });

      test("an unknown namespace is refused and the connection lives", async () => {
        const root = await clients.connected(daemon.url, options);
        const nope = root.io.socket("/nope");
        const error = refusal(nope);
        assert.equal((await error).message, "Invalid namespace");
        assert.ok(root.connected);
      });

      test("disconnect, and connect again on the same connection", async () => {
        const socket = await clients.connected(daemon.url, options);
        const first = socket.id;
        const left = once(socket, "disconnect");
        socket.disconnect();
        assert.equal((await left)[0], "io client disconnect");
        socket.connect();
        await connected(socket);
        assert.notEqual(socket.id, first);
      });

      test("stays through several heartbeats", async () => {
        const socket = await clients.connected(daemon.url, options);
        let pings = 0;
        socket.io.on("ping", () => pings++);
        socket.on("disconnect", (reason) => assert.fail(reason));
        await until("four pings", () => pings >= 4);
        assert.ok(socket.connected);
        socket.off("disconnect");
      });
    });
  }
});

for (const shards of ORACLE ? [1] : [1, 4]) {
  describe(`lab on ${shards} ${shards === 1 ? "shard" : "shards"}`, () => {
    let daemon;
    before(async () => (daemon = await startDaemon(lab({ shards }))));
    after(() => daemon?.stop());

    for (const [name, options] of Object.entries(TRANSPORTS)) {
      test(`${name}: echo acks its arguments`, async () => {
        const socket = await clients.connected(daemon.url, options);
        assert.deepEqual(await socket.timeout(5_000).emitWithAck("echo", { a: [1, "é"] }), { a: [1, "é"] });
        const bytes = await socket.timeout(5_000).emitWithAck("echo", Buffer.from([1, 2, 3]));
        assert.deepEqual(Buffer.from(bytes), Buffer.from([1, 2, 3]));
      });
    }

    test("bcast reaches everybody, over every transport and shard, once", async () => {
      const everybody = [];
      for (const options of Object.values(TRANSPORTS)) {
        for (let count = 0; count < 8; count++) everybody.push(await clients.connected(daemon.url, options));
      }
      const got = everybody.map(() => []);
      everybody.forEach((socket, index) => socket.on("bcast", (arg) => got[index].push(arg)));
      for (let round = 0; round < 5; round++) everybody[round * 5].emit("bcast", { round });
      await until("all rounds arrived everywhere", () => got.every((list) => list.length >= 5));
      for (const list of got) {
        assert.deepEqual(list.map(({ round }) => round).sort(), [0, 1, 2, 3, 4]);
      }
    });

    test("broadcasts of one sender keep their order everywhere", async () => {
      const [sender, ...others] = await Promise.all(Array.from({ length: 6 }, () =>
        clients.connected(daemon.url, TRANSPORTS["WebSocket only"])));
      const got = others.map(() => []);
      others.forEach((socket, index) => socket.on("bcast", (arg) => got[index].push(arg)));
      for (let index = 0; index < 200; index++) sender.emit("bcast", index);
      await until("all arrived", () => got.every((list) => list.length === 200));
      for (const list of got) assert.deepEqual(list, [...Array(200).keys()]);
    });

    test("a room's events reach its members, and nobody once they have left", async () => {
      const [ana, ben, eve] = await Promise.all(Object.values(TRANSPORTS).slice(0, 3).map((options) =>
        clients.connected(daemon.url, options)));
      const got = new Map([ana, ben, eve].map((socket) => [socket, []]));
      for (const [socket, list] of got) socket.on("room", (...args) => list.push(args));
      const ask = (socket, event, room) => new Promise((resolve) => socket.emit(event, room, (...args) => resolve(args)));
      for (const socket of [ana, ben]) assert.deepEqual(await ask(socket, "join", "r1"), []);
      assert.deepEqual(await ask(eve, "join", "r2"), []);
      eve.emit("room", "r1", { n: 1 });
      await until("both members have it", () => got.get(ana).length === 1 && got.get(ben).length === 1);
      assert.deepEqual(got.get(ana), [[{ n: 1 }]]);
      assert.deepEqual(await ask(ben, "leave", "r1"), []);
      ana.emit("room", "r1", 2);
      ana.emit("room", "r2", 3);
      await until("each room's own arrived", () => got.get(ana).length === 2 && got.get(eve).length === 1);
      await ben.timeout(5_000).emitWithAck("echo", "all before it has come");
      assert.deepEqual([...got.values()], [[[{ n: 1 }], [2]], [[{ n: 1 }]], [[3]]]);
    });

    test("binary broadcast", async () => {
      const [sender, other] = [await clients.connected(daemon.url), await clients.connected(daemon.url)];
      const got = once(other, "bcast");
      sender.emit("bcast", Buffer.from([9, 8, 7]));
      assert.deepEqual(Buffer.from((await got)[0]), Buffer.from([9, 8, 7]));
    });

    test("a client whose connection is cut reconnects by itself", async () => {
      const socket = await clients.connected(daemon.url, { reconnection: true, reconnectionDelay: 20, transports: ["websocket"] });
      const first = socket.id;
      const left = once(socket, "disconnect");
      const again = once(socket, "connect");
      socket.io.engine.transport.ws.close();
      await left;
      await again;
      assert.notEqual(socket.id, first);
      assert.equal(await socket.timeout(5_000).emitWithAck("echo", 1), 1);
    });

    test("the canonical namespace is the same application", { skip: daemonOnly }, async () => {
      const [root, named] = [await clients.connected(daemon.url), await clients.connected(`${daemon.url}/lab`)];
      const got = once(named, "bcast");
      root.emit("bcast", "seen");
      assert.deepEqual(await got, ["seen"]);
    });
  });
}

test("clients come back after a restart, and are told of the drain", { skip: daemonOnly }, async () => {
  const daemon = await startDaemon(lab());
  try {
    const sockets = await Promise.all(Object.values(TRANSPORTS).map((options) =>
      clients.connected(daemon.url, { ...options, reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 100 })));
    const reasons = sockets.map((socket) => once(socket, "disconnect"));
    const again = sockets.map((socket) => once(socket, "connect", 10_000));
    assert.equal(await daemon.terminate(), 0);
    for (const reason of await Promise.all(reasons)) {
      // `io server disconnect` would make clients give up.
      assert.ok(["transport close", "transport error"].includes(reason[0]), reason[0]);
    }
    await daemon.spawn();
    await within("all come back", Promise.all(again), 10_000);
  } finally {
    clients.closeAll();
    await daemon.stop();
  }
});

describe("what was buffered while offline is sent at once, and nothing is lost", { skip: daemonOnly }, () => {
  const BURST = 20_000;
  for (const [limit, listener] of [["", ""], ["limited to 10,000 events a second", "[limits]\nevents_per_socket_per_s_max = 10000"]]) {
    describe(limit || "without a limit", () => {
      let daemon;
      before(async () => (daemon = await startDaemon(lab({ shards: 2, listener, ping: [5_000, 5_000] }))));
      after(() => daemon?.stop());

      for (const [name, options] of Object.entries(TRANSPORTS)) {
        test(`events without an ack, ${name}`, async () => {
          const socket = clients.create(daemon.url, { ...options, autoConnect: false });
          const back = [];
          const reasons = [];
          socket.on("message-back", (index) => back.push(index));
          socket.on("disconnect", (reason) => reasons.push(reason));
          for (let index = 0; index < BURST; index++) socket.emit("message", index);
          socket.connect();
          await until("all came back", () => back.length >= BURST || reasons.length > 0, 30_000);
          assert.deepEqual(reasons, []);
          assert.deepEqual(back, [...Array(BURST).keys()]);
        });
      }

      test("of two namespaces over one connection, with acks", async () => {
        const root = clients.create(daemon.url, { autoConnect: false, forceNew: false });
        const own = root.io.socket("/lab");
        const sockets = [root, own];
        const answers = sockets.flatMap((socket) => Array.from({ length: BURST / 4 }, (_, index) =>
          socket.timeout(30_000).emitWithAck("message-with-ack", index)));
        sockets.forEach((socket) => socket.connect());
        const half = [...Array(BURST / 4).keys()];
        assert.deepEqual(await Promise.all(answers), [...half, ...half]);
        own.disconnect();
      });

      test("with retries, one by one", async () => {
        const socket = clients.create(daemon.url, { autoConnect: false, retries: 3, ackTimeout: 10_000 });
        const answers = Array.from({ length: 300 }, (_, index) => socket.emitWithAck("message-with-ack", index));
        socket.connect();
        assert.deepEqual(await Promise.all(answers), [...Array(300).keys()]);
      });
    });
  }
});
