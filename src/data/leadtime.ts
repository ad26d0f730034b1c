// Lead times as people write them.
import { ClimaxError } from "../errors.ts";

/** Hours in each unit. A month is 30 days: the paper's "1 month" is 720 h. */
const HOURS = { h: 1, d: 24, w: 168, mo: 720 } as const;

/**
 * Hours of a lead time.
 *
 * @param text    `72h`, `3d`, `2w`, `1mo`; a bare number is hours
 * @throws        ClimaxError "config" for anything else
 */
export function parseLead(text: string | number): number {
  const match = /^(\d+(?:\.\d+)?)\s*(h|d|w|mo)?$/.exec(String(text).trim());
  const hours = match ? Number(match[1]) * HOURS[(match[2] ?? "h") as keyof typeof HOURS] : Number.NaN;
  if (!(hours > 0))
    throw new ClimaxError("config", `"${text}" is not a lead time`, "write 6h, 3d, 2w or 1mo");
  return hours;
}

/** `72h`, or `3d` from three days on when it is whole days. */
export function formatLead(hours: number): string {
  return hours >= 72 && hours % 24 === 0 ? `${hours / 24}d` : `${hours}h`;
}
