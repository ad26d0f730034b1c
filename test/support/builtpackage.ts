/** The package as npm lays it down, built from the sources as they are now: dist/ may be older than they are. */
import { execFile } from "node:child_process";
import { copyFile, mkdir, symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

const tsc = resolve("node_modules/typescript/bin/tsc");

/**
 * Makes `root/node_modules/climax`, so that programs in `root` import "climax": the library and what it imports, as
 * `npm run build` makes it but for the checks of types.
 */
export async function buildPackage(root: string): Promise<void> {
  const folder = join(root, "node_modules", "climax");
  await mkdir(folder, { recursive: true });
  await copyFile("package.json", join(folder, "package.json"));
  for (const name of ["kernels", "node_modules"])
    await symlink(resolve(name), join(folder, name), "junction");
  const config = join(root, "tsconfig.build.json");
  await writeFile(
    config,
    JSON.stringify({
      extends: resolve("src/tsconfig.json"),
      compilerOptions: {
        ...{ noCheck: true, sourceMap: false, rootDir: resolve("src"), outDir: join(folder, "dist") },
        ...{
          types: ["node", "@webgpu/types"],
          typeRoots: ["node_modules/@types", "node_modules"].map((path) => resolve(path)),
        },
      },
      include: [],
      files: [resolve("src/index.ts")],
    }),
  );
  await compile(config);
}

/** Runs the compiler on a project. @throws Error with what it says of the types that are wrong */
export async function compile(project: string): Promise<void> {
  try {
    await promisify(execFile)(process.execPath, [tsc, "-p", project]);
  } catch (error) {
    throw new Error((error as { stdout?: string }).stdout || String(error));
  }
}
