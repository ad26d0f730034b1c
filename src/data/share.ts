// Work that several processes share: which part is whose.

/** Which of so many shares, from 1. */
export interface Share {
  readonly index: number;
  readonly count: number;
}

/** The stretch [from, to) of so many things that is a share's. Shares in their order make up the whole in its order. */
export function stretchOf(total: number, { index, count }: Share): readonly [from: number, to: number] {
  return [Math.floor(((index - 1) * total) / count), Math.floor((index * total) / count)];
}

/** Of things in their order every count-th, which is a share's; all without one. */
export function dealt<T>(things: readonly T[], share: Share | undefined): T[] {
  return things.filter((_, i) => !share || i % share.count === share.index - 1);
}

/** `2/4`, as --shard takes it. */
export const shareName = ({ index, count }: Share): string => `${index}/${count}`;
