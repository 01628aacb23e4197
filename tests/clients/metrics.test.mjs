// `/metrics` of a daemon on which something has happened in every application, as Prometheus' own checker sees it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { signage } from "./lib/config.mjs";
import { daemonOnly, startDaemon } from "./lib/daemon.mjs";
import { request } from "./lib/http.mjs";
import { mint } from "./lib/jwt.mjs";
import { Clients, Recorder, connected, refusal } from "./lib/socketio.mjs";
import { until } from "./lib/wait.mjs";

// What promtool may say: a counter whose name a contract fixes, without the ending of a counter.
const EXCEPTIONS = ['sg_snapshot_bytes counter metrics should have "_total" suffix'];
const PNG = Buffer.from("iVBORw0KGgo=", "base64");

describe("metrics", { skip: daemonOnly }, () => {
  const clients = new Clients();
  let daemon;
  let page;

  before(async () => {
    daemon = await startDaemon(signage({ settings: "state_interval_ms = 100\n[apps.lab]\nenabled = true" }));
    await somethingHappens(daemon, clients);
    page = await until("a command is counted", async () => {
      const { body } = await request(daemon.adminPort, "/metrics");
      return /^sg_command_seconds_count 1$/m.test(body) && /^sg_snapshot_bytes [1-9]/m.test(body) && body;
    });
  });
  after(async () => {
    clients.closeAll();
    await daemon.stop();
  });

  test("promtool has nothing to say", () => {
    const { status, stderr, error } = spawnSync("promtool", ["check", "metrics"], { input: page, encoding: "utf8" });
    assert.equal(error, undefined, "promtool is there (tests/setup.sh)");
    assert.deepEqual(stderr.trim().split("\n"), EXCEPTIONS);
    assert.equal(status, 3, "it has said something and could read the page");
  });
  test("promtool would say it", () => {
    const input = "# TYPE siod_things counter\nsiod_things 1\n";
    const { status, stderr } = spawnSync("promtool", ["check", "metrics"], { input, encoding: "utf8" });
    assert.equal(status, 3);
    assert.match(stderr, /siod_things no help text/);
  });
  test("every family has a HELP and a TYPE of its own, and samples", () => {
    const families = page.split("\n# HELP ").map((text) => text.replace("# HELP ", ""));
    const helps = families.map((text) => text.split("\n")[0].replace(/^\S+ /, ""));
    assert.equal(new Set(helps).size, families.length);
    for (const text of families) {
      const [name] = text.split(" ");
      assert.match(text, new RegExp(`^${name} .+\\.\n# TYPE ${name} (counter|gauge|histogram)\n${name}`), text);
    }
  });
  test("applications' families are what their rows say", () => {
    for (const [name, kind] of [
      ["sg_devices", "gauge"],
      ["sg_commands_total", "counter"],
      ["sg_command_seconds", "histogram"],
      ["sg_auth_failures_total", "counter"],
      ["sg_snapshot_bytes", "counter"],
    ]) {
      assert.match(page, new RegExp(`^# TYPE ${name} ${kind}$`, "m"));
    }
    assert.match(page, /^sg_command_seconds_bucket\{le="\+Inf"\} 1$/m);
    assert.match(page, /^siod_events_total\{app="lab",outcome="handled"\} 1$/m);
  });
  test("nothing was left out", () => {
    assert.ok(!daemon.log.includes("left out"), daemon.log);
  });
});

/** A device that reports, shows a picture and obeys a command, another that is refused, and an echo. */
async function somethingHappens(daemon, clients) {
  const connect = async (namespace, auth) => {
    const socket = clients.create(`${daemon.url}/${namespace}`, { auth, transports: ["websocket"] });
    socket.record = new Recorder(socket);
    await connected(socket);
    return socket;
  };
  const lab = await connect("lab", { token: mint({ sub: "ana" }) });
  await lab.emitWithAck("echo", 1);
  const wrong = clients.create(`${daemon.url}/signage`, { auth: { deviceId: "p1", authToken: "wrong" } });
  await refusal(wrong);

  const admin = await connect("signage", { token: mint({ sub: "ana", role: "admin" }) });
  const issued = await request(daemon.adminPort, "/signage/devices/p1/issue", { method: "POST" });
  const player = await connect("signage", { deviceId: "p1", authToken: issued.json().token });
  player.on("player:command", ({ commandId }) => player.emit("player:command:response", { commandId, status: "success" }));
  player.emit("player:register", { deviceId: "p1", deviceName: "Lobby", deviceType: "player", deviceGroup: "g1" });
  await player.record.next("player:registered");
  const url = `data:image/png;base64,${PNG.toString("base64")}`;
  player.emit("player:state", { vlc: { state: "playing" }, snapshot: { url } });
  admin.emit("player:command", { deviceId: "p1", command: "vlc:play" });
  await admin.record.next("command:response");
}
