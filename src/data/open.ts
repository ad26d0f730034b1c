// Opens what a user names, whatever its format: the list of readers, each loaded when it is wanted (together they take
// as long as regridding a small file), and what is said of all else.
import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { ClimaxError } from "../errors.ts";
import type { Dataset } from "../files/dataset.ts";
import { isUrl } from "../files/httprequest.ts";
import { looksLikeNpzShards, looksLikeZarr } from "./storefolders.ts";
import { looksLikeYearlyCsv, parseYearlyCsv } from "./yearlycsv.ts";

const known = "NetCDF-3 (CDF-1, CDF-2, CDF-5), NetCDF-4 / HDF5, Zarr 2 and 3, and GRIB 1 and 2";

/**
 * Opens a file by its first bytes, never by its name.
 * @throws ClimaxError "data" that says what the file is instead, and how to convert it.
 */
export async function openDataset(path: string): Promise<Dataset> {
  if (isUrl(path)) return (await import("../files/zarrweb.ts")).openWeb(path);
  const absolute = resolve(path);
  const info = await stat(absolute).catch((error: NodeJS.ErrnoException) => fail(path, error));
  if (info.isDirectory()) return openFolder(path, absolute);
  if (!info.isFile()) {
    throw new ClimaxError(
      "data",
      `${path} is not a regular file`,
      `copy it to a file first. Known: ${known}`,
    );
  }
  if (info.size === 0) {
    throw new ClimaxError(
      "data",
      `${path} is empty (0 bytes)`,
      "the download or the program that wrote it failed: fetch or write it again",
    );
  }
  const handle = await open(absolute, "r").catch((error: NodeJS.ErrnoException) => fail(path, error));
  let keep = false;
  try {
    const head = Buffer.alloc(Math.min(info.size, 512));
    await handle.read(head, 0, head.length, 0);
    if (head.toString("latin1", 0, 3) === "CDF" && [1, 2, 5].includes(head[3] ?? 0)) {
      const { openNetcdf3 } = await import("../files/netcdf3.ts");
      const dataset = await openNetcdf3(path, handle, info.size);
      keep = true;
      return dataset;
    }
    if (await isHdf5(handle, info.size)) {
      const { openHdf5 } = await import("../files/hdf5.ts");
      return await openHdf5(path, absolute, info.size);
    }
    if (looksLikeGrib(head)) {
      const { openGrib } = await import("../files/grib.ts");
      const dataset = await openGrib(path, handle, info.size);
      keep = true;
      return dataset;
    }
    if (info.size <= longestTable && looksLikeYearlyCsv(head.toString("utf8")))
      return parseYearlyCsv(path, await handle.readFile("utf8"));
    return refuse(path, info.size, head);
  } finally {
    if (!keep) await handle.close();
  }
}

/** Bulletins carry a heading before the first message; a message's eighth byte is its edition. */
function looksLikeGrib(head: Buffer): boolean {
  const at = head.indexOf("GRIB");
  return at === 0 || (at > 0 && [1, 2].includes(head[at + 7] ?? 0));
}

/** Bytes of text that are believed to be a table of years. */
const longestTable = 1 << 20;

/** HDF5 allows a user block before the signature: 512 bytes or any power of two above that. */
async function isHdf5(handle: FileHandle, size: number): Promise<boolean> {
  const signature = Buffer.from("\x89HDF\r\n\x1a\n", "latin1");
  const found = Buffer.alloc(signature.length);
  for (let at = 0; at + signature.length <= size; at = at === 0 ? 512 : at * 2) {
    const { bytesRead } = await handle.read(found, 0, found.length, at);
    if (bytesRead === found.length && found.equals(signature)) return true;
  }
  return false;
}

function fail(path: string, error: NodeJS.ErrnoException): never {
  const hints: Record<string, [string, string]> = {
    ENOENT: ["there is no such file", "check the name and the folder"],
    ENOTDIR: ["a part of the path is a file, not a folder", "check the path"],
    EACCES: ["you may not read it", `ask its owner, or: chmod +r ${path}`],
    EMFILE: ["too many files are open", "raise the limit: ulimit -n 4096"],
  };
  const [what, hint] = hints[error.code ?? ""] ?? [error.message, "check the file and its disk"];
  throw new ClimaxError("data", `cannot open ${path}: ${what}`, hint, { cause: error });
}

async function openFolder(path: string, absolute: string): Promise<Dataset> {
  const names = await readdir(absolute).catch((error: NodeJS.ErrnoException) => fail(path, error));
  if (looksLikeNpzShards(names)) return (await import("./npzshards.ts")).openNpzShards(path, absolute);
  if (looksLikeZarr(names)) {
    const { openZarr } = await import("../files/zarr.ts");
    const { folderStore } = await import("../files/zarrstore.ts");
    const store = await openZarr(await folderStore(path, absolute));
    if (store) return store;
  }
  const files = names.filter((name) => /\.(nc4?|cdf|h5|hdf5)$/i.test(name));
  throw new ClimaxError(
    "data",
    `${path} is a folder of ${names.length} entries (${files.length} look like NetCDF), not a file`,
    `name the files: ${join(path, "*.nc")}`,
  );
}

/** What else people hand over, by first bytes, and the way from there. */
function refuse(path: string, size: number, head: Buffer): never {
  const text = head.toString("latin1");
  const say = (what: string, hint: string): never => {
    throw new ClimaxError("data", `${path} (${size} bytes) ${what}; this program reads ${known}`, hint);
  };
  if (text.startsWith("\x1f\x8b")) return say("is compressed by gzip", `unpack it: gunzip -k ${path}`);
  if (text.startsWith("BZh")) return say("is compressed by bzip2", `unpack it: bunzip2 -k ${path}`);
  if (text.startsWith("PK\x03\x04")) {
    return say(
      "is a zip archive (a download, or .npz)",
      `unpack it: unzip ${path}; of ClimaX's shards give the folder that holds train, lat.npy and lon.npy`,
    );
  }
  if (text.startsWith("\x93NUMPY"))
    return say("is a NumPy array without coordinates", "give the NetCDF file");
  if (text.startsWith("\x0e\x03\x13\x01")) return say("is an HDF4 file", `convert it: h4toh5 ${path}`);
  if (text.startsWith("BUFR")) return say("is a BUFR file of observations", "give a gridded file");
  if (/^\s*<(!doctype|html|\?xml)/i.test(text)) {
    return say(
      "is a web page",
      "the download gave a page, perhaps a login or an error: open it, then fetch again",
    );
  }
  if (text.startsWith("CDF")) {
    return say(`is a NetCDF classic file of unknown version ${head[3] ?? "(cut off)"}`, "fetch it again");
  }
  if (/^\0+$/.test(text)) return say("begins with zeros only", "its download was cut off: fetch it again");
  // A line of names, and one with a number.
  if (/^[\w ",.()[\]-]+,[\w ",.()[\]-]+\r?\n[\w ",.()[\]-]*\d/.test(text)) {
    return say(
      "is a table, but not of what drives the climate year by year",
      'begin such a table with the names of its columns, the year first: "year,CO2 (Gt)"',
    );
  }
  return say(
    `is of no known format (first bytes: ${head.subarray(0, 8).toString("hex")})`,
    "convert it to NetCDF, for example by cdo -f nc4 copy",
  );
}
