// Text as gridded files hold it: characters in fixed rows, UTF-8 or what was there before.

/** Rows of `width` characters; what follows a NUL, and blanks at the end, are padding. */
export function texts(bytes: Uint8Array, width: number): string[] {
  const rows = width > 0 ? bytes.length / width : 0;
  return Array.from({ length: rows }, (_, i) => decode(bytes.subarray(i * width, (i + 1) * width)).trimEnd());
}

/** UTF-8, or Latin-1 where the bytes are not UTF-8, up to the first NUL. */
export function decode(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  const text = end < 0 ? bytes : bytes.subarray(0, end);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(text);
  } catch {
    return Buffer.from(text).toString("latin1");
  }
}
