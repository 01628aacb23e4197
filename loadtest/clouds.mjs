// Systems whose devices report: a fake Shelly cloud with an account for each, connected to a daemon that serves iot.
//
//   node loadtest/clouds.mjs --jwt-secret KEY [--url http://127.0.0.1:3000] [--port 6190] [--systems 200] [--devices 100] [--every 30] [--flood 0]
//
// The daemon has to know where the cloud is (README.md has its environment). Each device reports once in so many seconds, and what it
// reports as its power is the time in milliseconds, by which `loadtest iot` tells how late a browser sees it. `--flood` are reports a second of
// the first system beside that. It runs until it is ended, and says each second what it has sent.
import { parseArgs } from "node:util";
import { Cloud } from "../tests/clients/lib/shelly/cloud.mjs";
import { mint } from "../tests/clients/lib/jwt.mjs";

const text = (value) => ({ type: "string", default: value });
const { values } = parseArgs({ options: {
  "jwt-secret": text(""), url: text("http://127.0.0.1:3000"), port: text("6190"), systems: text("200"), devices: text("100"), every: text("30"), flood: text("0"),
} });
const [port, systems, each, everyS, flood] = ["port", "systems", "devices", "every", "flood"].map((name) => Number(values[name]));

const cloud = await Cloud.start({ port });
const devices = [];

/** What an admin of a system asks. */
async function post(systemId, path, body) {
  const token = mint({ sub: "load", role: "admin", systemId }, { secret: values["jwt-secret"] });
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const answer = await fetch(`${values.url}/iot${path}`, { method: "POST", headers, body: JSON.stringify(body ?? {}) });
  if (!answer.ok) throw new Error(`${systemId} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

for (let system = 0; system < systems; system += 1) {
  const account = cloud.account({ email: `load${system}@example.com`, password: `load ${system}`, authKey: `load ${system}` });
  for (let number = 0; number < each; number += 1) {
    const id = (0x020000000000 + system * 0x10000 + number).toString(16).padStart(12, "0");
    devices.push([account, account.adds(id)]);
  }
  const { credentialId } = await post(`load${system}`, "/api/shelly/connect", { name: "load", email: account.email, password: account.plain });
  await post(`load${system}`, `/api/shelly/sync/${credentialId}`);
}
console.log(`${systems} systems of ${each} devices are connected`);

/** Calls `report` so many times a second, as evenly as a timer allows. */
function pace(perSecond, report) {
  const began = performance.now();
  let sent = 0;
  setInterval(() => {
    for (const due = ((performance.now() - began) / 1_000) * perSecond; sent < due; sent += 1) report(sent);
  }, 5);
}

let reports = 0;
const report = ([account, device]) => {
  reports += 1;
  account.reports(device, { "switch:0": { apower: Date.now() } });
};
pace(devices.length / everyS, (turn) => report(devices[turn % devices.length]));
if (flood > 0) pace(flood, (turn) => report(devices[turn % each]));
setInterval(() => {
  console.log(`${reports} reports, ${cloud.accounts.filter(({ open }) => open.size > 0).length} sockets`);
  reports = 0;
}, 1_000);
