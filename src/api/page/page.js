// The page's own client: Engine.IO v4 and Socket.IO v5 over one WebSocket, text and binary, no reconnection.
// Whatever comes from the network reaches the page as text nodes only.
"use strict";

const LOG_LINES_MAX = 500;
const LINE_CHARACTERS_MAX = 20000;
const $ = (id) => document.getElementById(id);

/** One connection to one namespace. `on(kind, ...)` hears of everything. */
class Client {
  constructor(path, namespace, auth, on) {
    this.namespace = namespace;
    this.on = on;
    this.acks = new Map();
    this.nextAck = 0;
    this.partial = null;
    this.watchdog = 0;
    const url = new URL(path, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    url.search = "EIO=4&transport=websocket";
    this.socket = new WebSocket(url);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({ data }) => {
      try {
        typeof data === "string" ? this.engine(data, auth) : this.attachment(data);
      } catch (error) {
        this.on("bad", "cannot read what came", String(error));
        this.socket.close();
      }
    };
    this.socket.onclose = ({ code, reason }) => {
      clearTimeout(this.watchdog);
      this.on("closed", code, reason);
    };
  }

  engine(text, auth) {
    const body = text.slice(1);
    switch (text[0]) {
      case "0":
        this.open = JSON.parse(body);
        this.alive();
        this.socket.send("40" + this.prefix() + JSON.stringify(auth));
        break;
      case "1":
        this.socket.close();
        break;
      case "2":
        this.socket.send("3");
        this.alive();
        break;
      case "4":
        this.packet(body);
        break;
    }
  }

  // The server pings; a silence longer than it promised means that it is gone.
  alive() {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => this.socket.close(), this.open.pingInterval + this.open.pingTimeout);
  }

  packet(text) {
    const [, type, attachments, namespace, id, json] = /^([0-6])(?:(\d+)-)?(?:(\/[^,]*),?)?(\d*)([^]*)$/.exec(text);
    if ((namespace ?? "/") !== this.namespace) return;
    const data = json === "" ? undefined : JSON.parse(json);
    const packet = { type, id: id === "" ? undefined : Number(id), data };
    if (attachments === undefined) this.deliver(packet);
    else this.partial = { packet, buffers: [], wanted: Number(attachments) };
  }

  attachment(buffer) {
    if (this.partial === null) throw new Error("a binary message that nothing announced");
    const { packet, buffers, wanted } = this.partial;
    buffers.push(buffer);
    if (buffers.length < wanted) return;
    this.partial = null;
    packet.data = JSON.parse(JSON.stringify(packet.data), (key, value) =>
      value?._placeholder === true ? `<binary, ${buffers[value.num]?.byteLength ?? 0} bytes>` : value);
    this.deliver(packet);
  }

  deliver({ type, id, data }) {
    switch (type) {
      case "0":
        this.on("connected", data?.sid);
        break;
      case "1":
        this.on("disconnected");
        this.socket.close();
        break;
      case "4":
        this.on("refused", data);
        this.socket.close();
        break;
      case "2":
      case "5":
        this.on("event", data[0], data.slice(1));
        break;
      case "3":
      case "6":
        this.acks.get(id)?.(data);
        this.acks.delete(id);
        break;
    }
  }

  emit(event, args, answered) {
    let id = "";
    if (answered) {
      id = this.nextAck++;
      this.acks.set(id, answered);
    }
    this.socket.send("42" + this.prefix() + id + JSON.stringify([event, ...args]));
  }

  close() {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send("41" + this.prefix());
    this.socket.close();
  }

  prefix() {
    return this.namespace === "/" ? "" : this.namespace + ",";
  }
}

let client = null;

function line(direction, kind, name, detail) {
  const item = document.createElement("li");
  item.className = direction;
  const time = document.createElement("time");
  time.textContent = new Date().toISOString().slice(11, 23);
  const label = document.createElement("span");
  label.className = "kind";
  label.textContent = kind;
  const text = document.createElement("pre");
  if (name !== undefined) {
    const strong = document.createElement("strong");
    strong.textContent = name;
    text.append(strong, detail === undefined ? "" : " ");
  }
  if (detail !== undefined) text.append(cut(detail));
  item.append(time, label, text);
  $("log").prepend(item);
  while ($("log").childElementCount > LOG_LINES_MAX) $("log").lastElementChild.remove();
  $("empty").hidden = true;
}

function cut(text) {
  const more = text.length - LINE_CHARACTERS_MAX;
  return more > 0 ? `${text.slice(0, LINE_CHARACTERS_MAX)}… (${more} characters more)` : text;
}

const shown = (args) => args.map((arg) => JSON.stringify(arg)).join(", ");

function state(text, mood) {
  $("state").textContent = text;
  $("state").className = "badge " + (mood ?? "");
  $("connect-button").textContent = client === null ? "Connect" : "Disconnect";
  $("emit-button").disabled = mood !== "good";
}

function complain(text) {
  $("complaint").textContent = text;
}

function heard(kind, first, second) {
  switch (kind) {
    case "connected":
      line("in", "connect", client.namespace, `sid ${first}`);
      return state("connected", "good");
    case "refused":
      line("bad", "refused", first?.message, first?.data === undefined ? undefined : JSON.stringify(first.data));
      return state("refused", "bad");
    case "disconnected":
      return line("bad", "left", "the server ended this socket");
    case "event":
      return line("in", "event", String(first), shown(second));
    case "bad":
      return line("bad", "error", first, second);
    case "closed": {
      const refused = $("state").textContent === "refused";
      line("bad", "closed", `code ${first}`, second || undefined);
      client = null;
      return state(refused ? "refused" : "disconnected", refused ? "bad" : "");
    }
  }
}

$("connect").addEventListener("submit", (submit) => {
  submit.preventDefault();
  complain("");
  if (client !== null) return client.close();
  let auth;
  try {
    auth = JSON.parse($("auth-json").value.trim() || "{}");
    if (auth === null || typeof auth !== "object" || Array.isArray(auth)) throw new Error("not an object");
  } catch (error) {
    return complain(`“More auth” is not a JSON object: ${error.message}`);
  }
  if ($("token").value !== "") auth.token = $("token").value;
  const namespace = $("namespace").value.startsWith("/") ? $("namespace").value : "/" + $("namespace").value;
  client = new Client($("path").value || "/socket.io/", namespace, auth, heard);
  state("connecting…");
});

$("emit").addEventListener("submit", (submit) => {
  submit.preventDefault();
  complain("");
  let args;
  try {
    args = JSON.parse(`[${$("args").value.trim()}]`);
  } catch (error) {
    return complain(`The arguments are not JSON: ${error.message}`);
  }
  const event = $("event").value;
  const answered = $("ack").checked ? (data) => line("in", "ack", event, shown(data ?? [])) : null;
  client.emit(event, args, answered);
  line("out", "emit", event, shown(args));
});

$("clear").addEventListener("click", () => {
  $("log").replaceChildren();
  $("empty").hidden = false;
});

function row(cells) {
  const row = document.createElement("tr");
  for (const cell of cells) {
    const data = document.createElement("td");
    for (const [index, text] of [cell].flat().entries()) {
      const code = document.createElement("code");
      code.append(text);
      data.append(index === 0 ? "" : " ", code);
    }
    row.append(data);
  }
  return row;
}

function link(text, target) {
  const anchor = document.createElement("a");
  anchor.href = target;
  anchor.textContent = text;
  return anchor;
}

function options(id, values) {
  $(id).replaceChildren(...values.map((value) => new Option(value, value)));
}

async function describe() {
  const served = await (await fetch("/_siod/served.json")).json();
  $("version").textContent = served.version;
  $("applications").replaceChildren(...served.applications.map(({ name, namespaces, page }) => row([page ? link(name, page) : name, namespaces])));
  $("listeners").replaceChildren(...served.listeners.map(({ bind, root, paths }) => row([bind, paths, root])));
  options("namespaces", ["/", ...served.applications.flatMap(({ namespaces }) => namespaces)]);
  options("path", [...new Set(served.listeners.flatMap(({ paths }) => paths))]);
  $("namespace").value = served.applications[0]?.namespaces[0] ?? "/";
  $("auth").textContent = served.auth_mode === "dev"
    ? "Development identity: any token is accepted, and every role with it. Loopback only."
    : "A JSON Web Token is needed; `siod token --sub you --role admin` mints one.";
}

async function health() {
  try {
    const { status } = await (await fetch("/health/ready")).json();
    $("health").textContent = status === "ok" ? "healthy" : status;
    $("health").className = "badge " + (status === "ok" ? "good" : "bad");
  } catch {
    $("health").textContent = "not answering";
    $("health").className = "badge bad";
  }
}

describe().catch((error) => line("bad", "error", "cannot read what is served", String(error)));
health();
setInterval(health, 10000);
