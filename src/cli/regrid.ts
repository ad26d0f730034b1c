/** `climax regrid`: weather files onto a regular latitude-longitude grid, or any grid that a file gives. */
import { existsSync, statSync } from "node:fs";
import { mkdir, rmdir } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { z } from "zod";
import { readGridFile } from "../data/gridfile.ts";
import { type RegridReport, regridFile } from "../data/regridfile.ts";
import { ClimaxError } from "../errors.ts";
import { describeGrid, regularGrid, sameGrid } from "../grid/grid.ts";
import { regridMethods } from "../grid/regrid.ts";
import { command } from "./command.ts";
import { interruptible } from "./interrupt.ts";
import { version } from "./main.ts";
import { type Progress, progress } from "./progress.ts";

const config = z.strictObject({
  inputs: z.array(z.string()).min(1).describe("NetCDF files to regrid"),
  output: z
    .string()
    .describe("a file ending in .nc, or a folder for files of the same names")
    .meta({ short: "o", value: "PATH" }),
  res: z
    .number()
    .optional()
    .describe("spacing of a regular global grid, degrees; 5.625 (32 x 64) unless --grid is given"),
  grid: z
    .string()
    .optional()
    .describe("target grid instead: a dataset that has it, or a grid description of CDO"),
  method: z
    .enum(regridMethods)
    .default("bilinear")
    .describe(
      "bilinear for smooth fields, bicubic for very smooth ones (it may overshoot: no rain), " +
        "conservative to keep integrals (fluxes, rain), nearest for categories",
    ),
  variables: z.array(z.string()).optional().describe("names in the file; all on a grid by default"),
  extent: z
    .enum(["source", "target"])
    .optional()
    .describe(
      "of a regional file write only the part of the target it covers, or the whole target with gaps; source with --res, target with --grid",
    ),
  minimumValid: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe(
      "least part of a target's weight that must not be missing; 1 for bilinear, any for conservative",
    ),
});

export const regridCommand = command({
  name: "regrid",
  summary: "put weather files on a regular latitude-longitude grid",
  description:
    "Regrids every variable on latitudes and longitudes; times, levels and metadata stay as they are. " +
    "Writes CF NetCDF-4 (float32, south to north, gaps as NaN).",
  examples: [
    "climax regrid era5.nc --res 5.625 -o era5_5.625deg.nc",
    "climax regrid pr_*.nc --res 1.40625 --method conservative -o regridded/",
    "climax regrid ta.nc --grid era5_5.625deg.nc --variables ta -o ta_5.625deg.nc",
  ],
  positional: { key: "inputs", name: "IN...", variadic: true },
  config,
  run: async (given, context) => {
    const { inputs, method, variables, minimumValid } = given;
    if (given.res !== undefined && given.grid !== undefined) {
      throw new ClimaxError(
        "config",
        "found both --res and --grid; wanted one target grid",
        "leave out one of them",
      );
    }
    const target =
      given.grid === undefined
        ? { grid: regularGrid(given.res ?? 5.625), edges: undefined }
        : await readGridFile(given.grid);
    const { pairs, folder } = outputsOf(inputs, given.output);
    const made = folder !== undefined && !existsSync(folder);
    if (made) await makeFolder(folder);
    try {
      await interruptible(async (signal) => {
        for (const [input, output] of pairs) {
          const started = performance.now();
          let bar: Progress | undefined;
          const report = await regridFile(input, output, {
            target: target.grid,
            targetEdges: target.edges,
            method,
            minimumValid,
            variables,
            cut: (given.extent ?? (given.grid === undefined ? "source" : "target")) === "source",
            commandLine: context.commandLine,
            program: `climax ${version()}`,
            signal,
            onProgress: (done, total) => {
              // Small files are done before a bar could be read.
              const slow = performance.now() - started > 1000 && done < total;
              if (slow) bar ??= progress({ label: basename(input), total, quiet: context.quiet });
              bar?.update(done);
            },
          }).finally(() => bar?.stop());
          for (const note of report.notes) context.info(`${input}: ${note}`);
          for (const { name, reason } of report.dropped)
            context.info(`${input}: ${name} left out, ${reason}`);
          if (!sameGrid(report.target, target.grid)) {
            context.info(`${input}: a region; wrote the part it covers (--extent target for the whole grid)`);
          }
          context.print(summary(input, output, method, report, (performance.now() - started) / 1000));
        }
      });
    } catch (error) {
      if (made) await rmdir(folder).catch(() => undefined); // stays when it holds finished files
      throw error;
    }
  },
});

/** One level only: an error is easier to mend than a tree at a mistyped place. */
async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
    const parentless = !existsSync(dirname(folder));
    throw new ClimaxError(
      "data",
      `cannot make the folder ${folder}: ${parentless ? `${dirname(folder)} does not exist` : error.message}`,
      parentless ? `mkdir -p ${folder}` : "choose a place that you may write to",
      { cause: error },
    );
  });
}

function summary(
  input: string,
  output: string,
  method: string,
  report: RegridReport,
  seconds: number,
): string {
  const names =
    report.regridded.length > 8 ? `${report.regridded.length} variables` : report.regridded.join(", ");
  const grids = `${describeGrid(report.source)} -> ${describeGrid(report.target)}`;
  return `${basename(input)} -> ${output}: ${names}; ${method}, ${grids}; ${seconds.toFixed(1)} s`;
}

/** Which file goes where, and the folder when there is one. */
function outputsOf(
  inputs: readonly string[],
  output: string,
): { pairs: [input: string, output: string][]; folder?: string } {
  const isFolder = existsSync(output) ? statSync(output).isDirectory() : !/\.(nc4?|cdf)$/i.test(output);
  if (!isFolder) {
    if (inputs.length > 1) {
      throw new ClimaxError(
        "config",
        `found ${inputs.length} input files for the one output file ${output}`,
        `name a folder, and each gets a file of its own name there: -o ${join(dirname(output), "regridded")}`,
      );
    }
    return { pairs: [[inputs[0]!, output]] };
  }
  const pairs = inputs.map((input): [string, string] => {
    return [input, join(output, `${basename(input, extname(input))}.nc`)];
  });
  const twice = pairs.find(([, path], i) => pairs.findIndex(([, other]) => other === path) < i);
  if (twice) {
    throw new ClimaxError(
      "config",
      `two input files would both be written to ${twice[1]}`,
      "rename one of them, or regrid them into different folders",
    );
  }
  return { pairs, folder: output };
}
