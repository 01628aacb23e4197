// The list, live. A page with the official client would say `io("/todo")`; this one speaks the few packets it needs itself:
// Engine.IO 0 open, 2 ping, 3 pong, 4 message; in a message Socket.IO 0 connect and 2 event.
const url = new URL("/socket.io/?EIO=4&transport=websocket", location);
url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
const $ = (id) => document.getElementById(id);
let socket;

function connect() {
  socket = new WebSocket(url);
  socket.onmessage = ({ data }) => {
    if (data[0] === "0") socket.send("40/todo,");
    else if (data === "2") socket.send("3");
    else if (data.startsWith("40/todo,")) $("status").textContent = "Live.";
    else if (data.startsWith("42/todo,")) hear(...JSON.parse(data.slice("42/todo,".length)));
  };
  socket.onclose = () => {
    $("status").textContent = "Connecting …";
    setTimeout(connect, 1000);
  };
}

function hear(name, payload) {
  if (name === "todo:list") $("items").replaceChildren(...payload.items.map(line));
  else if (name === "todo:added") $("items").append(line(payload));
  else if (name === "todo:done") document.getElementById(`item-${payload.id}`)?.replaceWith(line(payload));
  else if (name === "todo:error") $("status").textContent = payload.message;
}

function line({ id, text, done }) {
  const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: done, disabled: done });
  box.onchange = () => say("todo:done", { id });
  const label = document.createElement("label");
  label.append(box, ` ${text}`);
  const line = Object.assign(document.createElement("li"), { id: `item-${id}` });
  line.append(label);
  return line;
}

function say(name, payload) {
  socket.send(`42/todo,${JSON.stringify([name, payload])}`);
}

$("add").onsubmit = (submitted) => {
  submitted.preventDefault();
  say("todo:add", { text: $("text").value });
  $("text").value = "";
};
connect();
