/** What `climax inspect` does with files of weights. */
import { z } from "zod";
import { inspectionSchema } from "../data/inspectschema.ts";
import { looksLikeWeights, refuseOnnx, refuseRunFolder } from "../weights/lookslike.ts";
import { type InspectedWeights, weightsSchema } from "../weights/weightsschema.ts";
import { fitSchema } from "./inspectfit.ts";
import { progress } from "./progress.ts";

/** `climax inspect --json`: files of fields and of weights, prepared sets, and what was refused. */
export const reportSchema = inspectionSchema.extend({
  checkpoints: z.array(weightsSchema).describe("files of weights"),
  fits: z
    .array(fitSchema)
    .describe("each checkpoint beside each file and set, where both name their variables"),
});
export type InspectReport = z.output<typeof reportSchema>;

/** Bytes of a file that one may wait for without a word. */
const quick = 200e6;

/**
 * Looks into a path if it holds weights, by its content; undefined for all else.
 *
 * @throws ClimaxError "checkpoint" for damaged and hostile files, ONNX, and folders of checkpoints
 */
export async function inspectIfWeights(
  path: string,
  { allow, quiet }: { readonly allow: readonly string[]; readonly quiet: boolean },
): Promise<InspectedWeights | undefined> {
  const look = await looksLikeWeights(path);
  if (look === "onnx") return refuseOnnx(path);
  if (look === undefined) {
    await refuseRunFolder(path);
    return undefined;
  }
  const { inspectWeights } = await import("../weights/inspectweights.ts"); // fields want no networks
  let bar: ReturnType<typeof progress> | undefined;
  const megabytes = (bytes: number) => Math.round(bytes / 1e5) / 10;
  return inspectWeights(path, {
    allow,
    onProgress: (done, total) => {
      if (total < quick) return;
      bar ??= progress({ label: "reading, MB", total: megabytes(total), quiet });
      bar.update(megabytes(done));
    },
  }).finally(() => bar?.stop());
}
