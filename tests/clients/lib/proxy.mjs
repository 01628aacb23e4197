// nginx and haproxy before the daemon, as docs/proxies/ shows them: the very files, with ports and paths of the test.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { connect as connectH2 } from "node:http2";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { connect as connectTls } from "node:tls";
import { fileURLToPath } from "node:url";
import { freePorts } from "./daemon.mjs";
import { until, within } from "./wait.mjs";

const DOCS = join(dirname(fileURLToPath(import.meta.url)), "../../../docs/proxies");
const LOG_CHARACTERS_MAX = 20_000;
const PATH = `${process.env.PATH}:/usr/sbin:/usr/local/sbin`;

/** What is changed of the file for a front without TLS and HTTP/2. */
const PLAIN = {
  nginx: [["listen 443 ssl http2;", "listen 443;"], [/\n    ssl_certificate .*/, ""], [/\n    ssl_certificate_key .*/, ""]],
  haproxy: [["bind :443 ssl crt /etc/ssl/siod.example.pem alpn h2,http/1.1", "bind :443"]],
};

/**
 * Starts `kind` ("nginx" or "haproxy") before `daemons`. `tls`: as its file says, else without; `changes` are pairs of what
 * stands in the file and what stands there instead.
 */
export async function startProxy(kind, daemons, { tls = false, changes = [] } = {}) {
  const proxy = new Proxy(kind, tls);
  [proxy.port] = await freePorts(1);
  try {
    proxy.configure(daemons, [...(tls ? [] : PLAIN[kind]), ...changes]);
    await proxy.spawn();
  } catch (error) {
    await proxy.stop();
    throw error;
  }
  return proxy;
}

class Proxy {
  constructor(kind, tls) {
    Object.assign(this, { kind, tls, log: "", dir: mkdtempSync(join(tmpdir(), "siod-proxy-")) });
  }

  get url() {
    return `${this.tls ? "https" : "http"}://127.0.0.1:${this.port}`;
  }

  configure(daemons, changes) {
    const servers = daemons.map(({ port }, index) =>
      this.kind === "nginx" ? `server 127.0.0.1:${port};` : `server s${index} 127.0.0.1:${port}`);
    const pem = join(this.dir, "cert.pem");
    if (this.tls) this.ca = certificate(this.dir, pem);
    let text = readFileSync(join(DOCS, this.kind === "nginx" ? "nginx.conf" : "haproxy.cfg"), "utf8");
    const change = (from, to) => {
      const changed = text.replaceAll(from instanceof RegExp ? new RegExp(from, "g") : from, () => to);
      if (changed === text) throw new Error(`the file of ${this.kind} does not say ${from}`);
      text = changed;
    };
    for (const [from, to] of changes) change(from, to);
    // haproxy wants the options of a server behind each of them.
    if (this.kind === "nginx") change("server 127.0.0.1:3000;", servers.join("\n    "));
    else text = text.replace(/^( *)server one 127\.0\.0\.1:3000(.*)$/m, (_, space, rest) => servers.map((server) => `${space}${server}${rest}`).join("\n"));
    change(this.kind === "nginx" ? "listen 443" : "bind :443", `${this.kind === "nginx" ? "listen " : "bind "}127.0.0.1:${this.port}`);
    if (this.tls) change("/etc/ssl/siod.example.pem", pem);
    const file = join(this.dir, "siod.conf");
    writeFileSync(file, text);
    if (this.kind === "nginx") {
      const main = join(this.dir, "nginx.conf");
      const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${this.dir}/${name};`);
      writeFileSync(main, `daemon off; master_process off; pid ${this.dir}/pid; events {} http { access_log off; ${temporary.join(" ")} include ${file}; }`);
      this.command = ["nginx", ["-e", "stderr", "-p", this.dir, "-c", main]];
    } else {
      this.command = ["haproxy", ["-db", "-f", file]];
    }
  }

  async spawn() {
    this.child = spawn(...this.command, { cwd: this.dir, env: { ...process.env, PATH }, stdio: ["ignore", "pipe", "pipe"] });
    this.exited = once(this.child, "exit");
    this.exited.catch(() => {});
    this.child.on("error", (error) => (this.log += `cannot start ${this.command[0]}: ${error.message}\n`));
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.on("data", (data) => (this.log = (this.log + data).slice(-LOG_CHARACTERS_MAX)));
    }
    try {
      await until(`${this.kind} answers`, async () => {
        if (this.child.exitCode !== null || this.child.pid === undefined) throw new Error("it has ended");
        return (await this.request("/health/live").catch(() => null))?.status === 200;
      }, 20_000);
    } catch (error) {
      throw new Error(`${this.kind}: ${error.message}\n${this.log}`);
    }
  }

  async stop() {
    if (this.child?.pid !== undefined && this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill("SIGKILL");
      await this.exited;
    }
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** One request by HTTP/1 on a connection of its own, from `from`; `{ status, headers, body }`. */
  request(path, { method = "GET", headers = {}, body, from = "127.0.0.1" } = {}) {
    const answer = new Promise((resolve, reject) => {
      const options = { host: "127.0.0.1", port: this.port, path, method, headers, agent: false, localAddress: from, ca: this.ca };
      const outgoing = (this.tls ? httpsRequest : httpRequest)(options, async (incoming) => {
        resolve({ status: incoming.statusCode, headers: incoming.headers, body: await text(incoming).catch(reject) });
      });
      outgoing.on("error", reject);
      outgoing.end(body);
    });
    return within(`${method} ${path} through ${this.kind}`, answer, 15_000);
  }

  /** Opens a connection of HTTP/2 from `from`; `request` as above, `close`. */
  async h2({ from = "127.0.0.1" } = {}) {
    const createConnection = () =>
      connectTls({ host: "127.0.0.1", port: this.port, ca: this.ca, ALPNProtocols: ["h2"], localAddress: from });
    const session = connectH2(this.url, { createConnection });
    session.on("error", () => {});
    await within("HTTP/2", once(session, "connect"));
    const request = (path, { method = "GET", headers = {}, body } = {}) => {
      const answer = new Promise((resolve, reject) => {
        const stream = session.request({ ":path": path, ":method": method, ...headers }, { endStream: body === undefined });
        let status;
        stream.on("response", (fields) => (status = fields[":status"]));
        stream.on("error", reject);
        text(stream).then((body) => resolve({ status, body }), reject);
        if (body !== undefined) stream.end(body);
      });
      return within(`${method} ${path} by HTTP/2 through ${this.kind}`, answer, 15_000);
    };
    return { request, close: () => session.destroy() };
  }
}

async function text(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** A key and a certificate of 127.0.0.1 in one file, for a day; gives the certificate. */
export function certificate(dir, pem) {
  const [key, cert] = [join(dir, "key"), join(dir, "cert")];
  const names = ["-subj", "/CN=siod.example", "-addext", "subjectAltName=IP:127.0.0.1,DNS:siod.example"];
  const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"];
  execFileSync("openssl", ["req", ...kind, ...names, "-keyout", key, "-out", cert], { stdio: "pipe" });
  writeFileSync(pem, readFileSync(cert, "utf8") + readFileSync(key, "utf8"), { mode: 0o600 });
  return readFileSync(cert, "utf8");
}
