// What the demo's parts share: command lines as a user would type them, and the scores they leave.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));
const started = performance.now();

/** Minutes and seconds since the demo began. */
export function clock() {
  const seconds = Math.round((performance.now() - started) / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** Runs one command line as typed, and ends the demo with its exit code if it fails. */
export function climax(line) {
  console.log(`\n[${clock()}] $ climax ${line}`);
  return new Promise((done) => {
    const child = spawn(process.execPath, [`${root}bin/climax.js`, ...line.trim().split(/\s+/)], {
      cwd: root,
      stdio: "inherit",
    });
    child.on("close", (code, signal) => {
      if (code !== 0) process.exit(code ?? (signal === "SIGINT" ? 130 : 1));
      done();
    });
  });
}

/** The rows of a file that climax eval --json wrote. */
export function scoresOf(file) {
  return JSON.parse(readFileSync(`${root}${file}`, "utf8")).rows;
}

/** The value of one row. */
export function score(rows, system, variable, lead, metric = "rmse") {
  const found = rows.find(
    (row) =>
      row.system === system && row.variable === variable && row.lead_hours === lead && row.metric === metric,
  );
  if (!found) throw new Error(`no ${metric} of ${system} for ${variable} at ${lead} h`);
  return found.value;
}
