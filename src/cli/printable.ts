/** Text on its way to the terminal: names and values of files stand in it, and a file may hold what steers a terminal. */

/**
 * The text with its control characters, but line feeds and tabs, and the signs that turn the direction of writing as
 * escapes. Those are the ones of JSON, so that JSON stays what it is.
 */
export function printable(text: string): string {
  return text.replace(
    /(?![\n\t])\p{Cc}|\p{Bidi_Control}/gu,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
