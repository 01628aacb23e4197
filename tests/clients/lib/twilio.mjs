// A provider that behaves as Twilio's API does, or as a test says; and webhooks as Twilio signs them, by its own helper.
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import twilio from "twilio/lib/webhooks/webhooks.js";
import { request } from "./http.mjs";
import { until } from "./wait.mjs";

export const TOKEN = "0123456789abcdef0123456789abcdef";

/** `calls` are the requests so far, each with its form's fields; `behaves` answers one: `{ status, body }`, `{ raw, headers }`, or what breaks it. */
export class Provider {
  static async start(port = 0) {
    const provider = new Provider();
    provider.server = createServer((incoming, outgoing) => provider.#serve(incoming, outgoing)).listen(port, "127.0.0.1");
    await once(provider.server, "listening");
    return provider;
  }

  constructor() {
    this.calls = [];
    this.behaves = accepts;
  }

  get port() {
    return this.server.address().port;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Calls whose Body is this. */
  of(body) {
    return this.calls.filter((call) => call.fields.Body === body);
  }

  called(body, times = 1) {
    return until(`the provider is called ${times} times about ${body}`, () => this.of(body).length >= times, 10_000);
  }

  async #serve(incoming, outgoing) {
    const chunks = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const call = {
      path: incoming.url,
      authorization: incoming.headers.authorization,
      fields: Object.fromEntries(new URLSearchParams(text)),
      at: Date.now(),
    };
    this.calls.push(call);
    const answer = await this.behaves(call);
    if (answer === HANGS) return;
    if (answer === CUTS) return void incoming.socket.destroy();
    if (answer.raw) return void outgoing.writeHead(answer.status ?? 200, answer.headers).end(answer.raw);
    const body = JSON.stringify(answer.body ?? {});
    outgoing.writeHead(answer.status, { "content-type": "application/json", "content-length": body.length });
    if (!answer.half) return void outgoing.end(body);
    outgoing.write(body.slice(0, body.length / 2));
    setTimeout(() => incoming.socket.destroy(), 20);
  }

  async stop() {
    const closed = once(this.server, "close");
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }
}

export const HANGS = Symbol("it takes the request and never answers");
export const CUTS = Symbol("it takes the request and closes the connection");
export const accepts = () => ({ status: 201, body: { sid: `SM${randomUUID().replaceAll("-", "")}`, status: "queued" } });

/**
 * POSTs a webhook as Twilio does. `url` is what Twilio has been told to call; the daemon hears it at `port`. `fields` may have
 * several values for a name.
 */
export function webhook(port, url, fields, { signature, token = TOKEN, headers = {}, body } = {}) {
  const form = body ?? formOf(fields);
  if (signature === undefined) signature = twilio.getExpectedTwilioSignature(token, url, fields);
  const { pathname, search } = new URL(url);
  return request(port, pathname + search, {
    method: "POST",
    headers: {
      "content-type": "application/x-www-form-urlencoded",
      ...(signature === null ? {} : { "x-twilio-signature": signature }),
      ...headers,
    },
    body: form,
  });
}

export function formOf(fields) {
  const form = new URLSearchParams();
  for (const [name, values] of Object.entries(fields)) for (const value of [values].flat()) form.append(name, value);
  return form.toString();
}
