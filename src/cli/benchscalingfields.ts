// The settings of `climax bench scaling`, which are also flags of `climax bench`.
import { z } from "zod";
import { ways } from "../train/scaling.ts";
import { bytesField, rateField, secondsField } from "./quantity.ts";

export const scalingFields = {
  bytes: bytesField
    .optional()
    .describe("of the gradients in f32, where no run tells: 4 a parameter")
    .meta({ value: "N" }),
  parameters: z.number().positive().optional().describe("in place of --bytes: how many are trained"),
  buckets: z
    .int()
    .positive()
    .optional()
    .describe(
      "pieces in which gradients travel, where no run tells, taken to be of equal size; of 8 MiB unless given (training's " +
        "are larger where a single parameter is, and smaller at both ends of the model)",
    ),
  backward: z
    .number()
    .positive()
    .lt(1)
    .optional()
    .describe(
      "part of a step during which gradients become complete: the backward pass of its last micro-batch. 2/3 over the " +
        "micro-batches of a step unless given",
    ),
  bandwidth: z
    .array(rateField)
    .min(1)
    .optional()
    .describe(
      "of a host's network card, each way; 25gbit, 100gbit and 200gbit unless given, or what --measured says",
    )
    .meta({ value: "RATE,..." }),
  latency: secondsField
    .optional()
    .describe("of a message; 5us unless given, or what --measured says")
    .meta({ value: "TIME" }),
  measured: z
    .string()
    .optional()
    .describe(
      "file of climax bench allreduce --json: the network; beside --bandwidth what hosts can do, whatever the network",
    )
    .meta({ value: "FILE" }),
  copy: rateField
    .optional()
    .describe("between device and host, each way; 12GB/s unless given")
    .meta({ value: "RATE" }),
  ranks: z
    .array(z.int().positive())
    .min(1)
    .optional()
    .describe("numbers of ranks to project to; 8, 80 and 1024 unless given")
    .meta({ value: "N,..." }),
  ranksPerHost: z
    .int()
    .positive()
    .optional()
    .describe("ranks that share a host and its network card; 1 unless given"),
  ways: z
    .array(z.enum(ways))
    .min(1)
    .optional()
    .describe(
      "how gradients travel, f32 unless given; f16 as with --allreduce f16, zero as with --shard-optimiser",
    )
    .meta({ value: "NAME,..." }),
  efficiency: z
    .number()
    .gt(0)
    .lt(1)
    .optional()
    .describe("also tell how long a step of one rank must take, at least, to be this efficient on many: 0.9"),
};
