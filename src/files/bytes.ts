// Numbers of bytes for people.

/** 1234567 as "1.2 MB". */
export function bytesText(bytes: number): string {
  const units = ["kB", "MB", "GB", "TB", "PB"];
  const power = Math.min(Math.max(Math.floor(Math.log10(bytes) / 3), 1), units.length);
  return `${(bytes / 1000 ** power).toFixed(1)} ${units[power - 1]}`;
}
