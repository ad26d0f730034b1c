/** `climax view`: a page on this machine that shows forecasts as maps, beside the truth and the error. */
import { z } from "zod";
import { expandPaths } from "../data/paths.ts";
import { canvasLibrary } from "../plot/scenecanvas.ts";
import { definitionNames } from "../scores/definitions.ts";
import { serveView } from "../show/viewserver.ts";
import { openViewSource } from "../show/viewsource.ts";
import { version } from "../version.ts";
import { command } from "./command.ts";
import { interruptible } from "./interrupt.ts";

const config = z.strictObject({
  files: z
    .array(z.string())
    .min(1)
    .describe("forecast files of one system, ours or anyone's, or files of states"),
  truth: z
    .array(z.string())
    .optional()
    .describe("what happened, to see the error: the folder of a prepared set, archive files, a Zarr store")
    .meta({ value: "PATH" }),
  name: z.string().optional().describe("name of the system; joins files that do not say they are of one"),
  definition: z
    .enum([...definitionNames])
    .default("climax")
    .describe("whose weights means, RMSE and bias are made with"),
  port: z.int().min(0).max(65535).default(0).describe("port on 127.0.0.1; 0 takes any free one"),
});

export const viewCommand = command({
  name: "view",
  summary: "look at forecasts in a browser, beside the truth: maps, leads, values",
  description:
    "Serves a page on this machine, for this machine only (127.0.0.1), and prints its address: maps of every variable, " +
    "level and lead, with the truth and the error beside them where --truth is given, animated, with their numbers. " +
    "Ctrl-C ends it.",
  examples: [
    "climax view forecast.nc",
    "climax view forecast.nc --truth sets/era5",
    "climax view 'ifs/*.grib' --name IFS --truth era5.zarr --port 8080",
  ],
  positional: { key: "files", name: "FORECAST...", variadic: true },
  config,
  run: async ({ files, truth, name, definition, port }, context) => {
    canvasLibrary(); // says what is missing before anything is opened: a page without its maps is of no use
    await interruptible(async (signal) => {
      const source = await openViewSource(await expandPaths(files), {
        truth: truth && (await expandPaths(truth)),
        name,
        definition,
      });
      try {
        for (const note of source.notes) context.info(note);
        if (source.synthetic) context.info("SYNTHETIC weather");
        signal.throwIfAborted();
        const server = await serveView(source, {
          port,
          version: version(),
          onBug: (error) =>
            context.warn(
              `a bug in climax ${version()}: ${error instanceof Error ? error.stack : String(error)}`,
            ),
        });
        try {
          context.print(server.url);
          context.info("open it in a browser; Ctrl-C ends");
          await new Promise<never>((_, reject) => {
            signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
            if (signal.aborted) reject(signal.reason as Error);
          });
        } finally {
          await server.close();
        }
      } finally {
        await source.close();
      }
    });
  },
});
