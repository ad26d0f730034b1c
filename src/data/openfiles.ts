// Any number of files of which few are open: opened when used, closed when others need the room, and opened again when
// used again.

export interface OpenFiles<File> {
  /** Runs `work` with the file open; it stays open at least until the promise settles. */
  use<T>(path: string, work: (file: File) => Promise<T>): Promise<T>;
  /** Closes all that are open; `use` is an error from then on. */
  close(): Promise<void>;
}

interface Slot<File> {
  file: Promise<File>;
  users: number;
}

/** @param limit  how many stay open; more are only while more are in use at once */
export function openFiles<File extends { close(): Promise<void> }>(
  open: (path: string) => Promise<File>,
  limit = 64,
): OpenFiles<File> {
  const slots = new Map<string, Slot<File>>(); // the least recently used first
  let closed = false;

  async function makeRoom(): Promise<void> {
    // Taken out all at once: while one is closed, another may come into use.
    const idle = [...slots].filter(([, { users }]) => users === 0).slice(0, Math.max(slots.size - limit, 0));
    for (const [path] of idle) slots.delete(path);
    for (const [, { file }] of idle) await (await file).close();
  }

  return {
    async use(path, work) {
      if (closed) throw new Error(`${path} is read after its archive was closed`);
      const slot = slots.get(path) ?? { file: open(path), users: 0 };
      slot.users++;
      slots.delete(path);
      slots.set(path, slot);
      try {
        return await work(await slot.file);
      } finally {
        slot.users--;
        const failed = await slot.file.then(
          () => false,
          () => true,
        );
        if (failed && slots.get(path) === slot) slots.delete(path); // the next use tries anew
        await makeRoom();
      }
    },
    async close() {
      closed = true;
      const open = [...slots.values()];
      slots.clear();
      for (const { file } of open) {
        const opened = await file.catch(() => undefined); // its user was told
        await opened?.close();
      }
    },
  };
}

/**
 * `work` on every item, at most `limit` at once; results in the order of the items.
 * @throws what `work` threw for the first item in that order, when all that had begun are done
 */
export async function inParallel<A, B>(
  items: readonly A[],
  limit: number,
  work: (item: A, index: number) => Promise<B>,
): Promise<B[]> {
  const results: B[] = new Array<B>(items.length);
  const failures: { index: number; error: unknown }[] = [];
  let next = 0;
  const worker = async () => {
    while (next < items.length && failures.length === 0) {
      const index = next++;
      try {
        results[index] = await work(items[index]!, index);
      } catch (error) {
        failures.push({ index, error });
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  if (failures.length > 0) throw failures.reduce((a, b) => (b.index < a.index ? b : a)).error;
  return results;
}
