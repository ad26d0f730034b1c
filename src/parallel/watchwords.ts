// What a rank says on stderr when its run ends because another is lost.
import type { End, Kept, Loss, Member, Verdict } from "./watchmessages.ts";

/**
 * One paragraph: who is lost, what is known of it, the last good checkpoint and how to go on.
 *
 * @param here  the rank that says it
 */
export function lastWords(
  verdict: Verdict,
  members: readonly Member[],
  here: Member,
  kept: Kept | undefined,
): string {
  const alike = new Map<string, Loss[]>();
  for (const loss of verdict.losses) {
    const key = JSON.stringify({ ...loss.end, seconds: 0 });
    alike.set(key, [...(alike.get(key) ?? []), loss]);
  }
  const losses = [...alike.values()].map((group) => {
    const who = group.map(({ rank }) => {
      const { host, pid } = members[rank]!;
      return `rank ${rank} of ${members.length} on ${host} (pid ${pid})`;
    });
    return `${who.join(" and ")} ${whatHappened(group[0]!.end, who.length > 1)}.`;
  });
  const goOn = kept
    ? `The last good checkpoint is ${kept.path}: the same command with --resume goes on from it.`
    : "No checkpoint is known of: start the same command again.";
  const self = verdict.losses.some(({ rank }) => rank === here.rank)
    ? `This is that rank: the others have given it up, and it ends with exit code ${verdict.code}.`
    : `Rank ${here.rank} on ${here.host} therefore ends too, with exit code ${verdict.code}.`;
  return `climax: ${[losses[0]!, ...losses.slice(1).map(capital), self, goOn].join(" ")}\n`;
}

/** What follows the name of a lost rank, or the names of several. */
function whatHappened(end: End, several: boolean): string {
  const are = several ? "are" : "is";
  switch (end.kind) {
    case "failed":
      return `cannot go on: ${end.message.trim().replace(/\.$/, "")}`;
    case "exited":
      return `ended with exit code ${end.code} while the run was not over`;
    case "terminated":
      return `${several ? "were" : "was"} asked to end (SIGTERM)`;
    case "gone":
      return (
        `${are} lost: the process ended without a last word (it crashed, was killed, or the machine had no memory left; ` +
        "the launcher, dmesg or sacct may know more)"
      );
    case "broke":
      return (
        `${are} lost: the connection was closed without a last word ${seconds(end.seconds)} ago, and it did not come back ` +
        "(it crashed or was killed, or the network failed)"
      );
    case "silent":
      return (
        `${are} lost: no word for ${seconds(end.seconds)} (it was stopped, the machine hangs or is down, or the ` +
        "network to it is cut)"
      );
  }
}

const capital = (sentence: string): string => sentence[0]!.toUpperCase() + sentence.slice(1);

const seconds = (s: number): string => `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
