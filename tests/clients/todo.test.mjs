// The example application that docs/ADDING-AN-APPLICATION.md walks through: its events, its table over a crash, its route, its page.
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { SECRET } from "./lib/config.mjs";
import { BIN, daemonOnly, startDaemon } from "./lib/daemon.mjs";
import { request } from "./lib/http.mjs";
import { mint } from "./lib/jwt.mjs";
import { Clients, Recorder, connected, refusal } from "./lib/socketio.mjs";

const config = (daemon) => `
[server]
data_dir = "${daemon.dir}/data"
[[listener]]
bind = "127.0.0.1:${daemon.port}"
root = "todo"
[admin]
bind = "127.0.0.1:${daemon.adminPort}"
[auth]
mode = "jwt"
jwt_secret = "${SECRET}"
`;

const bearer = (tenantId) => mint({ sub: "ana", tenantId });

describe("the example application", { skip: daemonOnly }, () => {
  const clients = new Clients();
  let daemon;
  before(async () => (daemon = await startDaemon(config, { bin: join(dirname(BIN), "examples/todo") })));
  after(async () => {
    clients.closeAll();
    await daemon.stop();
  });

  /** A client of this tenant, with all it hears from its first packet on. */
  async function member(tenantId, namespace = "/todo") {
    const socket = clients.create(daemon.url + namespace, { auth: { token: bearer(tenantId) } });
    const heard = new Recorder(socket);
    await connected(socket);
    return { heard, list: (await heard.next("todo:list")).items, ask: (name, payload) => socket.timeout(5_000).emitWithAck(name, payload) };
  }

  test("everybody of a tenant sees the list, nobody else does, and a crash loses nothing that was acknowledged", async () => {
    const [ana, ben, eve] = [await member("a"), await member("a", "/"), await member("b")];
    assert.deepEqual(ana.list, []);
    const milk = { id: 1, text: "Milk", done: false };
    assert.deepEqual(await ana.ask("todo:add", { text: "Milk" }), { ok: true, ...milk });
    assert.deepEqual(await ben.heard.next("todo:added"), milk);
    await ana.ask("todo:add", { text: "Bread" });
    assert.deepEqual(await ben.ask("todo:done", { id: 1 }), { ok: true, ...milk, done: true });
    assert.equal((await ana.heard.next("todo:done")).id, 1);
    assert.deepEqual(eve.heard.events, []);

    await daemon.restart({ crash: true });
    const items = [{ ...milk, done: true }, { id: 2, text: "Bread", done: false }];
    assert.deepEqual((await member("a")).list, items);
    const answer = await request(daemon.port, "/todo/items", { headers: { authorization: `Bearer ${bearer("a")}` } });
    assert.deepEqual(answer.json(), { items });
  });

  test("what is wrong is refused, and changes nothing", async () => {
    const { ask, heard, list } = await member("c");
    for (const [name, payload, code] of [
      ["todo:add", {}, "VALIDATION"],
      ["todo:add", { text: "" }, "VALIDATION"],
      ["todo:add", { text: "x".repeat(501) }, "VALIDATION"],
      ["todo:add", "text", "VALIDATION"],
      ["todo:done", { id: "1" }, "VALIDATION"],
      ["todo:done", { id: 1 }, "NOT_FOUND"],
    ]) {
      assert.equal((await ask(name, payload)).error.code, code, `${name} ${JSON.stringify(payload)}`);
      assert.equal((await heard.next("todo:error")).code, code);
    }
    assert.equal((await ask("todo:paint", {})).error.code, "UNKNOWN_EVENT");
    assert.deepEqual([list, (await member("c")).list], [[], []]);
    assert.equal((await refusal(clients.create(`${daemon.url}/todo`))).message, "Not without a token");
    assert.equal((await request(daemon.port, "/todo/items")).status, 401);
    assert.equal((await request(daemon.port, "/todo/items", { method: "POST" })).headers.allow, "GET, HEAD");
  });

  test("its page and its script are served", async () => {
    const page = await request(daemon.port, "/todo/");
    assert.match(page.body, /<h1>To do<\/h1>/);
    assert.match(page.headers["content-type"], /^text\/html/);
    assert.match((await request(daemon.port, "/todo/todo.js")).headers["content-type"], /^text\/javascript/);
    assert.match((await request(daemon.port, "/")).body, /siod/);
  });
});
