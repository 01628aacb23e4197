// README's walk-through: the files of examples/clients as they are, in development and in production, over a restart of the
// daemon; and the page from behind a proxy.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { iot, signage } from "./lib/config.mjs";
import { BIN, daemonOnly, startDaemon } from "./lib/daemon.mjs";
import { request } from "./lib/http.mjs";
import { mint } from "./lib/jwt.mjs";
import { until } from "./lib/wait.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const EXAMPLES = join(HERE, "../../examples/clients");

/** A process whose lines are waited for, each once and in their order. */
class Program {
  #lines = [];
  #next = 0;

  constructor(command, args, env = {}) {
    this.child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "pipe"] });
    this.ended = once(this.child, "exit");
    let rest = "";
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.on("data", (data) => {
        const lines = (rest + data).split("\n");
        rest = lines.pop();
        this.#lines.push(...lines);
      });
    }
  }

  /** The next line that begins so; those before it are passed over. */
  async says(start) {
    let found;
    const look = () => {
      found = this.#lines.findIndex((line, index) => index >= this.#next && line.startsWith(start));
      return found >= 0;
    };
    await until(`a line that begins with ${start}`, look, 20_000).catch((error) => {
      throw new Error(`${error.message}; there are\n${this.#lines.join("\n")}`);
    });
    this.#next = found + 1;
    return this.#lines[found];
  }

  async data(event) {
    return JSON.parse((await this.says(`${event} {`)).slice(event.length + 1));
  }

  type(line) {
    this.child.stdin.write(`${line}\n`);
  }

  async end() {
    this.child.kill();
    await this.ended;
  }
}

/** A file of examples/clients; it finds the official client where the tests have it. */
const example = (file, args, env) => new Program(process.execPath, [join(EXAMPLES, file), ...args], { NODE_PATH: join(HERE, "node_modules"), ...env });

let daemon;
let programs = [];
afterEach(async () => {
  await Promise.all(programs.splice(0).map((program) => program.end()));
  await daemon?.stop();
  daemon = undefined;
});

const running = (program) => {
  programs.push(program);
  return program;
};

const inDevelopment = (application) => (daemon) => application()(daemon).replace('mode = "jwt"', 'mode = "dev"');
const dev = inDevelopment(signage);

/** Runs `siod` with the daemon's configuration; gives what it prints. */
async function siod(...args) {
  const program = spawn(BIN, [...args, "--config", join(daemon.dir, "siod.toml")], { stdio: ["ignore", "pipe", "inherit"] });
  const [printed, [code]] = await Promise.all([program.stdout.toArray(), once(program, "exit")]);
  assert.equal(code, 0, args.join(" "));
  return Buffer.concat(printed).toString().trim();
}

async function walk(playerEnv, operatorEnv) {
  const env = { SIOD_URL: daemon.url };
  const operator = running(example("operator.js", ["p1"], { ...env, ...operatorEnv }));
  await operator.says("connected");
  await operator.says("devices:list");
  const player = running(example("player.js", ["p1"], { ...env, ...playerEnv }));
  assert.equal((await player.data("player:registered")).deviceId, "p1");
  assert.equal((await operator.data("device:connected")).deviceName, "Lobby");
  assert.equal((await operator.data("state:updated")).state.vlc.state, "stopped");
  await obeyed(operator, player, "vlc:play", "playing");

  // After a restart both come back by themselves, and the player is one that hears commands.
  await daemon.restart();
  await player.says("disconnected");
  assert.equal((await player.data("player:registered")).deviceId, "p1");
  await operator.says("disconnected");
  await operator.says("connected");
  await until("the player is online", async () => {
    operator.type("list");
    const { devices } = await operator.data("devices:list");
    return devices[0].status === "online";
  });
  await obeyed(operator, player, "vlc:pause", "paused");
  operator.type("vlc:snapshot");
  assert.equal((await operator.data("command:response")).status, "error");

  await player.end();
  assert.equal((await operator.data("device:disconnected")).deviceId, "p1");
}

async function obeyed(operator, player, command, state) {
  operator.type(command);
  await operator.says("command:accepted");
  await player.says(`player:command ${command}`);
  const { status, result } = await operator.data("command:response");
  assert.deepEqual([status, result.state], ["success", state]);
}

describe("README's walk-through", { skip: daemonOnly }, () => {
  test("in development", async () => {
    daemon = await startDaemon(dev);
    await walk({}, {});
  });

  test("in production, with a token of each", async () => {
    daemon = await startDaemon(signage());
    const operator = await siod("token", "--sub", "ana", "--role", "admin");
    const { token } = JSON.parse(await siod("device", "issue", "p1"));
    await walk({ SIOD_TOKEN: token }, { SIOD_TOKEN: operator });
  });

  test("in production a player waits until it is authorised", async () => {
    daemon = await startDaemon(signage());
    const player = running(example("player.js", ["p2"], { SIOD_URL: daemon.url, SIOD_TOKEN: "its own" }));
    assert.match(await player.says("cannot connect"), /Device not authorized.*"pending":true/);
    await siod("device", "authorize", "p2");
    await player.says("connected");
    assert.equal((await player.data("player:registered")).deviceId, "p2");
    await siod("device", "revoke", "p2");
    await player.says("disconnected: io server disconnect");
  });

  test("in production an operator without a token is told so", async () => {
    daemon = await startDaemon(signage());
    const operator = running(example("operator.js", [], { SIOD_URL: daemon.url }));
    assert.match(await operator.says("cannot connect"), /Device not authorized/);
  });

  /** A plug that dials its system, and a panel that switches it; `ask` is curl. */
  async function plugs(ask, panelEnv) {
    const env = { SIOD_URL: daemon.url };
    const { path } = (await ask("/iot/api/shelly/outbound-secret")).data;
    const plug = running(example("plug.js", [path], env));
    await plug.says("connected");
    const panel = running(example("panel.js", ["s1"], { ...env, ...panelEnv }));
    assert.equal((await panel.data("connection-status")).systemId, "s1");
    await ask("/iot/api/internal/smart-plug-devices", { name: "Láser 1", deviceId: "b0b21c12dd94" });
    const shown = await panel.data("device-update");
    assert.deepEqual([shown.name, shown.online, shown.relayOn], ["Láser 1", true, false]);
    panel.type("on 1");
    await plug.says('Switch.Set {"id":0,"on":true,"toggle_after":1}');
    assert.equal((await panel.data("device-command-result")).wasOn, false);
    await plug.says("it is off");
    plug.type("on");
    await plug.says("it is on");
    await daemon.restart();
    for (const program of [plug, panel]) await program.says("disconnected");
    for (const program of [plug, panel]) await program.says("connected");
    panel.type("off");
    await plug.says("it is off");
    await plug.end();
    await panel.says("device-offline-status {");
  }

  /** POSTs as curl does; what is answered. */
  const curl = (query, headers) => async (path, body) => {
    const json = body === undefined ? {} : { "content-type": "application/json" };
    const answer = await request(daemon.port, path + query, { method: "POST", headers: { ...headers, ...json }, body: body && JSON.stringify(body) });
    assert.ok(answer.status < 300, `${path}: ${answer.status} ${answer.body}`);
    return answer.json();
  };

  test("smart plugs, in development", async () => {
    daemon = await startDaemon(inDevelopment(iot));
    await plugs(curl("?systemId=s1", {}), {});
  });

  test("smart plugs, in production", async () => {
    daemon = await startDaemon(iot());
    const token = mint({ sub: "ana", role: "admin", systemId: "s1" });
    await plugs(curl("", { authorization: `Bearer ${token}` }), { SIOD_TOKEN: token });
  });

  test("the files are the ones that README names", () => {
    const readme = readFileSync(join(HERE, "../../README.md"), "utf8");
    for (const line of ["cd examples/clients && npm install", "node player.js", "node operator.js", "node plug.js", "node panel.js"]) assert.ok(readme.includes(line), line);
  });
});

describe("the daemon's own page in production", { skip: daemonOnly }, () => {
  test("is served, and says how one gets a token", async () => {
    daemon = await startDaemon(signage());
    for (const path of ["/", "/_siod/page.js", "/_siod/page.css", "/_siod/icon.svg", "/health/ready"]) {
      assert.equal((await request(daemon.port, path)).status, 200, path);
    }
    assert.equal((await request(daemon.port, "/_siod/served.json")).json().auth_mode, "jwt");
  });
});
