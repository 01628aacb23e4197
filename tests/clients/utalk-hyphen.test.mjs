// Clients that spell the events of utalk with hyphens, as they are in use: the official client on both transports, by every name in both
// directions, beside a client of the seed's names on a listener of its own.
import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { utalk } from "./lib/config.mjs";
import { daemonOnly, freePorts } from "./lib/daemon.mjs";
import { request } from "./lib/http.mjs";
import { mint } from "./lib/jwt.mjs";
import { Served, endRunning } from "./lib/served.mjs";
import { TRANSPORTS, once, refusal } from "./lib/socketio.mjs";
import { TOKEN, webhook } from "./lib/twilio.mjs";

const CUSTOMER = "+1234567890";
const OURS = "+0987654321";
const ONE = `conv_${CUSTOMER}_${OURS}`;
const ENCODED = encodeURIComponent(ONE);
const PNG = Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.alloc(2_000, "picture ")]);
const email = (sub) => `${sub}@example.com`;
const token = (sub, role = "agent", more = {}) =>
  mint({ sub, role, workspaceId: "default_workspace", tenantId: "default_tenant", email: email(sub), name: sub.toUpperCase(), ...more });

/** A daemon with a listener of the dialect, and one without. */
class Chat extends Served {
  static async start({ settings = "" } = {}) {
    const [plainPort] = await freePorts(1);
    const listener = `dialect = "hyphen"\n[[listener]]\nbind = "127.0.0.1:${plainPort}"\nroot = "utalk"`;
    const webhooks = `[apps.utalk.webhooks]\ntwilio_auth_tokens = ["${TOKEN}"]`;
    const chat = await super.start(utalk({ listener, settings: `${settings}\n${webhooks}` }));
    return Object.assign(chat, { plainPort });
  }

  /** Somebody who speaks the dialect, and has been told what there is. */
  async speaker(sub, role, options = {}) {
    const socket = this.client(options.namespace ?? "/", { token: token(sub, role) }, options);
    socket.greeted = await socket.record.next("state-synced");
    return socket;
  }

  plain(sub, role) {
    return this.connected("/app", { token: token(sub, role) }, { url: `http://127.0.0.1:${this.plainPort}` });
  }

  async http(bearer, method, path, body, port = this.daemon.port) {
    const headers = { authorization: `Bearer ${bearer}`, ...(body ? { "content-type": "application/json" } : {}) };
    const answer = await request(port, path, { method, headers, body: body && JSON.stringify(body) });
    return { status: answer.status, ...answer.json() };
  }

  /** The customer writes. */
  async customer(text) {
    const url = "http://chat.example/webhooks/twilio/whatsapp";
    const fields = { MessageSid: `SM${Math.random()}`, From: `whatsapp:${CUSTOMER}`, To: `whatsapp:${OURS}`, Body: text, NumMedia: "0" };
    const answer = await webhook(this.daemon.port, url, fields, { headers: { host: "chat.example" } });
    assert.equal(answer.status, 200, answer.body);
  }
}

const ask = (socket, name, payload) => socket.timeout(5_000).emitWithAck(name, payload);
const fields = (object) => Object.keys(object).sort();

afterEach(endRunning);

describe("the dialect hyphen of utalk", { skip: daemonOnly }, () => {
  for (const [name, options] of Object.entries(TRANSPORTS)) {
    test(`every name, in both directions: ${name}`, async () => {
      const chat = await Chat.start();
      const ana = await chat.speaker("ana", "agent", options);
      const plain = await chat.plain("bob", "admin");
      assert.match(ana.greeted.syncId, /^initial_\d+$/);
      assert.deepEqual(fields(ana.greeted), ["conversations", "onlineUsers", "serverTime", "syncId", "timestamp", "unreadCounts", "version"]);
      assert.deepEqual(await ana.record.next("presence-update", (seen) => seen.email === email("bob")).then(fields), ["email", "role", "status", "timestamp"]);

      // A customer writes: a new conversation, and then one message more.
      await chat.customer("hola");
      const created = await ana.record.next("webhook:conversation-created");
      assert.deepEqual([created.conversationId, created.conversation.customerPhone, created.conversation.workspaceId], [ONE, CUSTOMER, "default_workspace"]);
      const first = await ana.record.next("webhook:new-message");
      assert.equal(first.isNewConversation, true);
      assert.deepEqual(first.message.sender, { identifier: CUSTOMER, type: "customer" });
      await plain.record.next("message:new");
      await chat.customer("¿hay alguien?");
      const second = await ana.record.next("new-message");
      assert.equal(second.message.content, "¿hay alguien?");
      const event = await ana.record.next("conversation-event", ({ unreadCount }) => unreadCount === 2);
      assert.equal(event.updates.lastMessage.content, "¿hay alguien?");

      // Rooms, by all four names.
      for (const [join, leave] of [["join-conversation", "leave-conversation"], ["conversation:join", "conversation:leave"]]) {
        const ack = await ask(ana, join, { conversationId: ENCODED, roomId: "r" });
        const joined = await ana.record.next("conversation-joined");
        assert.deepEqual([joined.conversationId, joined.onlineUsers, joined.success, ack.ok], [ONE, [email("ana")], true, true]);
        assert.equal((await ana.record.next("websocket:state-synced")).roomId, ONE);
        ana.emit(leave, { conversationId: ONE });
        assert.equal((await ana.record.next("conversation-left")).conversationId, ONE);
      }
      await ask(ana, "join-conversation", { conversationId: ONE });
      const other = await chat.speaker("cleo", "agent", options);
      await ask(other, "join-conversation", { conversationId: ONE });
      assert.deepEqual(await ana.record.next("user-online").then(fields), ["conversationId", "email", "timestamp"]);

      // A message of hers arrives once, as ours; the answer arrives once, as hers.
      const sent = ana.record.next("message-sent");
      const ack = await ask(ana, "new-message", { conversationId: ONE, content: "Buenos días", type: "text", metadata: {}, timestamp: new Date().toISOString() });
      const message = await plain.record.next("message:new", ({ direction }) => direction === "outbound");
      assert.equal(message.text, "Buenos días");
      assert.deepEqual((await sent).message, ack.message);
      assert.deepEqual(
        [ack.message.id, ack.message.senderIdentifier, ack.message.recipientIdentifier],
        [message.id, `agent:${email("ana")}`, CUSTOMER],
      );
      plain.emit("message:send", { messageId: "m2", conversationId: ONE, type: "text", text: "Dígame" });
      const answer = await ana.record.next("new-message", ({ correlationId }) => correlationId === "m2");
      assert.equal(answer.message.senderIdentifier, `agent:${email("bob")}`);
      assert.deepEqual(ana.record.of("new-message", ({ message: { id } }) => id === answer.message.id || id === message.id), []);

      // What becomes of it.
      const admin = token("bob", "admin");
      await chat.http(admin, "PUT", `/api/messages/${message.id}/status`, { status: "delivered" });
      const delivered = await ana.record.next("message-delivered");
      assert.deepEqual([delivered.messageId, delivered.status], [message.id, "delivered"]);
      await chat.http(admin, "PUT", `/api/messages/${message.id}/status`, { status: "read" });
      assert.deepEqual((await ana.record.next("message-read")).messageIds, [message.id]);

      // Reading, by all three names.
      for (const read of ["mark-read", "message-read", "messages:read"]) {
        const read_ack = ana.record.next("message-read-ack");
        const acked = await ask(ana, read, { conversationId: ONE, messageIds: [second.message.id, "nobody's", first.message.id] });
        assert.deepEqual((await read_ack).messageIds, [second.message.id, first.message.id]);
        assert.deepEqual([acked.ok, acked.updated], [true, read === "mark-read" ? 2 : 0]);
      }
      const seen = await other.record.next("message-read", ({ readBy }) => readBy === email("ana"));
      assert.deepEqual(seen.messageIds, [first.message.id, second.message.id]);

      // Typing.
      for (const stop of ["typing-stop", "stop-typing"]) {
        ana.emit("typing", { conversationId: ONE, timestamp: 1 });
        assert.equal((await other.record.next("typing")).userEmail, email("ana"));
        ana.emit(stop, { conversationId: ONE });
        await other.record.next("typing-stop");
        assert.equal((await other.record.next("stop-typing")).userId, email("ana"));
      }

      // Work.
      ana.emit("agent:takeover", { conversationId: ENCODED });
      await ana.record.next("agent:takeover:acknowledged");
      const assigned = await ana.record.next("conversation-assigned");
      assert.deepEqual([assigned.assignedTo, assigned.isPrimary], [{ email: email("ana"), name: "ANA", role: "agent" }, true]);
      assert.equal((await ana.record.next("agent-assigned")).agentEmail, email("ana"));
      const updated = await ana.record.next("conversation-event", ({ updates }) => updates.assignedTo);
      assert.deepEqual([updated.updates.assignedTo, updated.updates.botEnabled], [email("ana"), false]);
      assert.equal((await other.record.next("conversation-left")).reason, "access_lost");
      assert.equal((await ana.record.next("user-offline")).email, email("cleo"));
      ana.emit("agent:return-to-bot", { conversationId: ONE, reason: "manual" });
      assert.equal((await ana.record.next("conversation-unassigned")).previousAssignedTo, email("ana"));
      await ana.record.next("agent-unassigned");
      await ask(other, "join-conversation", { conversationId: ONE });
      await ana.record.next("user-online");

      // What a sync says, and how one wants to be seen.
      const synced = ana.record.next("state-synced");
      ana.emit("sync-state", { timestamp: Date.now(), reason: "reconnect" });
      const { conversations, onlineUsers, unreadCounts } = await synced;
      assert.deepEqual([conversations[0].id, unreadCounts[ONE], onlineUsers[ONE]], [ONE, 0, [email("ana"), email("cleo")]]);
      ana.emit("user-status-change", { status: "invisible" });
      assert.equal((await ana.record.next("presence-update", (one) => one.email === email("ana"))).status, "offline");

      // Files.
      const form = new FormData();
      form.append("conversationId", ONE);
      form.append("file", new Blob([PNG], { type: "image/png" }), "plan.png");
      const headers = { authorization: `Bearer ${token("ana")}` };
      const uploaded = await fetch(`${chat.daemon.url}/api/media/upload`, { method: "POST", headers, body: form });
      const { data: file } = await uploaded.json();
      await ana.record.next("file-progress", ({ progress }) => progress === 100);
      assert.equal((await ana.record.next("file-uploaded")).id, file.id);
      const picture = await ask(ana, "new-message", { conversationId: ONE, type: "image", mediaId: file.id });
      assert.equal(picture.message.content, "plan.png");
      assert.deepEqual(Buffer.from(await (await fetch(picture.message.mediaUrl)).arrayBuffer()), PNG);

      // Errors.
      const copilot = await ask(ana, "copilot_chat_message", { conversationId: ONE, message: "¿qué digo?" });
      assert.equal((await ana.record.next("copilot_response")).error, copilot.error);
      const foreign = await ask(ana, "message:send", { messageId: "m", conversationId: ONE, text: "x" });
      assert.deepEqual([foreign.error.code, foreign.error.message], ["INVALID_EVENT", "Evento no permitido: message:send"]);
      ana.emit("new-message", { conversationId: ONE, messageId: "m2", content: "otra" });
      assert.equal((await ana.record.next("message-error")).code, "MESSAGE_ID_CONFLICT");
      ana.emit("join-conversation", { conversationId: "conv_nobody" });
      const error = await ana.record.next("error", ({ code }) => code === "ACCESS_DENIED");
      assert.equal(error.error, "ACCESS_DENIED");

      other.disconnect();
      assert.equal((await ana.record.next("user-offline")).email, email("cleo"));
      const ours = plain.record.events.map((one) => one.name).filter((one) => /-|webhook/.test(one));
      assert.deepEqual(ours.filter((one) => one !== "agent:return-to-bot"), [], "nobody else hears these names");
      const theirs = ana.record.events.map((one) => one.name).filter((one) => /^(message|conversation|typing|presence|user|state|media):/.test(one));
      assert.deepEqual(theirs, [], "and its clients hear no others for the same");
      const ended = ana.record.next("server-shutdown", () => true, 10_000);
      await Promise.all([chat.daemon.restart(), ended]);
    });
  }

  test("who may not come in is told what to do", async () => {
    const chat = await Chat.start();
    for (const [auth, message] of [
      [{}, "AUTHENTICATION_REQUIRED: JWT token required"],
      [{ token: "garbage" }, "AUTHENTICATION_FAILED: Invalid or expired token"],
      [{ token: token("ana", "agent", { exp: 1 }) }, "AUTHENTICATION_FAILED: Invalid or expired token"],
      [{ token: token("ana", "agent", { email: undefined }) }, "AUTHENTICATION_FAILED: Valid email required"],
    ]) {
      for (const transports of [["polling"], ["websocket"]]) {
        assert.equal((await refusal(chat.client("/", auth, { transports }))).message, message);
      }
    }
    const plain = chat.client("/app", {}, { url: `http://127.0.0.1:${chat.plainPort}` });
    assert.equal((await refusal(plain)).message, "Authentication failed");
  });

  test("too many events", async () => {
    const chat = await Chat.start({ settings: '[apps.utalk.events_per_minute]\n"typing:start" = 1' });
    const ana = await chat.speaker("ana", "agent");
    await ask(ana, "new-message", { conversationId: "conv_test", content: "hola" });
    await ask(ana, "typing", { conversationId: "conv_test" });
    const ack = await ask(ana, "typing", { conversationId: "conv_test" });
    const error = await ana.record.next("error");
    assert.deepEqual([error.code, error.error, error.message, error.retryAfter], ["RATE_LIMITED", "RATE_LIMITED", "Too many events", 60]);
    assert.deepEqual(ack.error, error);
  });

  test("HTTP has its shapes, and assigns a conversation once", async () => {
    const chat = await Chat.start();
    const agents = ["ana", "bob", "cleo"];
    const sockets = await Promise.all(agents.map((sub) => chat.speaker(sub, "agent", { namespace: "/app" })));
    await chat.customer("hola");
    await sockets[0].record.next("webhook:new-message");
    const assigned = await Promise.all(
      agents.map((sub) => chat.http(token(sub), "POST", `/api/conversations/${encodeURIComponent(ENCODED)}/assign`, { agentEmail: email(sub) })),
    );
    assert.deepEqual(assigned.map(({ status }) => status).sort(), [200, 409, 409]);
    const winner = agents[assigned.findIndex(({ status }) => status === 200)];
    const bearer = token(winner);
    const list = await chat.http(bearer, "GET", "/api/conversations?page=1&limit=10");
    assert.deepEqual([list.data.length, list.data[0].id, list.data[0].assignedTo], [1, ONE, email(winner)]);
    const agentsOf = await chat.http(bearer, "GET", `/api/conversations/${ENCODED}/assigned-agents`);
    assert.deepEqual(fields(agentsOf.assignedAgents[0]).filter((name) => name !== "id"), ["assignedAt", "assignedBy", "email", "isPrimary", "name", "role"]);
    const sent = await chat.http(bearer, "POST", `/api/conversations/${ENCODED}/messages`, { content: "Buenos días" });
    assert.deepEqual([sent.status, sent.data.message.content, sent.data.conversation.contact.phoneNumber], [201, "Buenos días", CUSTOMER]);
    const mine = sockets[agents.indexOf(winner)];
    assert.equal((await mine.record.next("new-message")).message.id, sent.data.message.id, "a call has no socket");
    const permissions = await chat.http(bearer, "GET", "/api/module-permissions/my-permissions");
    assert.deepEqual(permissions.data.permissions.permissions.modules.chat, { read: true, write: true, configure: false });
    const plain = await chat.http(bearer, "GET", "/api/conversations", undefined, chat.plainPort);
    assert.equal(plain.data.conversations[0].assignedAgent, winner);
    await mine.record.next("conversation-assigned");
    for (const other of sockets.filter((socket) => socket !== mine)) {
      assert.deepEqual(await other.record.next("conversation-left"), { conversationId: ONE, reason: "access_lost" });
    }
  });

  test("a restart changes nothing", async () => {
    const chat = await Chat.start();
    const ana = await chat.speaker("ana", "agent");
    const payload = { messageId: "m1", conversationId: "conv_test", content: "hola" };
    const { message } = await ask(ana, "new-message", payload);
    const gone = once(ana, "disconnect", 10_000);
    await chat.daemon.restart({ crash: true });
    await gone;
    const back = await chat.speaker("ana", "agent");
    assert.equal(back.greeted.conversations[0].lastMessage.content, "hola");
    assert.equal((await ask(back, "new-message", payload)).message.id, message.id);
  });
});
