// utalk while its store is locked by another process or its disk is full, with the official client, HTTP and webhooks: nothing is told that is
// not on disk, live traffic goes on, and what was refused works under the same id as soon as it can (F-08, F-09). What a provider that is slow,
// refuses, is down or answers half makes of messages is in `webhooks.test.mjs`.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, describe, test } from "node:test";
import { utalk } from "./lib/config.mjs";
import { daemonOnly } from "./lib/daemon.mjs";
import { request } from "./lib/http.mjs";
import { mint } from "./lib/jwt.mjs";
import { Served, endRunning } from "./lib/served.mjs";
import { TOKEN, webhook } from "./lib/twilio.mjs";
import { until } from "./lib/wait.mjs";

const WEB = "conv_test";
const SETTINGS = `
public_url = "https://chat.example"
[apps.utalk.events_per_minute]
"message:send" = 0
[[apps.utalk.numbers]]
number = "+5215559999"
workspace = "w1"
tenant = "t1"
[apps.utalk.webhooks]
twilio_auth_tokens = ["${TOKEN}"]
`;
const PNG = Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.alloc(700_000, "picture ")]);

/** Another process holds the write lock of a database until it is let go. */
class Lock {
  static held = new Set();

  static async of(path) {
    const lock = new Lock();
    Lock.held.add(lock);
    lock.child = spawn("python3", ["-c", HOLDS, path], { stdio: ["pipe", "pipe", "inherit"] });
    await once(lock.child.stdout, "data");
    return lock;
  }

  async letGo() {
    Lock.held.delete(this);
    const ended = once(this.child, "exit");
    this.child.stdin.end();
    assert.deepEqual(await ended, [0, null]);
  }
}

const HOLDS = `
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], timeout=10, isolation_level=None)
held.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
held.execute("ROLLBACK")
`;

const token = (sub) => mint({ sub, role: "agent", workspaceId: "w1", tenantId: "t1" });
const message = (messageId, text = "Hola") => ({ messageId, conversationId: WEB, type: "text", text });
const inbound = { MessageSid: "SM1", From: "whatsapp:+5215550001", To: "whatsapp:+5215559999", Body: "Hola" };

class Chat extends Served {
  async people() {
    return Promise.all(["ana", "bob"].map((sub) => this.connected("/app", { token: token(sub) })));
  }

  send(socket, sent) {
    return socket.timeout(15_000).emitWithAck("message:send", sent);
  }

  async byHttp(sent) {
    const headers = { authorization: `Bearer ${token("rita")}`, "content-type": "application/json" };
    const { status, json } = await request(this.daemon.port, "/api/messages", { method: "POST", headers, body: JSON.stringify(sent) });
    return { status, code: json().error?.code, seq: json().data?.seq };
  }

  async customer() {
    return (await webhook(this.daemon.port, "https://chat.example/webhooks/twilio/whatsapp", inbound)).status;
  }

  async upload() {
    const form = new FormData();
    form.append("conversationId", WEB);
    form.append("file", new Blob([PNG], { type: "image/png" }), "a.png");
    const headers = { authorization: `Bearer ${token("ana")}` };
    const answer = await fetch(`${this.daemon.url}/api/media/upload`, { method: "POST", headers, body: form });
    return [answer.status, (await answer.json()).error?.code];
  }

  /** What needs no disk works. */
  async isLive([ana, bob]) {
    const typing = bob.record.next("typing:start");
    const ack = await ana.timeout(1_000).emitWithAck("typing:start", { conversationId: WEB });
    assert.equal(ack.ok, true);
    assert.equal((await typing).userId, "ana");
    const synced = await bob.timeout(1_000).emitWithAck("sync:state", { syncId: "s" });
    assert.deepEqual(synced.conversations.map(({ id }) => id), [WEB]);
    await ana.timeout(1_000).emitWithAck("typing:stop", { conversationId: WEB });
    await bob.record.next("typing:stop");
  }

  async health() {
    return (await super.health()).json().store;
  }
}

afterEach(async () => {
  for (const lock of Lock.held) await lock.letGo();
  await endRunning();
});

describe("utalk and its store", { skip: daemonOnly }, () => {
  test("a lock that is short is waited for; while a long one lasts nothing is told, and the same ids work when it is let go", async () => {
    const chat = await Chat.start(utalk({ settings: SETTINGS }));
    const people = await chat.people();
    const [ana, bob] = people;
    assert.equal((await chat.send(ana, message("m1"))).seq, 1);
    await bob.record.next("message:new");
    bob.emit("join:conversation", { conversationId: WEB });
    await bob.record.next("joined:conversation");
    const short = await Lock.of(`${chat.daemon.dir}/data/siod.db`);
    const waits = chat.send(ana, message("m2"));
    await chat.isLive(people);
    await short.letGo();
    assert.equal((await waits).seq, 2);
    await bob.record.next("message:new", ({ messageId }) => messageId === "m2");

    const long = await Lock.of(`${chat.daemon.dir}/data/siod.db`);
    const refused = Promise.all([chat.send(ana, message("m3")), chat.byHttp(message("m4")), chat.customer(), chat.upload()]);
    await chat.isLive(people);
    const [bySocket, byHttp, status, upload] = await refused;
    assert.deepEqual([bySocket.error.code, byHttp.status, byHttp.code, status], ["DATABASE_ERROR", 503, "DATABASE_ERROR", 503]);
    assert.deepEqual(upload, [503, "STORAGE_ERROR"]);
    assert.equal((await ana.record.next("message:error")).error.message, "Error de base de datos");
    assert.equal(await chat.health(), "degraded");
    await chat.isLive(people);
    assert.deepEqual(bob.record.of("message:new"), [], "nobody has heard of what is not on disk");
    await long.letGo();

    assert.equal((await chat.send(ana, message("m3"))).seq, 3);
    assert.deepEqual(await chat.byHttp(message("m4")), { status: 201, code: undefined, seq: 4 });
    assert.deepEqual([await chat.customer(), await chat.upload()], [200, [201, undefined]]);
    await until("it is well again", async () => (await chat.health()) === "ok");
    const heard = () => bob.record.of("message:new").map(({ messageId }) => messageId);
    await until("all are told", () => heard().length >= 3);
    assert.deepEqual(heard(), ["m3", "m4", "SM1"]);
  });

  test("a full disk refuses what has no room, and the same ids work when there is some; what was told is there after a crash", async () => {
    const chat = await Chat.start(utalk({ settings: SETTINGS }), { shell: "trap '' XFSZ; ulimit -S -f 2048" });
    const people = await chat.people();
    const [ana, bob] = people;
    bob.emit("presence:set", { status: "busy" });
    const sent = [];
    let refused;
    for (let n = 0; !refused && n < 1_000; n++) {
      const answer = await chat.send(ana, message(`m${n}`, "x".repeat(4_000)));
      if (answer.ok) sent.push(answer);
      else refused = { messageId: `m${n}`, ...answer.error };
    }
    assert.equal(refused?.code, "DATABASE_ERROR");
    assert.ok(sent.length > 10, `${sent.length} had room`);
    bob.emit("join:conversation", { conversationId: WEB });
    await bob.record.next("joined:conversation");
    await chat.isLive(people);
    assert.deepEqual(await chat.byHttp(message("h1", "x".repeat(4_000))), { status: 503, code: "DATABASE_ERROR", seq: undefined });
    assert.deepEqual(await chat.upload(), [503, "STORAGE_ERROR"]);
    // What is small may have had room in between, and then all is well for as long.
    await until("operators see it", async () => {
      assert.equal((await chat.byHttp(message("h2", "x".repeat(4_000)))).status, 503);
      return (await chat.health()) === "degraded";
    });
    await until("bob has heard of all", () => bob.record.of("message:new").length >= sent.length);
    assert.equal(bob.record.of("message:new").length, sent.length, "and of nothing else");

    execFileSync("prlimit", ["--pid", String(chat.daemon.child.pid), "--fsize=unlimited"]);
    const again = message(refused.messageId, "x".repeat(4_000));
    const answer = await until("there is room", async () => {
      const answer = await chat.send(ana, again);
      return answer.ok && answer;
    });
    assert.equal(answer.seq, sent.length + 1, "there is no hole");
    assert.deepEqual([await chat.customer(), await chat.upload()], [200, [201, undefined]]);
    assert.equal((await chat.byHttp(message("h1", "x".repeat(4_000)))).seq, sent.length + 2);
    chat.daemon.shell = undefined;
    await chat.daemon.restart({ crash: true });
    const [back] = await chat.people();
    for (const { messageId, id, seq } of [...sent, answer]) {
      const told = await chat.send(back, message(messageId, "x".repeat(4_000)));
      assert.deepEqual([told.id, told.seq, told.duplicate], [id, seq, true]);
    }
  });
});
