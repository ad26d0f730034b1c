/**
 * The command line, built from the sources as they are now, once for all tests: a process of it starts with a quarter of
 * the work that one from source takes.
 */
import { cpSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { buildSync } from "esbuild";
import { scratch } from "./scratch.ts";

let built: string | undefined;
const scripts = new Map<string, string>();

/** Arguments of node that are `climax`; what comes after them are climax's. */
export function builtClimax(): string[] {
  built ??= build();
  return [join(built, "bin", "climax.js")];
}

/** A script of this folder, with what it imports of this folder, on the built sources. @param name  without .ts */
export function builtScript(name: string): string {
  // Written once: a process that was started with it a moment ago would read half of it, or nothing, and do nothing.
  const made = scripts.get(name) ?? buildScript(name);
  scripts.set(name, made);
  return made;
}

function buildScript(name: string): string {
  built ??= build();
  const path = join(built, "test", "support", `${name}.js`);
  const { outputFiles } = buildSync({
    entryPoints: [join("test", "support", `${name}.ts`)],
    ...{ bundle: true, external: ["../../src/*"], packages: "external" },
    ...{ format: "esm", platform: "node", write: false },
  });
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, withEndings(outputFiles[0]!.text).replaceAll('"../../src/', '"../../dist/'));
  return path;
}

/** What a program imports a built source by. @param name  within src, without .ts */
export function builtSource(name: string): string {
  built ??= build();
  return pathToFileURL(join(built, "dist", `${name}.js`)).href;
}

function build(): string {
  const root = join(scratch(), "built");
  const sources = readdirSync("src", { recursive: true, encoding: "utf8" }).filter(
    (name) => name.endsWith(".ts") && !name.endsWith(".d.ts"),
  );
  const { outputFiles } = buildSync({
    entryPoints: sources.map((name) => join("src", name)),
    ...{ outbase: "src", outdir: join(root, "dist"), format: "esm", write: false },
  });
  cpSync("bin", join(root, "bin"), { recursive: true }); // a link would lead back to dist/ here
  cpSync("package.json", join(root, "package.json"));
  for (const name of ["kernels", "node_modules"]) symlinkSync(resolve(name), join(root, name), "junction");
  cpSync("src", join(root, "dist"), { recursive: true, filter: (path) => !path.endsWith(".ts") }); // makes the folders
  for (const { path, text } of outputFiles) writeFileSync(path, withEndings(text));
  return root;
}

/** Imports name the files as they are now, as `rewriteRelativeImportExtensions` of the compiler has it. */
function withEndings(code: string): string {
  return code.replace(/(\bfrom |\bimport |\bimport\()("\.[^"\n]*)\.ts"/g, '$1$2.js"');
}
