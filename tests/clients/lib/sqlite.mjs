// Another process that has the database, as a backup or an operator's shell does.
import { spawn } from "node:child_process";
import { once } from "node:events";

const HOLDS = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=5)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
db.execute("ROLLBACK")
`;

/** Nobody else writes until what it gives is called. */
export async function lock(file) {
  const holder = spawn("python3", ["-c", HOLDS, file], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(holder, "exit");
  const first = await Promise.race([once(holder.stdout, "data"), ended]);
  if (String(first[0]).trim() !== "held") throw new Error("the database could not be locked");
  return async () => {
    holder.stdin.end("\n");
    await ended;
  };
}
