/** YAML for values of flags, loaded when one is met: it takes 30 ms, a tenth of a small command. */
import { createRequire } from "node:module";

/** @throws Error of the yaml package for text that is none */
export function parseYaml(text: string): unknown {
  const { parse } = createRequire(import.meta.url)("yaml") as typeof import("yaml");
  return parse(text);
}
