// Elements of a tensor in a file to f32: the face of model/dtypes.ts for the dtypes that sources of weights have.
import { toFloat32 as convert, isFloat as isFloating } from "../model/dtypes.ts";
import type { Dtype } from "./source.ts";

/** Whether elements are floating-point numbers. */
export const isFloat: (dtype: Dtype) => boolean = isFloating;

/** Elements as f32: see model/dtypes.ts. Aligned F32 is not copied. */
export const toFloat32: (dtype: Dtype, bytes: Uint8Array) => Float32Array = convert;
