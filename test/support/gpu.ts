// The one adapter that all tests share; opened once, so that each pipeline is compiled once.
import { type Gpu, openGpu } from "../../src/engine/device.ts";

export const gpu: Gpu = await openGpu();
