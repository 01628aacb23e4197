// Customer chat with the official client, signed tokens and SQLite: what agents rely on.
import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { utalk } from "./lib/config.mjs";
import { daemonOnly } from "./lib/daemon.mjs";
import { mint } from "./lib/jwt.mjs";
import { Served, endRunning } from "./lib/served.mjs";
import { once, refusal } from "./lib/socketio.mjs";
import { sleep, until } from "./lib/wait.mjs";

const WEB = "conv_test";
const now = () => Math.floor(Date.now() / 1000);
const token = (sub, { role = "agent", workspaceId = "w1", lifeS = 900, ...claims } = {}) =>
  mint({ sub, role, workspaceId, tenantId: "t1", email: `${sub}@example.com`, exp: now() + lifeS, ...claims });

/** A daemon with people. */
class Chat extends Served {
  static start(options) {
    return super.start(utalk(options));
  }

  person(sub, claims = {}, namespace = "/app") {
    return this.connected(namespace, { token: token(sub, claims) });
  }
}

const text = (messageId, more = {}) => ({ messageId, conversationId: WEB, type: "text", text: "Hola", ...more });
const send = (socket, message) => socket.timeout(5_000).emitWithAck("message:send", message);

afterEach(endRunning);

describe("utalk", { skip: daemonOnly }, () => {
  test("1. auth", async () => {
    const chat = await Chat.start();
    for (const bad of [token("a", { lifeS: -1 }), "garbage", undefined]) {
      assert.equal((await refusal(chat.client("/app", { token: bad }))).message, "Authentication failed");
    }
    const agent = chat.client("/admin", { token: token("a") });
    assert.equal((await refusal(agent)).data.code, "FORBIDDEN");
    const [short, renewed] = [await chat.person("a", { lifeS: 2 }), await chat.person("a", { lifeS: 2 })];
    const gone = once(short, "disconnect", 10_000);
    renewed.emit("auth:refresh", { token: token("b") });
    await renewed.record.next("auth:failed");
    renewed.emit("auth:refresh", { token: token("a") });
    assert.equal((await renewed.record.next("auth:refreshed")).userId, "a");
    assert.equal((await gone)[0], "io server disconnect");
    assert.equal(short.record.of("token:expired").length, 1);
    await sleep(500);
    assert.ok(renewed.connected);
  });

  test("2. one message, however often it is sent", async () => {
    const chat = await Chat.start();
    const [a, again, b] = [await chat.person("a"), await chat.person("a"), await chat.person("b")];
    const [first, joined] = await Promise.all([send(a, text("m1")), send(again, text("m1"))]);
    assert.equal(first.id, joined.id);
    // Either of the two may have been the first.
    assert.deepEqual([first.status, ...[first.duplicate, joined.duplicate].map(String).sort()], ["sent", "false", "true"]);
    const third = await send(a, text("m1"));
    assert.deepEqual([third.id, third.duplicate], [first.id, true]);
    await b.record.next("message:new");
    assert.deepEqual(b.record.of("message:new"), []);
    await chat.daemon.restart({ crash: true });
    const back = await chat.person("a");
    const fourth = await send(back, text("m1"));
    assert.deepEqual([fourth.id, fourth.seq, fourth.duplicate], [first.id, 1, true]);
    const other = await send(back, text("m1", { text: "Otra" }));
    assert.equal(other.error.code, "MESSAGE_ID_CONFLICT");
    assert.equal((await send(back, text("m2"))).seq, 2);
  });

  test("3. bad input leaves the socket as it is", async () => {
    const chat = await Chat.start();
    const a = await chat.person("a");
    const error = async (event, payload) => {
      a.emit(event, payload);
      return a.record.next("error");
    };
    assert.equal((await error("message:send", text(undefined))).message, 'Datos inválidos: "messageId" es obligatorio');
    assert.equal((await error("message:send", text("m1", { type: "video" }))).details.path, "type");
    assert.equal((await a.record.next("message:error")).error.code, "VALIDATION_ERROR");
    assert.deepEqual((await error("message:send", text("m1", { text: "x".repeat(2 << 20) }))).details, { limit: 1048576 });
    assert.equal((await error("message:send", text("m1", { conversationId: "x" }))).code, "INVALID_EVENT");
    assert.equal((await error("foo:bar", {})).message, "Evento no permitido: foo:bar");
    assert.equal((await send(a, text("m1"))).ok, true);
  });

  test("3. what is too large is answered in its turn, by either transport, and the socket stays", async () => {
    const chat = await Chat.start();
    for (const transport of ["websocket", "polling"]) {
      const a = await chat.connected("/app", { token: token(transport) }, { transports: [transport] });
      const answers = [];
      const ask = async (name, message) => {
        const said = await a.timeout(20_000).emitWithAck("message:send", message);
        answers.push([name, said.ok, said.error?.code]);
      };
      const large = text(`${transport} large`, { text: "x".repeat(20 << 20) });
      await Promise.all([ask("before", text(`${transport} 1`)), ask("large", large), ask("behind", text(`${transport} 2`))]);
      const expected = [["before", true, undefined], ["behind", true, undefined], ["large", false, "PAYLOAD_TOO_LARGE"]];
      assert.deepEqual(answers.sort(), expected);
      const told = await a.record.next("error");
      assert.deepEqual([told.code, told.details], ["PAYLOAD_TOO_LARGE", { limit: 1048576 }]);
      assert.deepEqual(a.record.of("message:error"), []);
      assert.ok(a.connected);
    }
  });

  test("4. another workspace's conversation does not exist", async () => {
    const chat = await Chat.start();
    const [a, b] = [await chat.person("a"), await chat.person("b", { workspaceId: "w2" })];
    await send(b, text("m1"));
    a.emit("join:conversation", { conversationId: WEB });
    assert.equal((await a.record.next("error")).message, "No tienes acceso a esta conversación");
    b.emit("join:conversation", { conversationId: WEB });
    assert.deepEqual(await b.record.next("joined:conversation"), { conversationId: WEB });
    assert.deepEqual(a.record.of("message:new"), []);
  });

  test("5. rate", async () => {
    const chat = await Chat.start();
    const a = await chat.person("a");
    for (let n = 0; n < 61; n += 1) a.emit("message:send", text(`m${n}`));
    const { code, details } = await a.record.next("error");
    assert.deepEqual([code, details.limit, details.windowMs], ["RATE_LIMIT_EXCEEDED", 60, 60000]);
    assert.ok(!Number.isNaN(Date.parse(details.resetAt)));
    a.emit("typing:start", { conversationId: WEB });
    await a.record.next("typing:acknowledged");
    await until("sixty are sent", () => a.record.of("message:sent").length === 60);
    assert.deepEqual(a.record.of("error"), []);
  });

  test("8. sync", async () => {
    const chat = await Chat.start();
    const [a, b] = [await chat.person("a"), await chat.person("b")];
    await send(b, text("m1"));
    a.emit("sync:state", { syncId: "s1" });
    const first = await a.record.next("state:synced");
    assert.deepEqual([first.syncId, first.conversations[0].id, first.messages.length], ["s1", WEB, 0]);
    a.disconnect();
    for (const id of ["m2", "m3", "m4"]) await send(b, text(id));
    const back = await chat.person("a");
    back.emit("sync:state", { syncId: "s2", cursor: first.cursor });
    const missed = await back.record.next("state:synced");
    assert.deepEqual(missed.messages.map(({ messageId }) => messageId), ["m2", "m3", "m4"]);
    assert.ok(missed.onlineUsers.some(({ userId }) => userId === "a"));
    back.emit("sync:state", { syncId: "s3", cursor: "of nobody" });
    assert.equal((await back.record.next("state:synced")).reset, true);
  });

  test("9. presence", async () => {
    const chat = await Chat.start({ settings: "presence_grace_ms = 200" });
    const [watcher, stranger] = [await chat.person("w"), await chat.person("s", { workspaceId: "w2" })];
    const [one, two] = [await chat.person("a"), await chat.person("a", {}, "/agent")];
    assert.equal((await watcher.record.next("user:connected", ({ userId }) => userId === "a")).email, "a@example.com");
    one.disconnect();
    await sleep(500);
    assert.equal(watcher.record.of("user:disconnected").length, 0);
    two.disconnect();
    assert.equal((await watcher.record.next("user:disconnected")).userId, "a");
    await watcher.record.next("presence:update", ({ status }) => status === "offline");
    assert.deepEqual(stranger.record.of("user:disconnected"), []);
  });
});
