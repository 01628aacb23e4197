// Webhooks of utalk as Twilio and Meta send them, signed by Twilio's own helper; and the provider that is told of our messages.
import assert from "node:assert/strict";
import { createHash, createHmac, randomUUID } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";
import twilio from "twilio/lib/webhooks/webhooks.js";
import { utalk } from "./lib/config.mjs";
import { daemonOnly, startDaemon } from "./lib/daemon.mjs";
import { request } from "./lib/http.mjs";
import { mint } from "./lib/jwt.mjs";
import { Clients, Recorder } from "./lib/socketio.mjs";
import { accepts, CUTS, formOf, HANGS, Provider, TOKEN, webhook } from "./lib/twilio.mjs";
import { sleep, until } from "./lib/wait.mjs";

const OURS = "+5215559999";
const HUB = "hub secret";
const SID = "AC00000000000000000000000000000001";
let customers = 0, people = 0;

/** A customer nobody has heard of. */
const customer = () => `+5215550${String(++customers).padStart(5, "0")}`;
const conversationOf = (from) => `conv_${from}_${OURS}`;
const inbound = (from, more = {}) => ({
  MessageSid: `SM${randomUUID().replaceAll("-", "")}`,
  From: `whatsapp:${from}`,
  To: `whatsapp:${OURS}`,
  Body: "Hola, ¿qué tal?",
  NumMedia: "0",
  ProfileName: "Ana",
  ...more,
});

describe("utalk, webhooks and providers", { skip: daemonOnly }, () => {
  const clients = new Clients();
  let daemon, provider, elsewhere;

  before(async () => {
    [provider, elsewhere] = [await Provider.start(), await Provider.start()];
    daemon = await startDaemon(utalk({ settings: `
public_url = "https://chat.example"
[[apps.utalk.numbers]]
number = "${OURS}"
workspace = "w1"
tenant = "t1"
[[apps.utalk.numbers]]
number = "100200300"
workspace = "w1"
tenant = "t1"
channel = "facebook"
[apps.utalk.events_per_minute]
"message:send" = 0
[apps.utalk.provider]
kind = "twilio"
base_url = "${provider.url}"
account_sid = "${SID}"
token = "${TOKEN}"
timeout_ms = 700
retry_base_ms = 20
breaker_failures = 1000
[apps.utalk.media]
fetch_hosts = ["127.0.0.1:${elsewhere.port}"]
[apps.utalk.webhooks]
twilio_auth_tokens = ["older", "${TOKEN}"]
twilio_signing_keys = { webhooks_sharedkey_1 = "shared key" }
hub_verify_token = "verify me"
hub_app_secrets = ["${HUB}"]
` }));
  });
  beforeEach(() => (provider.behaves = accepts));
  after(async () => {
    clients.closeAll();
    await daemon?.stop();
    await provider?.stop();
    await elsewhere?.stop();
  });

  /** A person of the workspace, and what they hear. */
  async function person(claims = {}, where = "") {
    const token = mint({ sub: `admin${++people}`, role: "admin", workspaceId: "w1", tenantId: "t1", ...claims });
    const socket = await clients.connected(daemon.url + where, { auth: { token }, transports: ["websocket"] });
    return { socket, heard: new Recorder(socket) };
  }

  const URL_OF = "https://chat.example/webhooks/twilio/whatsapp";
  const tell = (fields, options = {}) => webhook(daemon.port, options.url ?? URL_OF, fields, options);
  const receipt = (message, status, more = {}) => {
    const url = `https://chat.example/webhooks/twilio/status?m=${message.id}&s=`;
    const fields = { MessageSid: message.twilioSid ?? "", MessageStatus: status, From: `whatsapp:${OURS}`, ...more };
    return tell(fields, { url });
  };

  /** A message of ours to a customer who has just written. */
  async function written(from = customer()) {
    assert.equal((await tell(inbound(from))).status, 200);
    return from;
  }

  const send = (socket, from, text, more = {}) => {
    const message = { messageId: randomUUID(), conversationId: conversationOf(from), type: "text", text, ...more };
    socket.emit("message:send", message);
    return message;
  };

  const sent = (heard, { messageId }, timeoutMs) => heard.next("message:sent", (sent) => sent.messageId === messageId, timeoutMs);
  const failed = (heard, { messageId }, timeoutMs) => heard.next("message:error", (error) => error.messageId === messageId, timeoutMs);

  describe("signatures", () => {
    const json = JSON.stringify(inbound(customer()));
    const bodySHA256 = createHash("sha256").update(json).digest("hex");
    const settings = "X-Twilio-Webhooks-Signature-Settings";
    const byKey = (fields) => twilio.getExpectedTwilioSignature("shared key", URL_OF, fields, "HMAC_SHA256");
    const ported = URL_OF.replace("chat.example", "chat.example:443");
    const good = {
      "a form": (fields) => tell(fields),
      "an older token": (fields) => tell(fields, { token: "older" }),
      "a query": (fields) => tell(fields, { url: `${URL_OF}?a=%C3%B1&b=` }),
      "the port spelled out": (fields) => tell(fields, { url: ported }),
      "a path with our name": (fields) => tell(fields, { url: "https://chat.example/utalk/webhooks/twilio/whatsapp" }),
      "the older path": (fields) => tell(fields, { url: "https://chat.example/api/messages/webhook" }),
      "empty fields": (fields) => tell({ ...fields, MediaUrl0: "", Zip: "" }),
      "fields nobody has heard of": (fields) => tell({ ...fields, _: "=&", "ñ é": "+ %", NewThing: "7" }),
      "a name that is repeated": (fields) => tell({ ...fields, Tag: ["b", "a", "b"] }),
      "a signing key": (fields) => tell(fields, {
        signature: byKey(fields),
        headers: { [settings]: "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256" },
      }),
      "a hash of the body": () => tell({}, {
        url: `${URL_OF}?bodySHA256=${bodySHA256}`,
        body: json,
        headers: { "content-type": "application/json" },
      }),
    };
    for (const [what, says] of Object.entries(good)) {
      test(`${what} is believed`, async () => {
        const answer = await says(inbound(customer()));
        assert.equal(answer.status, 200, answer.body);
        assert.equal(answer.json().success, true);
        assert.ok(answer.json().messageId);
      });
    }

    const bad = {
      "another token": [403, "SIGNATURE_INVALID", (fields) => tell(fields, { token: "wrong" })],
      "another URL": [403, "SIGNATURE_INVALID", (fields) => tell(fields, {
        signature: twilio.getExpectedTwilioSignature(TOKEN, "https://other.example/webhooks/twilio/whatsapp", fields) })],
      "a field that was changed": [403, "SIGNATURE_INVALID", (fields) => tell(fields, { body: formOf({ ...fields, Body: "x" }) })],
      "a field that was added": [403, "SIGNATURE_INVALID", (fields) => tell(fields, { body: formOf({ ...fields, x: "" }) })],
      "another body than its hash": [403, "SIGNATURE_INVALID", () => tell({}, {
        url: `${URL_OF}?bodySHA256=${bodySHA256}`, body: `${json} ` })],
      "a signing key of another name": [403, "SIGNATURE_INVALID", (fields) => tell(fields, {
        signature: byKey(fields), headers: { [settings]: "key=other,algorithm=HMAC_SHA256" } })],
      "another algorithm": [403, "SIGNATURE_INVALID", (fields) => tell(fields, {
        headers: { [settings]: "key=webhooks_sharedkey_1,algorithm=HMAC_SHA1" } })],
      "no signature": [400, "SIGNATURE_MISSING", (fields) => tell(fields, { signature: null })],
    };
    for (const [what, [status, code, says]] of Object.entries(bad)) {
      test(`${what} is ${status}, and nothing is kept`, async () => {
        const { heard } = await person();
        const from = customer();
        const answer = await says(inbound(from));
        assert.deepEqual([answer.status, answer.json().error.code], [status, code]);
        assert.equal(answer.json().success, false);
        await written(from);
        await heard.next("message:new", ({ sender }) => sender === from);
        assert.equal(heard.of("message:new").length, 0);
      });
    }
  });

  test("a message of a customer arrives once, however often it is told", async () => {
    const { heard } = await person();
    const fields = inbound(customer());
    const answers = await Promise.all([tell(fields), tell(fields), tell(fields)]);
    answers.push(await tell(fields));
    assert.deepEqual(answers.map((answer) => answer.status), [200, 200, 200, 200]);
    assert.equal(new Set(answers.map((answer) => answer.json().messageId)).size, 1);
    const from = fields.From.slice("whatsapp:".length);
    const message = await heard.next("message:new", ({ sender }) => sender === from);
    assert.deepEqual(
      [message.text, message.direction, message.status, message.metadata.twilioSid],
      [fields.Body, "inbound", "received", fields.MessageSid],
    );
    assert.equal(message.conversationId, conversationOf(from));
    await sleep(200);
    assert.equal(heard.of("message:new", ({ sender }) => sender === from).length, 0);
  });

  test("files of customers are fetched once, by redirects, with credentials for the provider alone, and what is forbidden stays", async () => {
    const png = Buffer.from("89504e470d0a1a0a0001020304050607", "hex");
    const file = { raw: png, headers: { "content-type": "image/png" } };
    provider.behaves = (call) => {
      if (call.path === "/media/own") return file;
      return { status: 302, raw: " ", headers: { location: call.path === "/media/far" ? `${elsewhere.url}/blob` : call.path } };
    };
    elsewhere.behaves = () => file;
    const [{ socket, heard }, from] = [await person(), customer()];
    await webhook(daemon.port, URL_OF, inbound(from));
    await socket.timeout(5_000).emitWithAck("join:conversation", { conversationId: conversationOf(from) });
    const urls = ["/media/own", "/media/far", "/media/round"].map((path) => provider.url + path);
    const all = [...urls, "http://127.0.0.1:9/inner", "http://169.254.169.254/latest"];
    const media = Object.fromEntries(all.flatMap((url, at) => [[`MediaUrl${at}`, url], [`MediaContentType${at}`, "image/png"]]));
    const fields = inbound(from, { NumMedia: String(all.length), ...media });
    for (let time = 0; time < 2; time++) assert.equal((await webhook(daemon.port, URL_OF, fields)).status, 200);
    const message = await heard.next("message:new", ({ metadata }) => metadata.media);
    const told = message.metadata.media.map(({ url, error, mediaId }) => [url, error ?? typeof mediaId]);
    const reasons = ["string", "string", "redirects", "forbidden", "forbidden"];
    assert.deepEqual(told, all.map((url, at) => [url, reasons[at]]));
    assert.deepEqual([message.type, message.mediaId], ["image", message.metadata.media[0].mediaId]);
    const uploaded = await heard.next("media:uploaded");
    assert.deepEqual([uploaded.id, uploaded.sizeBytes, uploaded.uploadedBy], [message.mediaId, png.length, null]);
    const { pathname, search } = new URL(uploaded.url);
    const whole = await request(daemon.port, pathname.replace("/utalk/", "/") + search);
    assert.deepEqual([whole.status, whole.bytes], [200, png]);
    const part = await request(daemon.port, pathname.replace("/utalk/", "/") + search, { headers: { range: "bytes=8-11" } });
    assert.deepEqual([part.status, part.bytes], [206, png.subarray(8, 12)]);
    const own = provider.calls.filter(({ path }) => path.startsWith("/media/"));
    assert.deepEqual(own.map(({ path }) => path).sort(), ["/media/far", "/media/own", ...Array(4).fill("/media/round")]);
    assert.ok(own.every(({ authorization }) => authorization.startsWith("Basic ")));
    assert.deepEqual(elsewhere.calls.map(({ authorization }) => authorization), [undefined]);
  });

  test("receipts raise a message and never lower it, in whatever order they come", async () => {
    const { socket, heard } = await person();
    const orders = [
      [["sent", "delivered", "read"], ["message:delivered", "message:read"]],
      [["read", "delivered"], ["message:read"]],
      [["failed", "delivered"], ["message:error", "message:delivered"]],
      [["delivered", "failed", "delivered"], ["message:delivered"]],
    ];
    for (const [statuses, events] of orders) {
      const from = await written();
      const message = await sent(heard, send(socket, from, "Hola"));
      for (const status of statuses) {
        const answer = await receipt(message, status, status === "failed" ? { ErrorCode: "30003" } : { NobodyKnows: "this" });
        assert.equal(answer.status, 200, answer.body);
      }
      const told = () => heard.events.filter(({ args: [event] }) => [event?.id, event?.messageId].some(
        (id) => [message.id, message.messageId].includes(id)) && event.status !== "sent").map(({ name }) => name);
      await until(`${statuses} is told`, () => told().length >= events.length);
      await sleep(100);
      assert.deepEqual(told().filter((name) => name !== "message:new"), events, `${statuses}`);
    }
  });

  test("a receipt that nobody can know of yet is kept until its message is known", async () => {
    const { socket, heard } = await person();
    const from = await written();
    let early;
    provider.behaves = async (call) => {
      const answer = accepts(call);
      const url = "https://chat.example/webhooks/twilio/status";
      early = await tell({ MessageSid: answer.body.sid, MessageStatus: "delivered", From: `whatsapp:${OURS}` }, { url });
      return answer;
    };
    const message = await sent(heard, send(socket, from, "quick"));
    assert.equal(early.status, 200);
    await heard.next("message:delivered", ({ id }) => id === message.id);
  });

  test("the provider is asked as Twilio is", async () => {
    const { socket, heard } = await person();
    const from = await written();
    const message = await sent(heard, send(socket, from, "¿Cómo estás? & =+"));
    const [call] = provider.of("¿Cómo estás? & =+");
    assert.equal(call.path, `/2010-04-01/Accounts/${SID}/Messages.json`);
    assert.equal(call.authorization, `Basic ${Buffer.from(`${SID}:${TOKEN}`).toString("base64")}`);
    assert.deepEqual([call.fields.From, call.fields.To], [`whatsapp:${OURS}`, `whatsapp:${from}`]);
    const callback = new URL(call.fields.StatusCallback);
    assert.equal(callback.searchParams.get("m"), message.id);
    const url = callback.toString();
    const answer = await tell({ MessageSid: message.twilioSid, MessageStatus: "read", Unknown: "" }, { url });
    assert.equal(answer.status, 200);
    await heard.next("message:read", ({ id }) => id === message.id);
  });

  test("calls of one conversation go out one at a time, in its order", async () => {
    const { socket, heard } = await person();
    const from = await written();
    let under = 0, most = 0;
    provider.behaves = async (call) => {
      most = Math.max(most, ++under);
      await sleep(30);
      under -= 1;
      return accepts(call);
    };
    const messages = Array.from({ length: 8 }, (_, n) => send(socket, from, `in order ${n}`));
    for (const message of messages) await sent(heard, message);
    const asked = provider.calls.map((call) => call.fields.Body).filter((body) => body?.startsWith("in order"));
    assert.deepEqual([asked, most], [messages.map(({ text }) => text), 1]);
  });

  test("a refused number stays refused: one call, and the retry replays it", async () => {
    const { socket, heard } = await person();
    const from = await written();
    provider.behaves = () => ({ status: 400, body: { code: 21211, message: "Invalid 'To' Phone Number" } });
    const message = send(socket, from, "refused");
    const first = await failed(heard, message);
    assert.deepEqual([first.error.code, first.error.details.reason], ["DELIVERY_FAILED", "invalid_phone_number"]);
    socket.emit("message:send", message);
    assert.deepEqual((await failed(heard, message)).error, first.error);
    assert.equal(provider.of("refused").length, 1);
  });

  test("a provider that is busy is asked three times, then the same id may be sent again", async () => {
    const { socket, heard } = await person();
    const from = await written();
    provider.behaves = () => ({ status: 503 });
    const message = send(socket, from, "busy");
    assert.equal((await failed(heard, message)).error.code, "SERVICE_UNAVAILABLE");
    const times = provider.of("busy").map((call) => call.at);
    assert.equal(times.length, 3);
    provider.behaves = accepts;
    socket.emit("message:send", message);
    assert.equal((await sent(heard, message)).status, "sent");
    assert.equal(provider.of("busy").length, 4);
  });

  for (const [what, behaves] of Object.entries({
    "hangs": () => HANGS,
    "cuts the connection": () => CUTS,
    "answers half": (call) => ({ ...accepts(call), half: true }),
    "fails": () => ({ status: 500, body: { code: 20500 } }),
    "answers nonsense": () => ({ status: 200, body: { hello: 1 } }),
  })) {
    test(`a provider that ${what} is called once, and the message is told to be unknown`, async () => {
      const { socket, heard } = await person();
      const from = await written();
      provider.behaves = behaves;
      const message = send(socket, from, `it ${what}`);
      const error = await failed(heard, message);
      assert.deepEqual([error.error.code, error.error.details.reason], ["DELIVERY_FAILED", "unknown"]);
      provider.behaves = accepts;
      socket.emit("message:send", message);
      assert.equal((await failed(heard, message)).error.details.reason, "unknown");
      assert.equal(provider.of(`it ${what}`).length, 1);
    });
  }

  test("outside the window nothing but a template goes out, and nothing is kept", async () => {
    const { socket, heard } = await person();
    const from = customer();
    const refused = await failed(heard, send(socket, from, "closed"));
    assert.deepEqual(
      [refused.error.code, refused.error.message],
      ["WINDOW_CLOSED", "La ventana de 24h está cerrada o falta plantilla aprobada"],
    );
    const metadata = { template: { sid: "HX1", variables: { 1: "Ana" } } };
    await sent(heard, send(socket, from, undefined, { type: "template", metadata }));
    const call = provider.calls.at(-1);
    assert.deepEqual([call.fields.ContentSid, call.fields.ContentVariables], ["HX1", '{"1":"Ana"}']);
    assert.equal(provider.of("closed").length, 0);
  });

  describe("Meta", () => {
    const hub = (body, { secret = HUB, path = "/webhooks/whatsapp", signature } = {}) => {
      const text = JSON.stringify(body);
      if (signature === undefined) signature = `sha256=${createHmac("sha256", secret).update(text).digest("hex")}`;
      const headers = { "content-type": "application/json", ...(signature === null ? {} : { "x-hub-signature-256": signature }) };
      return request(daemon.port, path, { method: "POST", headers, body: text });
    };
    const cloud = (from, messages, statuses = []) => ({
      object: "whatsapp_business_account",
      entry: [{ id: "1", changes: [{ field: "messages", value: {
        messaging_product: "whatsapp",
        metadata: { display_phone_number: OURS.slice(1), phone_number_id: "7" },
        contacts: [{ wa_id: from.slice(1), profile: { name: "Eva" } }],
        messages: messages.map((message) => ({ from: from.slice(1), timestamp: "1", ...message })),
        statuses,
      } }] }],
    });
    const text = (body) => ({ id: `wamid.${randomUUID()}`, type: "text", text: { body } });

    test("it learns whether we are there", async () => {
      for (const path of ["/webhooks/whatsapp", "/webhooks/facebook/verify"]) {
        const ask = (token) => request(daemon.port, `${path}?hub.mode=subscribe&hub.verify_token=${token}&hub.challenge=115`);
        const good = await ask("verify%20me");
        assert.deepEqual([good.status, good.body], [200, "115"]);
        assert.equal((await ask("wrong")).status, 403);
      }
    });

    test("many messages and receipts come in one body, each once", async () => {
      const { socket, heard } = await person();
      const from = await written();
      const message = await sent(heard, send(socket, from, "Hola"));
      const messages = [text("uno"), text("dos"), text("tres")];
      const status = { id: "wamid.x", status: "delivered", biz_opaque_callback_data: message.id };
      const body = cloud(from, messages, [status, { id: "wamid.nobody", status: "read" }]);
      for (let time = 0; time < 2; time++) assert.equal((await hub(body)).status, 200);
      for (const { text } of messages) await heard.next("message:new", (message) => message.text === text.body);
      await heard.next("message:delivered", ({ id }) => id === message.id);
      await sleep(200);
      assert.equal(heard.of("message:new", ({ text }) => ["uno", "dos", "tres"].includes(text)).length, 0);
      assert.equal(heard.of("message:delivered", ({ id }) => id === message.id).length, 0);
    });

    test("what is not signed, or by somebody else, is refused", async () => {
      const body = cloud(customer(), [text("forged")]);
      for (const path of ["/webhooks/whatsapp", "/webhooks/facebook/messages"]) {
        assert.equal((await hub(body, { path, signature: null })).status, 400);
        assert.equal((await hub(body, { path, secret: "other" })).status, 403);
      }
    });

    test("a page's messages are of its own channel", async () => {
      const { heard } = await person();
      const mid = `m_${randomUUID()}`;
      const event = { sender: { id: "998877" }, recipient: { id: "100200300" }, timestamp: 1, message: { mid, text: "Hola, página" } };
      const body = { object: "page", entry: [{ id: "100200300", time: 1, messaging: [event] }] };
      assert.equal((await hub(body, { path: "/webhooks/facebook/messages" })).status, 200);
      const made = await heard.next("conversation:new", ({ id }) => id === "conv_998877_100200300");
      assert.equal(made.channel, "facebook");
      await heard.next("message:new", ({ messageId }) => messageId === mid);
    });
  });

  // The last ones: they end the daemon, which comes back.
  test("a call that a crash has cut is unknown for ever, and what was due is called", async () => {
    const sub = "survivor";
    const { socket, heard } = await person({ sub });
    const from = await written();
    provider.behaves = () => HANGS;
    const first = send(socket, from, "cut by a crash");
    const second = send(socket, from, "due before a crash");
    await provider.called("cut by a crash");
    await until("both are on disk", () => heard.of("conversation:updated", ({ id, messageCount }) => id === conversationOf(from) && messageCount === 3).length > 0);
    await daemon.kill();
    provider.behaves = accepts;
    await daemon.spawn();
    await provider.called("due before a crash");
    const again = await person({ sub });
    again.socket.emit("message:send", first);
    assert.equal((await failed(again.heard, first)).error.details.reason, "unknown");
    again.socket.emit("message:send", second);
    assert.deepEqual([(await sent(again.heard, second)).seq, provider.of("cut by a crash").length], [3, 1]);
    assert.equal(provider.of("due before a crash").length, 1);
  });

  test("a provider that is down is not there, and is found again", async () => {
    const { socket, heard } = await person();
    const from = await written();
    const { port } = provider;
    await provider.stop();
    const message = send(socket, from, "nobody is there");
    assert.equal((await failed(heard, message, 10_000)).error.code, "SERVICE_UNAVAILABLE");
    provider = await Provider.start(port);
    socket.emit("message:send", message);
    await sent(heard, message);
    assert.equal(provider.of("nobody is there").length, 1);
  });
});
