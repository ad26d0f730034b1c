// What an address leads to: a Zarr store is opened where it lies; whole files are to be downloaded first.
import { ClimaxError } from "../errors.ts";
import type { Dataset } from "./dataset.ts";
import { publicUrl } from "./httprequest.ts";
import { openZarr } from "./zarr.ts";
import { firstBytes, type WebStoreOptions, webStore } from "./zarrstore.ts";

const fileNames = /\.(nc4?|cdf|h5|hdf5?|grib2?|grb2?|npz|npy|zip|gz|tar)$/i;

/** Files by their first bytes, as text. */
const signatures: [string, string][] = [
  ["CDF", "a NetCDF file"],
  ["\x89HDF\r\n\x1a\n", "a NetCDF-4 or HDF5 file"],
  ["GRIB", "a GRIB file"],
  ["PK\x03\x04", "a zip archive"],
  ["\x1f\x8b", "compressed by gzip"],
];

/**
 * Opens the Zarr store at http://, https://, gs:// or s3://.
 * @throws ClimaxError "data" for all that is none, with the way to a file on disk where it is a file.
 */
export async function openWeb(address: string, options: WebStoreOptions = {}): Promise<Dataset> {
  const { pathname } = publicUrl(address);
  if (fileNames.test(pathname)) refuseFile(address, "a file, by its name");
  const dataset = await openZarr(webStore(address, options));
  if (dataset) return dataset;
  const head = Buffer.from((await firstBytes(address, options)) ?? []).toString("latin1");
  const [, kind] = signatures.find(([start]) => head.startsWith(start)) ?? [];
  if (kind) refuseFile(address, kind);
  throw new ClimaxError(
    "data",
    `${address} is no Zarr store: neither .zmetadata nor zarr.json is there, or you may not read them`,
    "check the address: it is that of the folder which holds them",
  );
}

function refuseFile(address: string, kind: string): never {
  const { pathname } = publicUrl(address);
  const name = decodeURIComponent(pathname.split("/").findLast((part) => part !== "") ?? "file.nc");
  throw new ClimaxError(
    "data",
    `${address} is ${kind}; only Zarr stores are read over the network`,
    `fetch it first: climax download ${address} -o ${/\.\w+$/.test(name) ? name : `${name}.nc`}`,
  );
}
