// The fake Shelly cloud itself: HTTP v2 by a client people have, the rest as its documents say, and how it misbehaves. Its devices are
// tried in python/test_shelly.py.
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import cloudNode from "node-red-contrib-shelly/shelly/nodes/cloud-node.js";
import cloudServer from "node-red-contrib-shelly/shelly/nodes/cloud-server-node.js";
import { WebSocket } from "ws";
import { Cloud, CUTS, HANGS } from "./lib/shelly/cloud.mjs";
import { Queue, within } from "./lib/wait.mjs";

const HEX = "b0b21c12dd94";
const DECIMAL = "194279021665684";
const sha1 = (text) => createHash("sha1").update(text).digest("hex");

describe("the fake cloud", () => {
  let cloud, account, device;
  before(async () => {
    cloud = await Cloud.start();
    account = cloud.account();
    device = account.adds(HEX);
    account.adds("aabbcc112233", { model: "plug-s" });
  });
  after(() => cloud.stop());

  /** A node of Node-RED that calls the cloud: what it sends on, or the error it shows. */
  function nodeRed(authkey = account.authKey) {
    const nodes = [];
    const RED = { nodes: { createNode: (node) => nodes.push(Object.assign(node, EventEmitter.prototype)), getNode: () => nodes[0] } };
    const made = (constructor, options, config) => constructor.call(Object.assign(Object.create(constructor.prototype), options), config);
    made(cloudServer(RED), { credentials: { serveruri: cloud.url, authkey } }, { apiversion: "v2" });
    const heard = new Queue();
    const shows = { status() {}, error: (text) => heard.push({ error: text }), send: ([msg]) => heard.push(msg) };
    made(cloudNode(RED), shows, {});
    return async (payload) => {
      nodes[1].emit("input", { payload });
      const { error, payload: answer } = await heard.next("what the node says");
      return error ?? answer;
    };
  }

  describe("node-red-contrib-shelly", () => {
    test("reads devices by either id, and misses those that are not there", async () => {
      const devices = await nodeRed()({ type: "get", ids: [HEX, "aabbcc112233", "ffffffffffff"], select: ["status"] });
      assert.deepEqual(devices.map(({ id, gen, code, online }) => [id, gen, code, online]), [
        [HEX, "G2", "SNPL-00112EU", 1],
        ["aabbcc112233", "G1", "SHPLG-S", 1],
      ]);
      assert.equal(devices[0].status["switch:0"].voltage, 227.9);
    });

    test("switches, with a timer", async () => {
      assert.equal(await nodeRed()({ type: "switch", id: HEX, channel: 0, on: false, toggle_after: 1_800 }), "");
      assert.deepEqual([device.status["switch:0"].output, device.toggleAfter], [false, 1_800]);
    });

    test("is told why not", async () => {
      const ask = nodeRed();
      assert.match(await ask({ type: "switch", id: "ffffffffffff", channel: 0, on: true }), /DEVICE_NOT_FOUND/);
      assert.match(await ask({ type: "switch", id: HEX, channel: 3, on: true }), /DEVICE_INVALID_CHANNEL/);
      account.tells(device, 0);
      assert.match(await ask({ type: "switch", id: HEX, channel: 0, on: true }), /DEVICE_OFFLINE/);
      account.tells(device, 1);
      assert.match(await nodeRed("another key")({ type: "get", ids: [HEX] }), /401/);
    });
  });

  const post = async (path, fields) => {
    const answer = await fetch(cloud.url + path, { method: "POST", body: new URLSearchParams(fields) });
    return { status: answer.status, ...(await answer.json()) };
  };
  const login = (password = "secreto") => post("/oauth/login", { email: account.email, password: sha1(password), client_id: "shelly-diy" });
  const auth = (fields) => post("/oauth/auth", { client_id: "shelly-diy", ...fields });
  const fresh = async () => (await auth({ grant_type: "code", code: (await login()).data.code })).access_token;
  const all = (token) => fetch(`${cloud.url}/device/all_status?show_info=true&no_shared=true`, { headers: { authorization: `Bearer ${token}` } });

  async function socket(token) {
    const frames = new Queue();
    const opened = new WebSocket(`ws://127.0.0.1:${cloud.port}/shelly/wss/hk_sock?t=${token}`);
    opened.on("message", (text) => frames.push(JSON.parse(text)));
    opened.gone = new Promise((resolve) => opened.once("close", resolve));
    await within("open", new Promise((resolve, reject) => opened.once("open", resolve).once("error", reject)));
    return { opened, frames };
  }

  test("tokens", async () => {
    assert.equal((await login("otro")).isok, false);
    const { code } = (await login()).data;
    const claims = JSON.parse(Buffer.from(code.split(".")[1], "base64url"));
    assert.equal(claims.user_api_url, cloud.url);
    const first = await auth({ grant_type: "code", code });
    const again = await auth({ grant_type: "refresh_token", refresh_token: first.refresh_token });
    assert.notEqual(first.access_token, again.access_token);
    assert.equal((await auth({ grant_type: "refresh_token", refresh_token: first.refresh_token })).status, 400, "it was good once");
    assert.equal((await all(again.access_token)).status, 200);
    assert.equal((await all("another")).status, 401);
    account.ends();
    assert.equal((await all(again.access_token)).status, 401);
  });

  test("statuses and commands over the socket", async () => {
    const token = await fresh();
    const { devices_status } = (await (await all(token)).json()).data;
    assert.deepEqual(devices_status[HEX]._dev_info, { id: HEX, gen: "G2", code: "SNPL-00112EU", online: true });
    const { opened, frames } = await socket(token);
    account.reports(device, { "switch:0": { apower: 10 } });
    const { device: of, status } = await frames.next();
    assert.deepEqual([of.id, status.id, status["switch:0"]], [DECIMAL, HEX, { apower: 10 }]);
    opened.send(JSON.stringify({ event: "Shelly:CommandRequest", trid: 1, deviceId: DECIMAL, data: { cmd: "relay", params: { id: 0, turn: "on" } } }));
    assert.deepEqual((await frames.next()).data, { isok: true, res: `${HEX}/relay/0` });
    assert.equal((await frames.next()).status["switch:0"].output, true);
    const rpc = { method: "Switch.Set", params: { id: 0, on: false, toggle_after: 60 } };
    opened.send(JSON.stringify({ event: "Shelly:JrpcRequest", trid: "2", deviceId: DECIMAL, ...rpc }));
    assert.deepEqual((await frames.next()).response, { result: { was_on: true } });
    account.drops();
    await opened.gone;
  });

  test("a token that has ended opens a socket that is closed at once", async () => {
    const { opened } = await socket("of yesterday");
    await within("close", opened.gone);
  });

  test("it misbehaves as it is told to", async () => {
    const token = await fresh();
    const headers = { "content-type": "text/html", "retry-after": "2" };
    cloud.behaves.allStatus = () => ({ status: 429, headers, body: "<html>" });
    const answer = await all(token);
    assert.deepEqual([answer.status, answer.headers.get("retry-after"), await answer.text()], [429, "2", "<html>"]);
    cloud.behaves.allStatus = () => CUTS;
    await assert.rejects(all(token));
    cloud.behaves.allStatus = () => HANGS;
    await assert.rejects(within("an answer", all(token), 100), /timed out/);
    cloud.behaves = { socket: () => ({ status: 503 }) };
    await assert.rejects(socket(token), /503/);
    cloud.behaves = { socket: () => ({ closesAfterMs: 0 }) };
    await (await socket(token)).opened.gone;
    cloud.behaves = {};
  });
});
