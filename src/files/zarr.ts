// Opens Zarr stores of version 2 and 3, in folders and over HTTP(S), as datasets. Only the arrays of the root group
// are variables. Conventions: dimension names by xarray (_ARRAY_DIMENSIONS) or Zarr 3, numbers packed by CF.
import { z } from "zod";
import { ClimaxError } from "../errors.ts";
import type { Dataset, DatasetVariable } from "./dataset.ts";
import { hyperslab } from "./hyperslab.ts";
import { packingOf, unpack } from "./packing.ts";
import { forgetChunks, readNumbers, readTexts, type ZarrArray } from "./zarrchunks.ts";
import { type ArrayMetadata, attributesOf, metadataV2, metadataV3, parseJson } from "./zarrmetadata.ts";
import type { ZarrStore } from "./zarrstore.ts";

/** What a store says of itself, by path from its root: "" the root, "t" an array, "g/t" one in a group. */
interface Contents {
  version: 2 | 3;
  attributes: Record<string, unknown>;
  /** JSON of the nodes, version 3, or of what they are, version 2. */
  nodes: Map<string, { array?: unknown; attributes?: unknown }>;
  /** Paths of groups. */
  groups: string[];
}

const json = z.record(z.string(), z.unknown());

/**
 * Opens a store; undefined when none of the documents of one is there.
 * @throws ClimaxError "data" when its metadata are damaged, cannot be listed, or it has no arrays in its root group.
 */
export async function openZarr(store: ZarrStore): Promise<Dataset | undefined> {
  const contents = await contentsOf(store);
  if (!contents) return undefined;
  const arrays = new Map<string, ArrayMetadata>();
  const groups = new Set(contents.groups.map((path) => path.split("/")[0]!));
  for (const [path, node] of contents.nodes) {
    mustStayInside(store, path);
    if (path.includes("/")) groups.add(path.split("/")[0]!);
    else {
      const metadata = understood(store, `the metadata of "${path}"`, () =>
        contents.version === 2 ? metadataV2(node.array, node.attributes) : metadataV3(node.array),
      );
      arrays.set(path, metadata);
    }
  }
  if (arrays.size === 0) {
    const [group] = groups;
    const inGroups = group === undefined ? "" : `, only the groups ${[...groups].slice(0, 8).join(", ")}`;
    const hint =
      group === undefined ? "check that it is the store you mean" : `name one: ${store.path}/${group}`;
    throw new ClimaxError("data", `${store.path} has no arrays in its root group${inGroups}`, hint);
  }
  return describe(store, contents, arrays);
}

async function contentsOf(store: ZarrStore): Promise<Contents | undefined> {
  const consolidated = await documentOf(store, ".zmetadata");
  if (consolidated) {
    return understood(store, ".zmetadata", () =>
      consolidatedV2(json.parse(json.parse(consolidated).metadata)),
    );
  }
  const root = await documentOf(store, "zarr.json");
  if (root) {
    const { node_type, attributes, consolidated_metadata } = understood(store, "zarr.json", () =>
      json.parse(root),
    );
    if (node_type === "array") refuseBareArray(store);
    const contents: Contents = {
      version: 3,
      attributes: understood(store, "zarr.json", () => json.parse(attributes ?? {})),
      nodes: new Map(),
      groups: [],
    };
    const inside = consolidated_metadata
      ? understood(store, "zarr.json", () => json.parse(json.parse(consolidated_metadata).metadata))
      : await listed(store, "zarr.json");
    for (const [path, node] of Object.entries(inside)) addNodeV3(contents, path, node);
    return contents;
  }
  if (await documentOf(store, ".zarray")) refuseBareArray(store);
  if (!(await documentOf(store, ".zgroup"))) return undefined;
  const attributes = understood(store, ".zattrs", async () =>
    json.parse((await documentOf(store, ".zattrs")) ?? {}),
  );
  const contents: Contents = { version: 2, attributes: await attributes, nodes: new Map(), groups: [] };
  for (const [path, array] of Object.entries(await listed(store, ".zarray"))) {
    contents.nodes.set(path, { array, attributes: await documentOf(store, `${path}/.zattrs`) });
  }
  contents.groups.push(...Object.keys(await listed(store, ".zgroup")));
  return contents;
}

function consolidatedV2(documents: Record<string, unknown>): Contents {
  const attributes = json.parse(documents[".zattrs"] ?? {});
  const contents: Contents = { version: 2, attributes, nodes: new Map(), groups: [] };
  for (const [key, document] of Object.entries(documents)) {
    const [, path, kind] = /^(.*)\/\.(zarray|zgroup)$/s.exec(key) ?? [];
    if (path === undefined) continue;
    if (kind === "zgroup") contents.groups.push(path);
    else contents.nodes.set(path, { array: document, attributes: documents[`${path}/.zattrs`] });
  }
  return contents;
}

function addNodeV3(contents: Contents, path: string, node: unknown): void {
  const isGroup = (node as { node_type?: unknown } | null)?.node_type === "group";
  if (isGroup) contents.groups.push(path);
  else contents.nodes.set(path, { array: node });
}

/** The document of this name in each folder of the store that has it. */
async function listed(store: ZarrStore, document: string): Promise<Record<string, unknown>> {
  const folders = await store.folders?.();
  if (!folders) {
    throw new ClimaxError(
      "data",
      `${store.path} has no consolidated metadata, and a server does not list what a store holds`,
      `ask its owner to run zarr.consolidate_metadata on it, or copy the store to a folder`,
    );
  }
  const found: Record<string, unknown> = {};
  for (const folder of folders.toSorted()) {
    const content = await documentOf(store, `${folder}/${document}`);
    if (content !== undefined) found[folder] = content;
  }
  return found;
}

async function documentOf(store: ZarrStore, key: string): Promise<unknown> {
  const bytes = await store.document(key);
  return bytes && understood(store, key, () => parseJson(bytes));
}

/** What `parse` gives; its failures are those of the document `what`. */
function understood<T>(store: ZarrStore, what: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof ClimaxError) throw error;
    const [issue] = error instanceof z.ZodError ? error.issues : [];
    const found = issue
      ? `${issue.path.join(".") || "its JSON"}: ${issue.message}`
      : (error as Error).message;
    throw new ClimaxError(
      "data",
      `${store.path}: ${what} cannot be understood: ${found}`,
      "the store is damaged or of a kind that is not known: copy or fetch it again, or write it anew by xarray",
      { cause: error },
    );
  }
}

function mustStayInside({ path }: ZarrStore, name: string): void {
  const parts = name.split("/");
  if (parts.every((part) => part !== "" && part !== "." && part !== ".." && !/[\\\0]/.test(part))) return;
  throw new ClimaxError(
    "data",
    `${path}: its metadata name an array ${JSON.stringify(name)}, which is no name inside a store`,
    "do not trust this store; take the data from their first source",
  );
}

function refuseBareArray({ path }: ZarrStore): never {
  throw new ClimaxError(
    "data",
    `${path} is one array of a Zarr store, without its coordinates`,
    `name the store: ${path.replace(/\/+$/, "").replace(/\/?[^/]*$/, "") || "."}`,
  );
}

function describe(store: ZarrStore, contents: Contents, arrays: Map<string, ArrayMetadata>): Dataset {
  const dimensions = new Map<string, number>();
  const owner = new Map<string, string>();
  const variables = new Map<string, DatasetVariable>();
  // Named axes first, so that those without a name cannot take theirs.
  const names = new Map([...arrays].map(([name, { dimensions: own }]) => [name, [...(own ?? [])]]));
  for (const [name, own] of names) {
    for (const [axis, dimension] of own.entries()) {
      if (dimension === null) continue;
      const length = arrays.get(name)!.shape[axis]!;
      const known = dimensions.get(dimension);
      if (known !== undefined && known !== length) {
        throw new ClimaxError(
          "data",
          `${store.path}: "${name}" is ${length} long along "${dimension}", "${owner.get(dimension)}" is ${known}`,
          "the store is damaged, or something was appended to one of them only: write it anew",
        );
      }
      dimensions.set(dimension, length);
      if (known === undefined) owner.set(dimension, name);
    }
  }
  for (const [name, metadata] of arrays) {
    const own = names.get(name)!;
    const whole = metadata.shape.map((length, axis) => {
      const dimension = own[axis] ?? unnamed(length, dimensions, own);
      own[axis] = dimension;
      return dimension;
    });
    variables.set(name, makeVariable({ store, name, metadata }, whole));
  }
  return {
    path: store.path,
    format: `Zarr ${contents.version}`,
    dimensions,
    unlimited: new Set(),
    attributes: understood(store, "its attributes", () => attributesOf(contents.attributes)).attributes,
    variables,
    close: async () => forgetChunks(store),
  };
}

/** Equal lengths without a name share one, as in the HDF5 reader, but not within one array. */
function unnamed(length: number, dimensions: Map<string, number>, taken: (string | null)[]): string {
  for (const [name, known] of dimensions) {
    if (name.startsWith("phony_dim_") && known === length && !taken.includes(name)) return name;
  }
  const name = `phony_dim_${dimensions.size}`;
  dimensions.set(name, length);
  return name;
}

function makeVariable(array: ZarrArray, dimensions: string[]): DatasetVariable {
  const { store, name, metadata } = array;
  const { shape, chunks, attributes, types, unreadable } = metadata;
  const isText = metadata.type.dtype === "string";
  // NetCDF's own fill values mean nothing here: where no _FillValue is, no number is missing.
  const packed = attributes.has("_FillValue")
    ? attributes
    : new Map([...attributes, ["_FillValue", Number.NaN]]);
  const packing = packingOf(metadata.type.dtype, packed, types);
  const mustBe = (text: boolean) => {
    if (unreadable !== undefined) {
      throw new ClimaxError(
        "data",
        `${store.path}: "${name}" cannot be read: ${unreadable}`,
        "choose another variable",
      );
    }
    if (text === isText) return;
    const found = text ? "numbers, not text" : "text";
    const hint = text ? "read it as numbers" : "choose another variable";
    throw new ClimaxError("data", `${store.path}: variable "${name}" holds ${found}`, hint);
  };
  const read: DatasetVariable["read"] = async (start, count) => {
    const slab = hyperslab(name, shape, start, count);
    mustBe(false);
    return readNumbers(array, slab);
  };
  return {
    name,
    dimensions,
    shape,
    dtype: metadata.type.dtype,
    attributes,
    chunks,
    read,
    readUnpacked: async (start, count) => unpack(await read(start, count), packing),
    async readText() {
      mustBe(true);
      return readTexts(array);
    },
  };
}
