// The dimensions of a NetCDF-4 file: HDF5 knows only shapes; NetCDF-4 hangs dimension scales on them.

import { Hdf5Failure } from "./hdf5library.ts";
import type { Node } from "./hdf5slab.ts";

export interface Dimensions {
  lengths: Map<string, number>;
  unlimited: Set<string>;
  /** The dimension names of each variable. Scales that are a bare dimension without a variable are left out. */
  dimensions: Map<Node, string[]>;
}

/** The text NetCDF-C gives to a scale that only stands for a dimension. */
const bareDimension = "This is a netCDF dimension but not a netCDF variable";

/**
 * Names the dimensions of the datasets of one group by the scales attached to them. Axes without a scale, as in
 * plain HDF5, get `phony_dim_N`: equal lengths share one, as in NetCDF-C. An unlimited dimension is as long as
 * the longest of its variables.
 */
export function dimensionsOf(nodes: readonly Node[]): Dimensions {
  const lengths = new Map<string, number>();
  const unlimited = new Set<string>();
  const dimensions = new Map<Node, string[]>();
  const define = (name: string, length: number, grows: boolean): void => {
    lengths.set(name, length);
    if (grows) unlimited.add(name);
  };

  const id = (node: Node): number => Number(node.attributes.internal.get("_Netcdf4Dimid") ?? Infinity);
  const isScale = (node: Node): boolean => node.attributes.internal.get("CLASS") === "DIMENSION_SCALE";
  const scales = nodes.filter(isScale).toSorted((a, b) => (id(a) < id(b) ? -1 : Number(id(a) > id(b))));
  for (const scale of scales) define(scale.link, scale.stored[0] ?? 0, scale.growing[0] ?? false);

  const phony: string[] = [];
  const phonyFor = (length: number, grows: boolean, taken: readonly string[]): string => {
    const fitting = phony.find(
      (name) => lengths.get(name) === length && unlimited.has(name) === grows && !taken.includes(name),
    );
    if (fitting) return fitting;
    const name = `phony_dim_${lengths.size}`;
    phony.push(name);
    define(name, length, grows);
    return name;
  };

  for (const node of nodes) {
    const { internal } = node.attributes;
    if (isScale(node) && String(internal.get("NAME") ?? "").startsWith(bareDimension)) continue;
    const names: string[] = [];
    for (const [axis, length] of node.stored.entries()) {
      const grows = node.growing[axis] ?? false;
      const known = scaleOf(node, axis, scales, id);
      const name = known ?? phonyFor(length, grows, names);
      names.push(name);
      if (!lengths.has(name)) define(name, length, grows); // a scale in another group
      if (length > lengths.get(name)!) {
        if (!unlimited.has(name)) {
          throw new Hdf5Failure(
            `variable "${node.link}" is ${length} long along "${name}", whose length is ${lengths.get(name)}`,
          );
        }
        lengths.set(name, length);
      }
    }
    dimensions.set(node, names);
  }
  return { lengths, unlimited, dimensions };
}

function scaleOf(
  node: Node,
  axis: number,
  scales: readonly Node[],
  id: (node: Node) => number,
): string | undefined {
  const { internal } = node.attributes;
  // A coordinate variable of several dimensions is a scale itself, so none can be attached: it lists their ids.
  const coordinates = internal.get("_Netcdf4Coordinates");
  if (Array.isArray(coordinates)) {
    const scale = scales.find((candidate) => id(candidate) === coordinates[axis]);
    if (scale) return scale.link;
  }
  if (scales.includes(node)) return axis === 0 ? node.link : undefined;
  if (!internal.has("DIMENSION_LIST")) return undefined;
  const { library, id: file } = node.file;
  const attached = library.call((h5) => h5.get_attached_scales(file, `/${node.link}`, axis))[0];
  if (attached === undefined && scalesPromised(node, axis) > 0) {
    throw new Hdf5Failure(`the scale of "${node.link}" along its axis ${axis} cannot be found`);
  }
  return attached?.split("/").at(-1) || undefined;
}

/**
 * How many scales DIMENSION_LIST lists for an axis. HDF5 passes in silence over references that lead nowhere, and a
 * variable with invented dimensions would be worse than none.
 */
function scalesPromised(node: Node, axis: number): number {
  const { library, id } = node.file;
  const owner = `/${node.link}`;
  const { size, total_size } = library.call((h5) => h5.get_attribute_metadata(id, owner, "DIMENSION_LIST"));
  // Each axis has a pair of 32-bit words in the library's memory: how many references, and where.
  if (size !== 8 || total_size !== node.stored.length)
    throw new Hdf5Failure("DIMENSION_LIST has a wrong size");
  return library.withMemory(size * total_size, (pointer) => {
    library.call((h5) => h5.get_attribute_data(id, owner, "DIMENSION_LIST", BigInt(pointer)));
    const count = library.call((h5) => new DataView(h5.HEAPU8.buffer).getUint32(pointer + 8 * axis, true));
    library.call((h5) => h5.reclaim_vlen_memory(id, owner, "DIMENSION_LIST", BigInt(pointer)));
    return count;
  });
}
