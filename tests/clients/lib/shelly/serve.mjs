// A device for programs in other languages: `node serve.mjs plug|gen1 '{"mac":…, "password":…}'`. It prints its port; then each line that
// comes is a call of the device, `["changes", {…}]`, and is answered by a line: what it gave, `null` for nothing. It ends with its input.
import { createInterface } from "node:readline";
import { Gen1 } from "./gen1.mjs";
import { Plug } from "./plug.mjs";

const [kind, options = "{}"] = process.argv.slice(2);
const { mac, ...more } = JSON.parse(options);
const device = kind === "gen1" ? new Gen1(mac, more) : new Plug(mac, more);
console.log(await device.listens());
for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...args] = JSON.parse(line);
  const gives = typeof device[name] === "function" ? await device[name](...args) : device[name];
  console.log(JSON.stringify(gives ?? null));
}
await device.ends();
