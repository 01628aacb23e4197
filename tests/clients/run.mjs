// Runs the suites and fails when one fails, or when nothing ran: a suite that ran no test has proved nothing.
// Usage: node run.mjs [fixture socketio signage rest …]; SIOD_BIN is the daemon, SIOD_ORACLE=1 takes the official server instead.
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const all = readdirSync(here).filter((name) => name.endsWith(".test.mjs")).map((name) => name.replace(".test.mjs", "")).sort();
const wanted = process.argv.length > 2 ? process.argv.slice(2) : all;
const files = wanted.map((name) => join(here, `${name}.test.mjs`));
const missing = files.filter((file) => !existsSync(file));
if (missing.length > 0) {
  console.error(`no such suite: ${missing.join(", ")}; there are ${all.join(", ")}`);
  process.exit(2);
}

const counts = { passed: 0, failed: 0, skipped: 0 };
const isTest = ({ details }) => details.type !== "suite";
const tests = run({ files, concurrency: 1, timeout: 300_000 });
tests.on("test:pass", (event) => {
  if (isTest(event)) counts[event.skip === undefined ? "passed" : "skipped"] += 1;
});
tests.on("test:fail", (event) => {
  if (isTest(event)) counts.failed += 1;
  process.exitCode = 1;
});
tests.compose(spec).pipe(process.stdout);
process.on("exit", () => {
  console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  if (counts.passed === 0 && process.exitCode !== 1) {
    console.error("no test ran: nothing is proved");
    process.exitCode = 1;
  }
});
