// Starts the daemon under test (or the oracle) on free ports, waits until it answers, and ends it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { request } from "./http.mjs";
import { until } from "./wait.mjs";

export const ORACLE = process.env.SIOD_ORACLE === "1";
const HERE = dirname(dirname(fileURLToPath(import.meta.url)));
const BUILT = process.env.CARGO_TARGET_DIR ?? join(HERE, "../../target");
export const BIN = process.env.SIOD_BIN ?? resolve(BUILT, "debug/siod");
const LOG_CHARACTERS_MAX = 20_000;

/** Why a test does not run against the oracle; `undefined` (the test runs) against the daemon. */
export const better = (reason) => (ORACLE ? `the daemon does better here: ${reason}` : undefined);
export const daemonOnly = ORACLE ? "the official server has no such thing" : undefined;

/** The conformance fixture (DESIGN 6). */
export const startFixture = () => start((port) => ["conformance", "--listen", `127.0.0.1:${port}`]);

/**
 * The daemon with a configuration of its own, in a directory of its own. `config(daemon)` gives the TOML text; `daemon` has
 * `port`, `adminPort` and `dir` by then. `daemon.restart()` comes back on the same ports and directory.
 */
export async function startDaemon(config, options = {}) {
  return start((port, daemon) => {
    const file = join(daemon.dir, "siod.toml");
    writeFileSync(file, config(daemon));
    return ["run", "--config", file];
  }, options);
}

async function start(args, { env = {}, bin = BIN, shell } = {}) {
  const daemon = new Daemon(env, bin, shell);
  [daemon.port, daemon.adminPort] = await freePorts(2);
  daemon.args = args(daemon.port, daemon);
  try {
    await daemon.spawn();
  } catch (error) {
    await daemon.stop({ mayHaveEnded: true });
    throw error;
  }
  return daemon;
}

class Daemon {
  /** `shell` is what a shell does that becomes the daemon then. */
  constructor(env, bin, shell) {
    this.env = env;
    this.bin = bin;
    this.shell = shell;
    this.dir = mkdtempSync(join(tmpdir(), "siod-test-"));
    this.log = "";
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  get adminUrl() {
    return `http://127.0.0.1:${this.adminPort}`;
  }

  async spawn() {
    const [command, args] = ORACLE
      ? [process.execPath, [join(HERE, "oracle.mjs"), `127.0.0.1:${this.port}`]]
      : this.shell
        ? ["sh", ["-c", `${this.shell}; exec "$0" "$@"`, this.bin, ...this.args]]
        : [this.bin, this.args];
    this.child = spawn(command, args, { cwd: this.dir, env: { ...process.env, ...this.env }, stdio: ["ignore", "pipe", "pipe"] });
    this.exited = once(this.child, "exit").then(([code, signal]) => ({ code, signal }));
    this.child.on("error", (error) => (this.log += `cannot start ${command}: ${error.message}\n`));
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.on("data", (data) => (this.log = (this.log + data).slice(-LOG_CHARACTERS_MAX)));
    }
    try {
      await until("the daemon answers", async () => {
        if (this.child.exitCode !== null || this.child.pid === undefined) throw new Error("it has ended");
        // An unknown transport is refused without leaving a session behind.
        const answer = await request(this.port, "/socket.io/?EIO=4&transport=none").catch(() => null);
        return answer?.status === 400;
      }, 20_000);
    } catch (error) {
      await this.kill();
      throw new Error(`${command} ${args.join(" ")}: ${error.message}\n${this.log}`);
    }
  }

  get alive() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Without a word, as a crash does. */
  async kill() {
    if (this.alive && this.child.pid !== undefined) {
      this.child.kill("SIGKILL");
      await this.exited;
    }
  }

  /** As an operator does; gives the exit code. */
  async terminate() {
    this.child.kill("SIGTERM");
    return (await this.exited).code;
  }

  async restart({ crash = false } = {}) {
    await (crash ? this.kill() : this.terminate());
    await this.spawn();
  }

  /** The end of a suite: it must still be alive, whatever the tests did to it, unless they ended it. */
  async stop({ mayHaveEnded = false } = {}) {
    const survived = this.alive;
    await this.kill();
    rmSync(this.dir, { recursive: true, force: true });
    if (!survived && !mayHaveEnded) throw new Error(`the daemon had ended before the tests did\n${this.log}`);
  }
}

/** Ports that were free a moment ago; held open together, so that they differ. */
export async function freePorts(count) {
  const servers = [];
  for (let index = 0; index < count; index++) {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    servers.push(server);
  }
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
  return ports;
}
