// utalk by HTTP beside the official client: logins, refusals as clients know them, conversations and messages told to sockets.
import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { utalk } from "./lib/config.mjs";
import { daemonOnly } from "./lib/daemon.mjs";
import { request } from "./lib/http.mjs";
import { mint } from "./lib/jwt.mjs";
import { Served, endRunning } from "./lib/served.mjs";
import { once, refusal } from "./lib/socketio.mjs";
import { until } from "./lib/wait.mjs";

const ONE = "conv_+1234567890_+0987654321";
const PATH = `/api/conversations/${encodeURIComponent(ONE)}`;

afterEach(endRunning);

const token = (sub, role, claims = {}) => mint({ sub, role, email: `${sub}@x`, tenantId: "t", workspaceId: "w1", ...claims });

/** A daemon whose root is utalk, and what asks it. */
class Chat extends Served {
  async ask(method, path, { bearer, body, headers = {} } = {}) {
    const all = { ...headers };
    if (bearer) all.authorization = `Bearer ${bearer}`;
    if (body !== undefined) all["content-type"] = "application/json";
    const answer = await request(this.daemon.port, path, { method, headers: all, body: body && JSON.stringify(body) });
    return { status: answer.status, headers: answer.headers, body: answer.body ? answer.json() : null };
  }

  /** Status and code of what is refused, which has the form of every refusal. */
  async refused(method, path, options) {
    const { status, body } = await this.ask(method, path, options);
    assert.equal(body.success, false);
    assert.equal(typeof body.error.type, "string");
    assert.equal(body.error.message, body.message);
    assert.match(body.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    return [status, body.error.code];
  }

  async login(email, password) {
    return this.ask("POST", "/api/auth/login", { body: { email, password } });
  }

  async account(email = "ana@x") {
    const body = { email, password: "correct horse", name: "Ana", role: "agent" };
    const made = await this.ask("POST", "/api/auth/create-user", { bearer: token("boss", "admin"), body });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    return (await this.login(email, "correct horse")).body.data;
  }
}

const start = (options) => Chat.start(utalk(options));
const text = (messageId, body = "hola") => ({ messageId, conversationId: ONE, type: "text", text: body });

describe("utalk by HTTP", { skip: daemonOnly }, () => {
  test("a login gives tokens that sockets and HTTP take, and a refresh token is good once", async () => {
    const chat = await start();
    const first = await chat.account();
    assert.ok(first.refreshToken.startsWith("eyJ") && first.expiresIn === 900);
    const me = await chat.ask("GET", "/api/users/me", { bearer: first.accessToken });
    assert.deepEqual([me.status, me.body.success, me.body.data], [200, true, first.user]);
    const socket = await chat.connected("/app", { token: first.accessToken });
    const renew = (refreshToken) => chat.ask("POST", "/api/auth/refresh", { body: { refreshToken } });
    const second = (await renew(first.refreshToken)).body.data;
    await chat.daemon.restart({ crash: true });
    const third = await renew(second.refreshToken);
    assert.equal(third.status, 200, "kept over a crash");
    assert.deepEqual((await renew(first.refreshToken)).status, 401, "brought again");
    assert.deepEqual((await renew(third.body.data.refreshToken)).status, 401, "its family has ended");
    socket.close();
  });

  test("a logout is a success, whatever it brings", async () => {
    const chat = await start();
    for (const body of [undefined, {}, { refreshToken: "eyJ" }]) {
      assert.equal((await chat.ask("POST", "/api/auth/logout", { body })).status, 200);
    }
  });

  test("an agent gets a conversation, hands it on and leaves it; an escalation begins and is decided", async () => {
    const chat = await start();
    const [ana, bea, boss] = [token("ana", "agent"), token("bea", "agent"), token("boss", "admin")];
    const socket = await chat.connected("/app", { token: bea });
    await chat.connected("/app", { token: ana });
    await chat.ask("POST", "/api/messages", { bearer: ana, body: text("m1") });
    const ask = async (bearer, method, path, body) => (await chat.ask(method, path, { bearer, body })).body.data;
    const refused = (bearer, method, path, body) => chat.refused(method, path, { bearer, body });
    const opened = await ask(boss, "POST", "/api/conversations", { customerPhone: "+34911222333", assignedTo: "ana@x" });
    assert.deepEqual([opened.assignedAgent, opened.botEnabled], ["ana", false]);
    assert.deepEqual(await refused(ana, "PUT", `${PATH}/unassign`), [400, "CONVERSATION_NOT_ASSIGNED"]);
    assert.equal((await ask(boss, "POST", `${PATH}/assign`, { agentEmail: "ana@x" })).assignedAgent, "ana");
    assert.deepEqual(await refused(bea, "PUT", `${PATH}/assign`, { agentId: "bea" }), [409, "CONVERSATION_ALREADY_ASSIGNED"]);
    assert.equal((await ask(ana, "POST", `${PATH}/transfer`, { toAgent: "bea" })).toAgent, "bea");
    assert.equal((await socket.record.next("conversation:assigned", ({ fromAgent }) => fromAgent === "ana")).reason, "transfer");
    assert.equal((await ask(bea, "PUT", `${PATH}/unassign`)).assignedAgent, null);
    await ask(bea, "PUT", `${PATH}/assign`, { assignedTo: "bea" });
    assert.equal((await ask(bea, "POST", `${PATH}/return-to-bot`)).botEnabled, true);
    assert.equal((await socket.record.next("bot:resumed")).reason, "agent_returned");
    const escalate = () => ask(ana, "POST", "/api/escalate", { conversationId: ONE, reason: "manual" });
    const first = await escalate();
    assert.equal((await ask(bea, "POST", `/api/escalations/${first.id}/accept`)).status, "accepted");
    assert.deepEqual(await refused(bea, "POST", `/api/escalations/${first.id}/accept`), [409, "ESCALATION_NOT_PENDING"]);
    await ask(bea, "POST", `${PATH}/return-to-bot`);
    const second = await escalate();
    assert.equal((await ask(bea, "POST", `/api/escalations/${second.id}/reject`)).status, "rejected");
  });

  test("one of two who bring the same refresh token at once is refused, and both are logged out", async () => {
    const chat = await start();
    const { refreshToken } = await chat.account();
    const renew = (refreshToken) => chat.ask("POST", "/api/auth/refresh", { body: { refreshToken } });
    const both = await Promise.all([renew(refreshToken), renew(refreshToken)]);
    assert.deepEqual(both.map(({ status }) => status).sort(), [200, 401]);
    const next = both.find(({ status }) => status === 200).body.data.refreshToken;
    assert.equal((await renew(next)).status, 401);
  });

  test("a token that is missing, has ended or is none has a code of its own", async () => {
    const chat = await start();
    const past = Math.floor(Date.now() / 1_000) - 1;
    const me = "/api/users/me";
    assert.deepEqual(await chat.refused("GET", me), [401, "MISSING_AUTHORIZATION_HEADER"]);
    assert.deepEqual(await chat.refused("GET", me, { bearer: token("a", "agent", { exp: past }) }), [401, "TOKEN_EXPIRED"]);
    assert.deepEqual(await chat.refused("GET", me, { bearer: "garbage" }), [401, "MALFORMED_TOKEN"]);
    const foreign = mint({ sub: "a" }, { secret: "another secret of thirty-two bytes!!" });
    assert.deepEqual(await chat.refused("GET", me, { bearer: foreign }), [401, "MALFORMED_TOKEN"]);
    assert.deepEqual(await chat.refused("GET", me, { bearer: token("a", "agent", { type: "refresh" }) }), [401, "MALFORMED_TOKEN"]);
  });

  test("what is not there is 404 in the form, another method 405 with what is allowed, and paths are bare at the root alone", async () => {
    const chat = await start();
    assert.deepEqual(await chat.refused("GET", "/api/nothing"), [404, "ROUTE_NOT_FOUND"]);
    assert.deepEqual(await chat.refused("PATCH", "/api/auth/login"), [405, "METHOD_NOT_ALLOWED"]);
    const other = await chat.ask("DELETE", "/api/auth/login");
    assert.equal(other.headers.allow, "POST");
    assert.equal((await chat.ask("GET", "/utalk/api/users/me", { bearer: token("a", "agent") })).status, 200);
    const socket = await chat.ask("GET", "/health/socket");
    assert.deepEqual([socket.status, socket.body.redis], [200, { connected: false, status: "disabled" }]);
    for (const [name, body] of [["no JSON", "{"], ["no object", "[]"]]) {
      const headers = { "content-type": "application/json" };
      const answer = await request(chat.daemon.port, "/api/auth/login", { method: "POST", headers, body });
      assert.deepEqual([answer.status, answer.json().error.code], [400, "VALIDATION_ERROR"], name);
    }
  });

  test("a preflight allows the methods and headers that pages use, on the engine's path as well", async () => {
    const chat = await start({ listener: 'cors_origins = ["https://page.example"]' });
    for (const path of ["/api/conversations", "/socket.io/?EIO=4&transport=polling"]) {
      const headers = {
        origin: "https://page.example",
        "access-control-request-method": "PATCH",
        "access-control-request-headers": "authorization,content-type,x-mine",
      };
      const answer = await request(chat.daemon.port, path, { method: "OPTIONS", headers });
      assert.ok(answer.status === 200 || answer.status === 204, `${path}: ${answer.status}`);
      const methods = answer.headers["access-control-allow-methods"].split(",").map((name) => name.trim());
      for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) assert.ok(methods.includes(method), `${path}: ${method}`);
      assert.equal(answer.headers["access-control-allow-headers"], "authorization,content-type,x-mine", path);
      assert.equal(answer.headers["access-control-allow-origin"], "https://page.example", path);
    }
    const bearer = token("a", "agent");
    for (const [origin, allowed] of [["https://page.example", "https://page.example"], ["https://evil.example", undefined]]) {
      const answer = await chat.ask("GET", "/api/users/me", { bearer, headers: { origin } });
      assert.deepEqual([answer.status, answer.headers["access-control-allow-origin"]], [200, allowed]);
      const refused = await chat.ask("GET", "/api/users/me", { headers: { origin } });
      assert.deepEqual([refused.status, refused.headers["access-control-allow-origin"]], [401, allowed], "a page reads refusals");
    }
    const plain = await chat.ask("OPTIONS", "/api/users/me", { headers: { origin: "https://page.example" } });
    assert.equal(plain.status, 405, "no preflight");
  });

  test("a sixth login in a minute is told when to come back", async () => {
    const chat = await start();
    for (let attempt = 0; attempt < 5; attempt++) assert.equal((await chat.login("nobody@x", "x")).status, 401);
    const sixth = await chat.login("nobody@x", "x");
    assert.deepEqual([sixth.status, sixth.body.error.code], [429, "RATE_LIMIT_EXCEEDED"]);
    const after = Number(sixth.headers["retry-after"]);
    assert.ok(after >= 1 && after <= 12, `${after}`);
  });

  test("a user who is suspended is expelled from every namespace and refused everywhere", async () => {
    const chat = await start();
    const { accessToken, user } = await chat.account();
    const sockets = await Promise.all(["/app", "/agent"].map((name) => chat.connected(name, { token: accessToken })));
    const gone = sockets.map((socket) => Promise.all([once(socket, "user:expelled"), once(socket, "disconnect")]));
    const body = { status: "banned" };
    const path = `/api/users/${user.id}/status`;
    assert.equal((await chat.ask("PUT", path, { bearer: token("boss", "admin"), body })).status, 200);
    for (const [[expelled], [reason]] of await Promise.all(gone)) {
      assert.deepEqual(expelled, { reason: "account_suspended", message: "Tu cuenta ha sido suspendida" });
      assert.equal(reason, "io server disconnect");
    }
    const refused = await refusal(chat.client("/app", { token: accessToken }));
    assert.equal(refused.data.code, "ACCOUNT_SUSPENDED");
    assert.deepEqual(await chat.refused("GET", "/api/users/me", { bearer: accessToken }), [403, "USER_INACTIVE"]);
  });

  test("a message by HTTP is on disk when it is answered, told to sockets, and the same message again by any way", async () => {
    const chat = await start();
    const bearer = token("ana", "agent");
    const socket = await chat.connected("/app", { token: bearer });
    const sent = await chat.ask("POST", "/api/messages", { bearer, body: text("m1") });
    assert.deepEqual([sent.status, sent.body.data.seq, sent.body.data.status], [201, 1, "sent"]);
    await until("the socket hears", () => socket.record.of("conversation:updated").length === 1);
    assert.equal(socket.record.of("message:new")[0].id, sent.body.data.id);
    await chat.daemon.restart({ crash: true });
    assert.deepEqual(await chat.refused("POST", "/api/messages", { bearer, body: text("m1") }), [409, "MESSAGE_DUPLICATE"]);
    assert.deepEqual(await chat.refused("POST", "/api/messages", { bearer, body: text("m1", "otra") }), [409, "MESSAGE_ID_CONFLICT"]);
    const again = await chat.connected("/app", { token: bearer });
    const ack = await again.timeout(5_000).emitWithAck("message:send", text("m1"));
    assert.deepEqual([ack.ok, ack.id, ack.duplicate], [true, sent.body.data.id, true]);
    const reply = await chat.ask("POST", `${PATH}/messages`, { bearer, body: { content: "dos" } });
    assert.deepEqual([reply.status, reply.body.data.message.seq, reply.body.data.conversation.messageCount], [201, 2, 2]);
    const list = await chat.ask("GET", `${PATH}/messages?limit=1`, { bearer });
    assert.deepEqual([list.body.data.messages[0].text, list.body.data.pagination.hasMore], ["dos", true]);
  });

  test("a conversation is listed, shown and changed for its own workspace alone", async () => {
    const chat = await start();
    const bearer = token("ana", "agent");
    await chat.ask("POST", "/api/messages", { bearer, body: text("m1") });
    const socket = await chat.connected("/app", { token: bearer });
    const changed = await chat.ask("PUT", PATH, { bearer, body: { customerName: "Juan", priority: "urgent", tags: ["vip"] } });
    assert.deepEqual([changed.status, changed.body.data.priority, changed.body.data.tags], [200, "urgent", ["vip"]]);
    await until("it is told", () => socket.record.of("conversation:updated").some((told) => told.customerName === "Juan"));
    const listed = await chat.ask("GET", "/api/conversations?search=juan&status=open", { bearer });
    assert.deepEqual(listed.body.data.conversations.map(({ id }) => id), [ONE]);
    const other = token("eva", "admin", { workspaceId: "w2" });
    assert.deepEqual((await chat.ask("GET", "/api/conversations", { bearer: other })).body.data.conversations, []);
    assert.deepEqual(await chat.refused("GET", PATH, { bearer: other }), [404, "CONVERSATION_NOT_FOUND"]);
    assert.deepEqual(await chat.refused("PUT", PATH, { bearer: token("v", "viewer"), body: { priority: "low" } }), [403, "FORBIDDEN"]);
  });
});
