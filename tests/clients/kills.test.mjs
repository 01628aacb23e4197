// kill -9 while utalk writes (F-01, F-04): what it has acknowledged is there exactly once and in its order, and every id that is brought
// again gets one answer, the first one where there was one. SIOD_KILLS is how often.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { afterEach, describe, test } from "node:test";
import { utalk } from "./lib/config.mjs";
import { daemonOnly } from "./lib/daemon.mjs";
import { request } from "./lib/http.mjs";
import { mint } from "./lib/jwt.mjs";
import { Served, endRunning } from "./lib/served.mjs";
import { TOKEN, webhook } from "./lib/twilio.mjs";
import { sleep, until } from "./lib/wait.mjs";

const KILLS = Number(process.env.SIOD_KILLS ?? 20);
const [CUSTOMER, OURS] = ["+5215550001", "+5215559999"];
const [PHONE, WEB] = [`conv_${CUSTOMER}_${OURS}`, "conv_web"];
const CONVERSATIONS = [["w1", WEB], ["w1", PHONE], ["w2", WEB]];
const LANES = 8;
const SETTINGS = `
public_url = "https://chat.example"
[apps.utalk.events_per_minute]
"message:send" = 0
[[apps.utalk.numbers]]
number = "${OURS}"
workspace = "w1"
tenant = "t1"
[apps.utalk.webhooks]
twilio_auth_tokens = ["${TOKEN}"]
`;

const below = (end) => Math.floor(Math.random() * end);
const token = (sub, workspaceId) => mint({ sub, role: "admin", workspaceId, tenantId: "t1" });
const keyOf = ({ workspace, messageId }) => `${workspace} ${messageId}`;

/** One who sends into some conversations of a workspace: each message by the first of some ways, or now and then by all of them at once. */
class Sender {
  constructor(workspace, conversations, ways) {
    Object.assign(this, { workspace, conversations, ways, name: `${workspace} ${ways[0].name}` });
  }

  fresh() {
    const conversationId = this.conversations[below(this.conversations.length)];
    return { messageId: randomUUID(), conversationId, type: "text", text: `from ${this.name}` };
  }

  /** Notes in `asked` what was sent by which way, and its answer. Whether all were answered. */
  async send(message, asked) {
    const ways = below(8) === 0 ? this.ways : this.ways.slice(0, 1);
    const requests = ways.map((way) => ({ way, message, sender: this, workspace: this.workspace, messageId: message.messageId }));
    asked.push(...requests);
    await Promise.all(requests.map(async (one) => {
      one.answer = await one.way.says(message).catch((error) => {
        if (error instanceof assert.AssertionError) throw error;
      });
    }));
    return requests.every(({ answer }) => answer);
  }
}

const bySocket = (socket) => ({
  name: socket.nsp,
  socket,
  async says(message) {
    if (!socket.connected) return undefined;
    const { ok, id, seq, duplicate, error } = await socket.emitWithAck("message:send", message);
    assert.ok(ok, JSON.stringify(error));
    return { id, seq, duplicate };
  },
});

const byHttp = (port, bearer) => ({
  name: "HTTP",
  async says(message) {
    const headers = { authorization: `Bearer ${bearer}`, "content-type": "application/json" };
    const answer = await request(port, "/api/messages", { method: "POST", headers, body: JSON.stringify(message) });
    const { data, error } = answer.json();
    if (answer.status === 201) return { id: data.id, seq: data.seq, duplicate: false };
    assert.deepEqual([answer.status, error.code], [409, "MESSAGE_DUPLICATE"]);
    return { id: error.details.existingMessageId, duplicate: true };
  },
});

const byWebhook = (port) => ({
  name: "webhook",
  async says({ messageId, text }) {
    const fields = { MessageSid: messageId, From: `whatsapp:${CUSTOMER}`, To: `whatsapp:${OURS}`, Body: text };
    const answer = await webhook(port, "https://chat.example/webhooks/twilio/whatsapp", fields);
    assert.deepEqual([answer.status, answer.json().messageId], [200, messageId], answer.body);
    return {};
  },
});

class Chat extends Served {
  /** What was read of each conversation: ids, the first of seq 1. */
  read = new Map();

  /** Ana by two sockets, Eva by one, Rita by HTTP in both workspaces, and a customer. */
  async senders() {
    const { port } = this.daemon;
    const [ana, twin, eva] = await Promise.all([["/app", "ana", "w1"], ["/agent", "ana", "w1"], ["/app", "eva", "w2"]].map(
      async ([namespace, sub, workspace]) => bySocket(await this.connected(namespace, { token: token(sub, workspace) }))));
    return [
      new Sender("w1", [WEB, PHONE], [ana, twin]),
      new Sender("w1", [WEB, PHONE], [twin, ana]),
      new Sender("w2", [WEB], [eva]),
      new Sender("w1", [WEB], [byHttp(port, token("rita", "w1"))]),
      new Sender("w2", [WEB], [byHttp(port, token("rita", "w2"))]),
      new Sender("w1", [PHONE], [byWebhook(port)]),
    ];
  }

  /** Sends from all sides until the daemon is killed; what was asked for, and what sockets have heard of others. */
  async load() {
    const [senders, asked] = [await this.senders(), []];
    const lanes = senders.flatMap((sender) => Array.from({ length: LANES }, async () => {
      while (await sender.send(sender.fresh(), asked));
    }));
    if (below(5) > 0) await until("the first one is acknowledged", () => asked.some(({ answer }) => answer));
    await sleep(below(500));
    await this.daemon.kill();
    await Promise.all(lanes);
    const told = senders.flatMap(({ workspace, ways: [{ socket }] }) =>
      (socket?.record.of("message:new") ?? []).map((message) => ({ ...message, workspace })));
    return { asked, told };
  }

  /** Brings every message again as the one who has sent it; the requests and their answers. */
  async retry(asked) {
    const [senders, again] = [await this.senders(), []];
    const waiting = [...new Map(asked.map((one) => [one.messageId, one])).values()];
    await Promise.all(Array.from({ length: 4 * LANES }, async () => {
      for (let one = waiting.shift(); one; one = waiting.shift()) {
        const sender = senders.find(({ name }) => name === one.sender.name);
        assert.ok(await sender.send(one.message, again), "it is answered");
      }
    }));
    for (const { socket, name } of senders.map(({ ways }) => ways[0])) {
      const count = again.filter(({ way }) => way.socket === socket).length;
      const answers = () => socket.record.of("message:sent").length;
      if (socket) await until(`each has its answer by ${name}`, () => answers() >= count);
      if (socket) assert.deepEqual([answers(), socket.record.of("error").length], [count, 0], "one answer each");
    }
    this.clients.closeAll();
    return again;
  }

  /** What has come to all conversations since they were read last. */
  async catchUp() {
    const all = [];
    for (const [workspace, conversation] of CONVERSATIONS) {
      const ids = this.read.get(workspace + conversation) ?? [];
      const news = (await this.beyond(workspace, conversation, ids.length)).reverse();
      assert.deepEqual(news.map(({ seq }) => seq), news.map((_, at) => ids.length + 1 + at), "no seq is missing or doubled");
      this.read.set(workspace + conversation, [...ids, ...news.map(({ id }) => id)]);
      all.push(...news.map((message) => ({ ...message, workspace })));
    }
    const byKey = new Map(all.map((message) => [keyOf(message), message]));
    assert.equal(byKey.size, all.length, "no messageId is there twice");
    return byKey;
  }

  /** Messages of a conversation with a seq above one, the newest first. */
  async beyond(workspace, conversation, seq) {
    const [messages, path] = [[], `/api/conversations/${encodeURIComponent(conversation)}/messages?limit=100`];
    for (let cursor = ""; cursor !== null && !messages.some((message) => message.seq <= seq);) {
      const headers = { authorization: `Bearer ${token("reader", workspace)}` };
      const answer = await request(this.daemon.port, `${path}&cursor=${cursor}`, { headers });
      if (answer.status === 404) break;
      const { data } = answer.json();
      messages.push(...data.messages);
      cursor = data.pagination.nextCursor;
    }
    return messages.filter((message) => message.seq > seq);
  }
}

/** Of what one socket alone has sent into one conversation, the first ones are there, in their order. */
function inOrder(asked, stored) {
  const requests = groups(asked, keyOf);
  const alone = asked.filter((one) => one.way.socket && requests.get(keyOf(one)).length === 1);
  for (const sent of groups(alone, ({ sender, message }) => `${sender.name} ${message.conversationId}`).values()) {
    const seqs = sent.map((one) => stored.get(keyOf(one))?.seq);
    const there = seqs.filter(Boolean);
    assert.deepEqual(seqs.slice(0, there.length), there.toSorted((a, b) => a - b), "a prefix, in the order of its sending");
  }
}

function groups(items, keyOf) {
  const groups = new Map();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}

afterEach(endRunning);

describe("utalk, killed", { skip: daemonOnly }, () => {
  test(`${KILLS} times under load`, async (t) => {
    const chat = await Chat.start(utalk({ settings: SETTINGS }));
    const counts = { kills: 0, acknowledged: 0, unanswered: 0, "of them on disk": 0, "brought again": 0, "heard by others": 0 };
    for (; counts.kills < KILLS; counts.kills++) {
      const { asked, told } = await chat.load();
      await chat.daemon.spawn();
      const stored = await chat.catchUp();
      const acknowledged = asked.filter(({ answer }) => answer);
      for (const one of acknowledged) {
        const there = stored.get(keyOf(one));
        assert.ok(there, `${one.messageId} was acknowledged by ${one.sender.name}`);
        const { id = there.id, seq = there.seq } = one.answer;
        assert.deepEqual([id, seq], [there.id, there.seq]);
      }
      for (const one of told) assert.equal(stored.get(keyOf(one))?.seq, one.seq, `others have heard of ${one.messageId}`);
      inOrder(asked, stored);

      const again = await chat.retry(asked);
      const added = await chat.catchUp();
      for (const [key, answers] of groups(again, keyOf)) {
        // A webhook tells nothing but that it was heard.
        const told = answers.map(({ answer }) => answer).filter(({ id }) => id);
        assert.ok(told.every(({ id }) => id === (stored.get(key) ?? added.get(key)).id), key);
        const firsts = told.filter(({ duplicate }) => !duplicate).length;
        assert.equal(firsts, stored.has(key) || told.length === 0 ? 0 : 1, `${key} is written once`);
      }
      const all = [...stored.keys(), ...added.keys()];
      assert.deepEqual(all.sort(), [...groups(asked, keyOf).keys()].sort(), "each is there once, and nothing else");

      const unanswered = asked.filter(({ answer }) => !answer);
      counts.acknowledged += acknowledged.length;
      counts.unanswered += unanswered.length;
      counts["of them on disk"] += unanswered.filter((one) => stored.has(keyOf(one))).length;
      counts["brought again"] += again.length;
      counts["heard by others"] += told.length;
    }
    const read = chat.read;
    chat.read = new Map();
    await chat.catchUp();
    assert.deepEqual(chat.read, read, "nothing has changed since it was read first");
    const messages = [...read.values()].flat();
    assert.equal(new Set(messages).size, messages.length, "no id is there twice");
    t.diagnostic(`${Object.entries({ ...counts, "on disk": messages.length }).map(([what, count]) => `${count} ${what}`).join(", ")}`);
  });
});
