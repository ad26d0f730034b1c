/** Whether ecCodes can be loaded here; GRIB tests that need it are skipped where not. */
import { gribKeys } from "../../src/files/gribprocess.ts";

export async function eccodesInstalled(): Promise<boolean> {
  return gribKeys("probe", []).then(
    () => true,
    () => false,
  );
}
