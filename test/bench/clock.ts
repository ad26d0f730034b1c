// Times repeated calls whose work a device does later.

/**
 * A measurement shorter than this, milliseconds, repeats its call until it lasts as long: waiting has a cost too, and
 * training waits for no step. The twin does the same.
 */
const LEAST = 100;
/** A call of this length, milliseconds, is warm after one. */
const LONG = 1000;

/**
 * Milliseconds of one call, in each of `rounds` measurements. The first two calls compile and warm up, a third says how
 * many calls a measurement takes; of long calls only the first is lost.
 *
 * @param call  starts the work
 * @param done  resolves when all work that was started is finished
 */
export async function clock(
  call: () => unknown,
  done: () => Promise<unknown>,
  rounds: number,
): Promise<number[]> {
  const measure = async (calls: number) => {
    const start = performance.now();
    for (let i = 0; i < calls; i++) await call();
    await done();
    return (performance.now() - start) / calls;
  };
  await measure(1);
  const second = await measure(1);
  if (second > LONG) return [second, ...(await times(rounds - 1, () => measure(1)))];
  const repeat = Math.ceil(LEAST / (await measure(1)));
  return await times(rounds, () => measure(repeat));
}

async function times(rounds: number, measure: () => Promise<number>): Promise<number[]> {
  const ms: number[] = [];
  for (let round = 0; round < rounds; round++) ms.push(await measure());
  return ms;
}
