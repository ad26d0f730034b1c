/** The systems that cost nothing and must be beaten, in the order of the tables. */
export const baselineNames = [
  "persistence",
  "climatology",
  "climatology-weekly",
  "climatology-dayofyear",
] as const;
export type BaselineName = (typeof baselineNames)[number];

/** Whether the name of a system is that of a baseline. */
export const isBaseline = (name: string): name is BaselineName =>
  (baselineNames as readonly string[]).includes(name);
