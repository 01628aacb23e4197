// What HTTP callers see: health, metrics, the admin guard, the page, client files, origins; and what bad HTTP gets.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import { dirname } from "node:path";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { lab, signage } from "./lib/config.mjs";
import { daemonOnly, startDaemon } from "./lib/daemon.mjs";
import { Polling, Ws, upgrade } from "./lib/engine.mjs";
import { raw, request } from "./lib/http.mjs";
import { until } from "./lib/wait.mjs";

const BUNDLES = dirname(createRequire(import.meta.url).resolve("socket.io-client/dist/socket.io.js"));
const HANDSHAKE = "/socket.io/?EIO=4&transport=polling";

describe("beside the engine", { skip: daemonOnly }, () => {
  let daemon;
  let port;
  before(async () => {
    const listener = 'cors_origins = ["https://good.example", "http://good.example:8080"]';
    daemon = await startDaemon(lab({ shards: 2, listener, rest: `client_dir = "${BUNDLES}"` }));
    port = daemon.port;
  });
  after(() => daemon?.stop());

  describe("health", () => {
    test("live, ready and the summary", async () => {
      assert.equal((await request(port, "/health/live")).status, 200);
      assert.deepEqual((await request(port, "/health/ready")).json(), { status: "ok" });
      const summary = (await request(port, "/health")).json();
      assert.deepEqual([summary.status, summary.shards, summary.store], ["ok", 2, "ok"]);
      assert.match(summary.version, /^\d+\.\d+\.\d+/);
      assert.equal(typeof summary.uptime_s, "number");
    });
    test("the socket probe counts connections", async () => {
      const ws = await Ws.joined(port);
      const probe = await until("it is counted", async () => {
        const body = (await request(port, "/health/socket")).json();
        return body.metrics.activeConnections >= 1 && body;
      });
      assert.equal(probe.status, "healthy");
      assert.deepEqual(probe.redis, { connected: false, status: "disabled" });
      ws.end();
    });
    test("health is on the admin listener as well", async () => {
      assert.equal((await request(daemon.adminPort, "/health/ready")).status, 200);
    });
  });

  describe("metrics", () => {
    const value = (text, series) => Number(text.split("\n").find((line) => line.startsWith(`${series} `))?.split(" ").at(-1));
    const scrape = async () => (await request(daemon.adminPort, "/metrics")).body;

    test("count what happened", async () => {
      const before = await scrape();
      const opened = 'siod_connections_opened_total{transport="websocket"}';
      const refused = 'siod_handshakes_refused_total{code="5"}';
      const ws = await Ws.joined(port);
      ws.send('42["message"]');
      await ws.next();
      await request(port, "/socket.io/?EIO=3&transport=polling");
      const now = await until("it is counted", async () => {
        const text = await scrape();
        return value(text, opened) > value(before, opened) && value(text, refused) > value(before, refused) && text;
      });
      assert.equal(value(now, opened), value(before, opened) + 1);
      assert.equal(value(now, refused), value(before, refused) + 1);
      assert.ok(value(now, "siod_packets_received_total") > value(before, "siod_packets_received_total"));
      assert.ok(value(now, "process_resident_memory_bytes") > 1_000_000);
      ws.end();
      await until("the close is counted", async () =>
        value(await scrape(), 'siod_connections_closed_total{reason="transport_close"}') > 0 ||
        value(await scrape(), 'siod_connections_closed_total{reason="transport_error"}') > 0);
    });
    test("every line is of the format", async () => {
      const sample = /^[a-z_][a-z0-9_]*(\{([a-z_]+="([^"\\]|\\.)*",?)+\})? (\d+(\.\d+)?(e[+-]?\d+)?|\+Inf)$/;
      for (const line of (await scrape()).trimEnd().split("\n")) {
        if (!line.startsWith("# HELP ") && !line.startsWith("# TYPE ")) assert.match(line, sample);
      }
    });
    test("are not on the public port, nor is anything else of the operator's (T-31)", async () => {
      for (const path of ["/metrics", "/admin", "/debug", "/debug/vars", "/graphql", "/health/detailed", "/signage/devices"]) {
        assert.equal((await request(port, path)).status, 404, path);
      }
      assert.ok([404, 405].includes((await request(port, "/drain", { method: "POST" })).status));
    });
  });

  describe("the admin guard (T-32, T-01)", () => {
    for (const [name, headers] of [
      ["an Origin", { origin: "http://127.0.0.1" }],
      ["Origin null", { origin: "null" }],
      ["a foreign host", { host: "evil.example" }],
      ["a host that begins like loopback", { host: "127.0.0.1.evil.example" }],
    ]) {
      test(`refuses ${name}, and the request has no effect`, async () => {
        assert.equal((await request(daemon.adminPort, "/metrics", { headers })).status, 403);
        assert.equal((await request(daemon.adminPort, "/drain", { method: "POST", headers })).status, 403);
        assert.equal((await request(port, "/health/ready")).status, 200);
      });
    }
    test("the wrong verb does nothing", async () => {
      assert.equal((await request(daemon.adminPort, "/drain")).status, 405);
    });
  });

  describe("the page", () => {
    test("and its parts, under a policy without inline (T-37)", async () => {
      for (const path of ["/", "/_siod/page.css", "/_siod/page.js", "/_siod/icon.svg"]) {
        const { status, headers } = await request(port, path);
        assert.equal(status, 200, path);
        assert.match(headers["content-security-policy"], /^default-src 'none'/);
        assert.ok(!headers["content-security-policy"].includes("unsafe"));
        assert.equal(headers["x-content-type-options"], "nosniff");
      }
    });
    test("says what is served", async () => {
      const served = (await request(port, "/_siod/served.json")).json();
      assert.ok(served.applications.some(({ name }) => name === "lab"));
      assert.equal(served.listeners[0].root, "lab");
      assert.equal(served.auth_mode, "dev");
    });
  });

  describe("client files", () => {
    for (const name of readdirSync(BUNDLES).filter((name) => /^socket\.io.*\.js(\.map)?$/.test(name))) {
      test(name, async () => {
        const answer = await request(port, `/socket.io/${name}`);
        assert.equal(answer.status, 200);
        assert.ok(answer.bytes.equals(readFileSync(`${BUNDLES}/${name}`)));
        const type = name.endsWith(".map") ? "application/json" : "application/javascript; charset=utf-8";
        assert.equal(answer.headers["content-type"], type);
        const same = await request(port, `/socket.io/${name}`, { headers: { "if-none-match": answer.headers.etag } });
        assert.deepEqual([same.status, same.body], [304, ""]);
        const zipped = await request(port, `/socket.io/${name}`, { headers: { "accept-encoding": "gzip" } });
        assert.ok(gunzipSync(zipped.bytes).equals(answer.bytes));
      });
    }
    test("and no other file (B71)", async () => {
      for (const path of ["/socket.io/../../etc/passwd", "/socket.io/%2e%2e/package.json", "/socket.io/..%5cpackage.json", "/socket.io/..%2fpackage.json"]) {
        const { statuses, text } = await raw(port, `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
        assert.ok([400, 404].includes(statuses[0]), `${path}: ${statuses}`);
        assert.ok(!text.includes("root:") && !text.includes('"version"'), path);
      }
    });
  });

  describe("origins (T-01, B02)", () => {
    const allowed = [
      ["none", undefined],
      ["listed", "https://good.example"],
      ["listed, in upper case", "HTTPS://GOOD.EXAMPLE"],
      ["listed, with its port", "http://good.example:8080"],
    ];
    const denied = [
      ["another site", "https://evil.example"],
      ["null", "null"],
      ["another scheme", "http://good.example"],
      ["another port", "https://good.example:8443"],
      ["the listed name at the front", "https://good.example.evil.com"],
      ["the listed name at the end", "https://evilgood.example"],
      ["a trailing dot", "https://good.example."],
      ["user information", "https://good.example@evil.com"],
      ["user information in front", "https://evil@good.example"],
      ["punycode", "https://xn--gd-eka.example"],
      ["empty", ""],
      ["two in one", "https://good.example, https://evil.example"],
    ];
    for (const [name, origin] of allowed) {
      test(`${name}: admitted on both transports`, async () => {
        const headers = origin === undefined ? {} : { origin };
        const answer = await request(port, HANDSHAKE, { headers });
        assert.equal(answer.status, 200);
        if (origin !== undefined) {
          assert.equal(answer.headers["access-control-allow-origin"], origin);
          assert.match(answer.headers.vary ?? "", /origin/i);
        }
        const up = await upgrade(port, "/socket.io/?EIO=4&transport=websocket", origin === undefined ? {} : { Origin: origin });
        assert.equal(up.status, 101);
      });
    }
    for (const [name, origin] of denied) {
      test(`${name}: refused on both transports`, async () => {
        const answer = await request(port, HANDSHAKE, { headers: { origin, cookie: "a=b" } });
        assert.deepEqual([answer.status, answer.json().code], [403, 4]);
        assert.notEqual(answer.headers["access-control-allow-origin"], "*");
        assert.notEqual(answer.headers["access-control-allow-origin"], origin || "-");
        const up = await upgrade(port, "/socket.io/?EIO=4&transport=websocket", { Origin: origin, Cookie: "a=b" });
        assert.ok([400, 403].includes(up.status), `upgrade: ${up.status}`);
      });
    }
    test("two Origin headers are refused", async () => {
      const up = await upgrade(port, "/socket.io/?EIO=4&transport=websocket", { Origin: ["https://good.example", "https://evil.example"] });
      assert.ok([400, 403].includes(up.status), String(up.status));
    });
    test("a refused origin cannot use somebody's session either", async () => {
      const session = await Polling.open(port);
      const up = await upgrade(port, `/socket.io/?EIO=4&transport=websocket&sid=${session.sid}`, { Origin: "https://evil.example" });
      assert.ok([400, 403].includes(up.status), String(up.status));
    });
  });

  describe("preflights (T-02)", () => {
    const preflight = (origin) => request(port, "/socket.io/", {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "x-test" },
    });
    test("of a listed origin", async () => {
      const { status, headers } = await preflight("https://good.example");
      assert.equal(status, 204);
      assert.equal(headers["access-control-allow-origin"], "https://good.example");
      assert.match(headers["access-control-allow-methods"], /POST/);
      assert.match(headers.vary, /origin/i);
    });
    test("of another one: no permission, and never * with credentials", async () => {
      const { headers } = await preflight("https://evil.example");
      assert.equal(headers["access-control-allow-origin"], undefined);
    });
  });
});

describe("origins in production: a page of the same host is not foreign", { skip: daemonOnly }, () => {
  const WEBSOCKET = "/socket.io/?EIO=4&transport=websocket";
  // `null` stands for what files and sandboxed frames send, and is admitted since it is listed.
  const LISTED = ["https://good.example", "capacitor://localhost", "app://obsidian.md", "http://[::1]:8080", "null"];
  let daemon;
  let port;
  before(async () => {
    daemon = await startDaemon((daemon) => signage()(daemon).replace('root = "signage"', `root = "signage"\ncors_origins = ${JSON.stringify(LISTED)}`));
    port = daemon.port;
  });
  after(() => daemon?.stop());

  for (const [origin, host, admitted] of [
    ["https://panel.example", "panel.example", true],
    ["https://panel.example", "panel.example:443", true],
    ["http://panel.example", "panel.example", true],
    ["http://panel.example:3000", "panel.example:3000", true],
    ["https://evil.example", "panel.example", false],
    ["https://panel.example:8443", "panel.example", false],
    ["https://panel.example.evil.example", "panel.example", false],
    // A page of this machine is nobody special here.
    ["http://localhost:5173", "localhost:3000", false],
    ["ionic://localhost", "localhost", false],
    ...LISTED.map((origin) => [origin, "panel.example", true]),
  ]) {
    test(`${origin} at ${host}: ${admitted ? "admitted" : "refused"} on both transports and by the preflight`, async () => {
      const answer = await request(port, HANDSHAKE, { headers: { origin, host } });
      assert.equal(answer.status, admitted ? 200 : 403);
      assert.equal(answer.headers["access-control-allow-origin"], admitted ? origin : undefined);
      const up = await upgrade(port, WEBSOCKET, { Origin: origin, Host: host });
      assert.equal(up.status === 101, admitted, String(up.status));
      // Not plain enough for the fast way in: the same answer by the other one.
      const slow = await request(port, HANDSHAKE, { headers: { origin, host, expect: "100-continue" } });
      assert.equal(slow.status, answer.status);
      const preflight = await request(port, "/socket.io/", { method: "OPTIONS", headers: { origin, host, "access-control-request-method": "POST" } });
      assert.equal(preflight.headers["access-control-allow-origin"], admitted ? origin : undefined);
    });
  }
});

describe("bad HTTP", { skip: daemonOnly }, () => {
  let daemon;
  let port;
  before(async () => {
    daemon = await startDaemon(lab());
    port = daemon.port;
  });
  after(() => daemon?.stop());

  // A second request that must never be seen by the daemon as one of its own.
  const SMUGGLED = "GET /health/live HTTP/1.1\r\nHost: smuggled\r\n\r\n";
  const post = (headers, body = "") => `POST ${HANDSHAKE} HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n${body}`;

  /** One refusal at most, and then the end of the connection: nothing after it was taken for a request. */
  async function refusedOnce(bytes, { accepted = false } = {}) {
    const { statuses, closed, text } = await raw(port, bytes, { quietMs: 1_500 });
    assert.ok(statuses.length <= 1, `${statuses.length} answers: ${text}`);
    assert.ok(!text.includes('"status":"ok"'), `the hidden request was answered: ${text}`);
    if (!accepted) assert.ok(statuses.length === 0 || statuses[0] >= 400, text);
    assert.ok(closed, `the connection stays open after ${statuses}`);
  }

  test("requests behind each other are answered in order, whoever answers them", async () => {
    const get = (path, more = "") => `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
    const last = get("/health/live", "Connection: close\r\n");
    const { statuses, text, closed } = await raw(port, get(HANDSHAKE) + get(`${HANDSHAKE}&sid=none`) + last);
    assert.deepEqual([statuses, closed], [[200, 400, 200], true], text);
    // One after another on one connection: plain polling requests, then one for the router, and a polling request again.
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ask = (path) => new Promise((resolve, reject) => {
      const outgoing = httpRequest({ host: "127.0.0.1", port, path, agent }, (incoming) => {
        incoming.resume().on("end", () => resolve([incoming.statusCode, outgoing.reusedSocket]));
      });
      outgoing.on("error", reject).end();
    });
    const answers = [];
    for (const path of [HANDSHAKE, HANDSHAKE, "/health/live", HANDSHAKE]) answers.push(await ask(path));
    agent.destroy();
    assert.deepEqual(answers, [[200, false], [200, true], [200, true], [200, true]]);
  });

  describe("Transfer-Encoding that is not plainly chunked (B80, B90)", () => {
    const chunked = `0\r\n\r\n${SMUGGLED}`;
    for (const headers of [
      "Transfer-Encoding: chunked, identity",
      "Transfer-Encoding: xchunked",
      "Transfer-Encoding: identity",
      "Transfer-Encoding:\x0bchunked",
      "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
      "Transfer-Encoding : chunked",
      "Content-Length: 5\r\nTransfer-Encoding: xchunked",
    ]) {
      test(JSON.stringify(headers), () => refusedOnce(post(headers, chunked)));
    }
  });

  describe("Content-Length that is no number (B81)", () => {
    for (const value of ["+5", "-5", "5,6", "5 6", "0x5", "5_0", "", "5.0", "99999999999999999999999"]) {
      test(JSON.stringify(value), () => refusedOnce(post(`Content-Length: ${value}`, `12345${SMUGGLED}`)));
    }
    test("two that differ", () => refusedOnce(post("Content-Length: 5\r\nContent-Length: 6", `12345${SMUGGLED}`)));
  });

  describe("chunk sizes (B82)", () => {
    for (const size of ["FFFFFFFFFFFFFFFFF", "0x5", "5_0", "-1", "+5", "", "G"]) {
      test(JSON.stringify(size), () => refusedOnce(post("Transfer-Encoding: chunked", `${size}\r\nhello\r\n0\r\n\r\n${SMUGGLED}`)));
    }
  });

  describe("heads that are none", () => {
    for (const [name, bytes] of [
      ["a space before the colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n"],
      ["an empty header name", "GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n"],
      ["no colon", "GET / HTTP/1.1\r\nHost: x\r\nbroken\r\n\r\n"],
      ["NUL in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n"],
      ["NUL in a name", "GET / HTTP/1.1\r\nHost: x\r\nA\0b: c\r\n\r\n"],
      ["a folded first header", "GET / HTTP/1.1\r\n Host: x\r\n\r\n"],
      ["a bare CR", "GET / HTTP/1.1\rHost: x\r\r"],
      ["HTTP/9.9", "GET / HTTP/9.9\r\nHost: x\r\n\r\n"],
      ["HTTP/1.32", "GET / HTTP/1.32\r\nHost: x\r\n\r\n"],
      ["HTTP/4294967295.255", "GET / HTTP/4294967295.255\r\nHost: x\r\n\r\n"],
      ["a method with separators", "GE(T / HTTP/1.1\r\nHost: x\r\n\r\n"],
      ["the preface of HTTP/2 (B89)", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
      ["no HTTP at all", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"],
    ]) {
      test(name, () => refusedOnce(bytes));
    }
  });

  test("a request after Connection: close is never answered (B85)", () =>
    refusedOnce(`GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n${SMUGGLED}`));
  test("an early answer does not make a request of the body (B85)", () =>
    refusedOnce(`POST ${HANDSHAKE} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n${SMUGGLED}`));
  test("bytes behind a refused upgrade are no request (B86)", () =>
    refusedOnce(`GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 1\r\n\r\n${SMUGGLED}`));

  describe("heads that are too large (T-15, B14, B34)", () => {
    const many = (count) => Array.from({ length: count }, (_, index) => `X-${index}: y\r\n`).join("");
    for (const [name, bytes, statuses] of [
      ["17 KB of headers", `GET / HTTP/1.1\r\nHost: x\r\nA: ${"y".repeat(17_000)}\r\n\r\n`, [431]],
      ["101 headers", `GET / HTTP/1.1\r\nHost: x\r\n${many(100)}\r\n`, [431]],
      ["2,000 headers on an upgrade (B34)", `GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n${many(2_000)}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`, [431]],
      ["a request line of 9 KB (B14)", `GET /socket.io/?EIO=4&transport=polling&t=${"y".repeat(9_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, [414, 431]],
      ["a request line of 1 MB (B14)", `GET /?${"y".repeat(1_000_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, [414, 431]],
    ]) {
      test(name, async () => {
        const answer = await raw(port, bytes);
        assert.equal(answer.statuses.length <= 1, true);
        // A sender still busy may see the reset before the answer; a small request always sees the answer.
        if (answer.statuses.length > 0 || bytes.length < 20_000) assert.ok(statuses.includes(answer.statuses[0]), answer.text);
        assert.ok(answer.closed);
      });
    }
    test("a head within the bounds is taken", async () => {
      const { statuses } = await raw(port, `GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${many(90)}A: ${"y".repeat(8_000)}\r\n\r\n`);
      assert.deepEqual(statuses, [200]);
    });
  });

  test("after all that the daemon serves as before", async () => {
    const ws = await Ws.joined(port);
    ws.send('42["message","still here"]');
    assert.equal(await ws.next(), '42["message-back","still here"]');
    ws.end();
  });
});

describe("the admin token", { skip: daemonOnly }, () => {
  let daemon;
  before(async () => (daemon = await startDaemon(lab(), { env: { SIOD__ADMIN__TOKEN: "correct-horse-battery" } })));
  after(() => daemon?.stop());

  for (const [authorization, status] of [
    [undefined, 401],
    ["Bearer wrong", 401],
    ["Bearer correct-horse-batter", 401],
    ["Basic correct-horse-battery", 401],
    ["Bearer correct-horse-battery", 200],
  ]) {
    test(`${authorization}: ${status}`, async () => {
      const headers = authorization === undefined ? {} : { authorization };
      assert.equal((await request(daemon.adminPort, "/metrics", { headers })).status, status);
    });
  }
});

describe("the drain", { skip: daemonOnly }, () => {
  test("POST /drain tells the clients and ends the process with 0", async () => {
    const daemon = await startDaemon(lab());
    try {
      const ws = await Ws.joined(daemon.port);
      const polling = await Polling.open(daemon.port);
      await polling.join();
      const parked = polling.poll();
      assert.equal((await request(daemon.adminPort, "/drain", { method: "POST" })).status, 202);
      assert.equal(await ws.close(), 1001);
      assert.equal((await parked).at(-1), "1");
      assert.equal((await daemon.exited).code, 0);
    } finally {
      await daemon.stop({ mayHaveEnded: true });
    }
  });
});

describe("a daemon without clients", { skip: daemonOnly }, () => {
  test("SIGTERM ends it with 0, long before the drain timeout", async () => {
    const daemon = await startDaemon(lab());
    try {
      daemon.child.kill("SIGTERM");
      const late = new Promise((resolve) => setTimeout(resolve, 5_000, "still there").unref());
      assert.deepEqual(await Promise.race([daemon.exited, late]), { code: 0, signal: null });
    } finally {
      await daemon.stop({ mayHaveEnded: true });
    }
  });
});

describe("what the binary says about bad configuration", { skip: daemonOnly }, () => {
  for (const [name, change, says] of [
    ["an unknown key", (text) => text.replace("drain_timeout_s", "drain_timeout"), "drain_timeout"],
    ["a value out of range", (text) => text.replace("ping_interval_ms = 300", "ping_interval_ms = 1"), "ping_interval_ms"],
    ["a public bind without a secret", (text) => text.replace(/bind = "127\.0\.0\.1:(\d+)"/, 'bind = "0.0.0.0:$1"'), "JWT_SECRET"],
  ]) {
    test(`${name}: exit code 2, and the line names it`, async () => {
      let seen;
      const starting = startDaemon((daemon) => {
        seen = daemon;
        return change(lab()(daemon));
      });
      await assert.rejects(starting, (error) => error.message.includes(says));
      assert.equal((await seen.exited).code, 2);
    });
  }
});
