// The members of an ensemble: which checkpoint, how much earlier it starts, by which steps, and with which noise.
import { hash32 } from "../data/hash.ts";
import { formatLead } from "../data/leadtime.ts";
import type { CfTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import type { Checkpoint } from "../model/checkpoint.ts";
import { type FieldKey, randomFields } from "./randomfield.ts";
import { type Intervals, isConstant } from "./rollout.ts";
import type { States } from "./states.ts";

export interface Ensemble {
  /** Forecasts of each checkpoint, start and way: the first as it is, the others with noise or dropout or both. */
  readonly members: number;
  /** Deviation of the initial noise, in units of each variable's standard deviation over the training set. */
  readonly noise: number;
  /** Its length scale, km; see randomfield.ts. */
  readonly length: number;
  /** Whether activations are dropped, as in training. */
  readonly dropout: boolean;
  /** How much earlier others start, hours, without 0. */
  readonly lag: readonly number[];
  readonly seed: number;
}

export const noEnsemble: Ensemble = { members: 1, noise: 0, length: 1000, dropout: false, lag: [], seed: 0 };

export interface Rollout {
  readonly intervals: Intervals;
  /** Each interval is a member; else a forecast is the mean over those that reach its lead. */
  readonly separately: boolean;
}

export interface Member {
  /** Which checkpoint. */
  readonly model: number;
  /** Hours before the initial time. */
  readonly lag: number;
  /** Of the roll-out; undefined for a direct forecast. */
  readonly intervals: Intervals | undefined;
  /** Which perturbed copy; 0 is not perturbed. */
  readonly copy: number;
}

/**
 * Every checkpoint with every start, way and copy, the last changing fastest: the first member is the first checkpoint
 * from the initial time itself, unperturbed.
 */
export function listMembers(models: number, { members, lag }: Ensemble, rollout?: Rollout): Member[] {
  const ways = rollout?.separately ? rollout.intervals.map((hours) => [hours]) : [rollout?.intervals];
  const list: Member[] = [];
  for (let model = 0; model < models; model++)
    for (const late of [0, ...lag])
      for (const intervals of ways)
        for (let copy = 0; copy < members; copy++) list.push({ model, lag: late, intervals, copy });
  return list;
}

/** `0: control; 1: perturbed 1; 2: 6h earlier`, for the file. */
export function describeMembers(
  members: readonly Member[],
  checkpoints: readonly string[],
  separately: boolean,
): string {
  return members
    .map(({ model, lag, intervals, copy }, number) => {
      const words = [
        ...(checkpoints.length > 1 ? [checkpoints[model]!] : []),
        ...(lag > 0 ? [`${formatLead(lag)} earlier`] : []),
        ...(separately ? [`steps of ${formatLead(intervals![0]!)}`] : []),
        ...(copy > 0 ? [`perturbed ${copy}`] : []),
      ];
      if (number === 0) words.unshift("control");
      return `${number}: ${words.join(", ")}`;
    })
    .join("; ");
}

/**
 * Whether the ensemble can be made with these checkpoints.
 *
 * @throws ClimaxError "config" for members that would all be the same, noise without members, or dropout that the
 *         network has not, or cannot have at inference
 */
export function checkEnsemble(
  { members, noise, dropout, lag }: Ensemble,
  checkpoints: readonly Checkpoint[],
): void {
  const perturbed = noise > 0 || dropout;
  if (members > 1 && !perturbed) {
    throw new ClimaxError(
      "config",
      `--ensemble.members ${members} without noise or dropout would be ${members} times the same forecast`,
      "give --ensemble.noise 0.1 or so, or --ensemble.dropout",
    );
  }
  if (members === 1 && perturbed) {
    throw new ClimaxError(
      "config",
      `${noise > 0 ? "--ensemble.noise" : "--ensemble.dropout"} without --ensemble.members: the first member is not perturbed, so that nothing would be`,
      "give --ensemble.members 8 or so",
    );
  }
  const twice = lag.find((hours, i) => lag.indexOf(hours) !== i);
  if (twice !== undefined) {
    throw new ClimaxError("config", `--ensemble.lag has ${formatLead(twice)} twice`, "name each lag once");
  }
  if (!dropout) return;
  for (const { path, info } of checkpoints) {
    const { model } = info;
    const { dropout: rate = 0, dropPath = 0 } = model as { dropout?: number; dropPath?: number };
    if (rate > 0 || dropPath > 0) continue;
    throw new ClimaxError(
      "config",
      `${path} was trained without dropout or drop path, so that --ensemble.dropout has nothing to drop`,
      "perturb the initial state with --ensemble.noise, or give several checkpoints",
    );
  }
}

/** Stream of random numbers of the initial noise. */
const noiseStream = 11;

/**
 * Adds noise to one state: for each variable that changes in time a smooth random field of its own, of the standard
 * deviation `noise` times that of the variable. It is a function of seed, copy, initial time and variable, so that
 * checkpoints start from the same perturbed states, whatever else is forecast with them.
 *
 * @param fields  [V, H, W], changed in place
 */
export function perturb(
  fields: Float32Array,
  {
    names,
    stds,
    states,
    time,
    copy,
    ensemble,
  }: {
    names: readonly string[];
    /** By name. */
    stds: ReadonlyMap<string, number>;
    states: Pick<States, "grid" | "constants" | "variables">;
    time: CfTime;
    copy: number;
    ensemble: Ensemble;
  },
): void {
  const changing = names.filter((name) => !isConstant(name, states));
  const keys = changing.map((name): FieldKey => {
    const words = [ensemble.seed, noiseStream, copy, Math.round(time.seconds / 60), ...Buffer.from(name)];
    return [hash32(1, ...words), hash32(2, ...words)];
  });
  const noise = randomFields(states.grid, ensemble.length, keys);
  const cells = states.grid.lat.length * states.grid.lon.length;
  for (const [k, name] of changing.entries()) {
    const amplitude = ensemble.noise * stds.get(name)!;
    const to = names.indexOf(name) * cells;
    for (let i = 0; i < cells; i++) fields[to + i]! += amplitude * noise[k * cells + i]!;
  }
}
