// Files of utalk over real connections: brought by fetch, told to the official client, shown by signed URLs, whole and in ranges.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { afterEach, describe, test } from "node:test";
import { utalk } from "./lib/config.mjs";
import { daemonOnly } from "./lib/daemon.mjs";
import { mint } from "./lib/jwt.mjs";
import { Served, endRunning } from "./lib/served.mjs";
import { once } from "./lib/socketio.mjs";

afterEach(endRunning);

const WEB = "conv_test";
const PNG = Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.alloc(200_000, "picture ")]);
const token = (sub, role, claims = {}) => mint({ sub, role, email: `${sub}@x`, tenantId: "t", workspaceId: "w1", ...claims });

class Chat extends Served {
  get origin() {
    return `http://127.0.0.1:${this.daemon.port}`;
  }

  form(bytes, { name = "a.png", type = "image/png", conversationId = WEB } = {}) {
    const form = new FormData();
    form.append("conversationId", conversationId);
    form.append("messageId", "m1");
    if (bytes) form.append("file", new Blob([bytes], { type }), name);
    return form;
  }

  async upload(bearer, body) {
    const headers = { authorization: `Bearer ${bearer}` };
    const answer = await fetch(`${this.origin}/api/media/upload`, { method: "POST", headers, body });
    return { status: answer.status, ...(await answer.json()) };
  }

  async get(bearer, path) {
    const answer = await fetch(`${this.origin}${path}`, { headers: { authorization: `Bearer ${bearer}` } });
    return { status: answer.status, ...(await answer.json()) };
  }
}

describe("files of utalk", { skip: daemonOnly }, () => {
  test("a file is told as it comes, sent, and shown to whoever has its URL", async () => {
    const chat = await Chat.start(utalk());
    const ana = token("ana", "agent");
    const socket = await chat.connected("/app", { token: ana });
    const sent = once(socket, "message:sent");
    socket.emit("message:send", { messageId: "first", conversationId: WEB, type: "text", text: "hola" });
    await sent;
    const heard = [];
    socket.onAny((name, payload) => name.startsWith("media:") && heard.push([name, payload]));
    const uploaded = once(socket, "media:uploaded");
    const { status, data } = await chat.upload(ana, chat.form(PNG));
    assert.equal(status, 201);
    await uploaded;
    assert.deepEqual(heard.at(-2), ["media:upload:progress", { messageId: "m1", progress: 100, uploadedBytes: PNG.length, totalBytes: PNG.length }]);
    assert.equal(heard.at(-1)[1].id, data.id);

    const whole = await fetch(data.publicUrl);
    assert.deepEqual([whole.status, whole.headers.get("content-type"), whole.headers.get("x-content-type-options")], [200, "image/png", "nosniff"]);
    assert.ok(Buffer.from(await whole.arrayBuffer()).equals(PNG));
    const part = await fetch(data.publicUrl, { headers: { range: "bytes=0-7" } });
    assert.deepEqual([part.status, part.headers.get("content-range")], [206, `bytes 0-7/${PNG.length}`]);
    assert.ok(Buffer.from(await part.arrayBuffer()).equals(PNG.subarray(0, 8)));
    const beyond = await fetch(data.publicUrl, { headers: { range: `bytes=${PNG.length}-` } });
    assert.equal(beyond.status, 416);
    const known = await fetch(data.publicUrl, { headers: { "if-none-match": whole.headers.get("etag") } });
    assert.equal(known.status, 304);
    const forged = await fetch(data.publicUrl.replace(/exp=\d+/, "exp=99999999999"));
    const said = await forged.json();
    assert.deepEqual([forged.status, said.success, said.error.code], [403, false, "FORBIDDEN"]);
    const followed = await fetch(`${chat.origin}/api/media/${data.id}/download`, { headers: { authorization: `Bearer ${ana}` } });
    assert.deepEqual([followed.status, followed.redirected], [200, true]);

    const image = once(socket, "message:sent");
    socket.emit("message:send", { messageId: "image", conversationId: WEB, type: "image", mediaId: data.id });
    assert.equal((await image)[0].seq, 2);

    await chat.daemon.restart({ crash: true });
    const again = await fetch(data.publicUrl.replace(/^http:\/\/[^/]+/, chat.origin));
    assert.equal(again.status, 200, "the file and its URL are good after a crash");
  });

  test("what is none, lies or breaks off is refused, and chat goes on", async () => {
    const chat = await Chat.start(utalk());
    const ana = token("ana", "agent");
    const socket = await chat.connected("/app", { token: ana });
    const sent = once(socket, "message:sent");
    socket.emit("message:send", { messageId: "first", conversationId: WEB, type: "text", text: "hola" });
    await sent;
    const refused = async (bearer, body) => {
      const { status, error } = await chat.upload(bearer, body);
      return [status, error.code];
    };
    assert.deepEqual(await refused(ana, chat.form(null)), [400, "NO_FILE"]);
    assert.deepEqual(await refused(ana, chat.form("<script>", { name: "a.png" })), [415, "UNSUPPORTED_FILE_TYPE"]);
    assert.deepEqual(await refused(ana, chat.form("PK\x03\x04 an archive, and more", { type: "application/zip" })), [415, "UNSUPPORTED_FILE_TYPE"]);
    assert.deepEqual(await refused(ana, chat.form(PNG, { conversationId: "conv_none" })), [404, "CONVERSATION_NOT_FOUND"]);
    assert.deepEqual(await refused(token("vic", "viewer"), chat.form(PNG)), [403, "FORBIDDEN"]);
    assert.deepEqual(await refused(token("eve", "admin", { workspaceId: "w2" }), chat.form(PNG)), [404, "CONVERSATION_NOT_FOUND"]);
    const large = Buffer.concat([PNG, Buffer.alloc(10 * 1024 * 1024)]);
    const outcome = await refused(ana, chat.form(large)).catch((error) => error.cause?.code ?? String(error));
    assert.deepEqual(outcome, [413, "FILE_TOO_LARGE"]);

    // One that ends in the middle.
    const cut = connect(chat.daemon.port, "127.0.0.1");
    const head = `--b\r\nContent-Disposition: form-data; name="conversationId"\r\n\r\n${WEB}\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n`;
    cut.write(`POST /api/media/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ana}\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n${head}`);
    await new Promise((done) => cut.write(PNG, done));
    cut.destroy();
    const files = await chat.get(ana, `/api/media/conversation/${WEB}`);
    assert.deepEqual([files.status, files.data.count], [200, 0]);
    assert.equal((await chat.upload(ana, chat.form(PNG))).status, 201);
    const after = once(socket, "message:sent");
    socket.emit("message:send", { messageId: "after", conversationId: WEB, type: "text", text: "sigue" });
    assert.equal((await after)[0].seq, 2);
  });
});
