/** A command on several ranks in this process, which its launcher would have started, and what each of them says. */
import type { Command } from "../../src/cli/command.ts";
import { fakeWorlds } from "./fakeworld.ts";

export interface RankSaid {
  readonly printed: string[];
  readonly warned: string[];
  /** What it ended with. */
  readonly outcome: PromiseSettledResult<number>;
}

/**
 * Runs `climax COMMAND ...argv` on `n` ranks.
 *
 * @param argvOf  arguments of a rank, where they are not the same for all
 */
export async function onRanks(
  n: number,
  command: Command,
  argv: readonly string[],
  argvOf: (rank: number) => readonly string[] = () => argv,
): Promise<RankSaid[]> {
  const worlds = fakeWorlds(n);
  const voices = worlds.map((world) => {
    const printed: string[] = [];
    const warned: string[] = [];
    return {
      ...{ printed, warned, world },
      print: (text: string) => void printed.push(text),
      info: () => undefined,
      warn: (text: string) => void warned.push(text),
    };
  });
  const outcomes = await Promise.allSettled(
    voices.map((voice, rank) => command.run([...argvOf(rank), "--quiet"], voice)),
  );
  return voices.map(({ printed, warned }, rank) => ({ printed, warned, outcome: outcomes[rank]! }));
}
