/** Text as strace prints it: quoted strings with octal escapes. */

const ESCAPES: Readonly<Record<number, string>> = { 9: '\\t', 10: '\\n', 11: '\\v', 12: '\\f', 13: '\\r', 34: '\\"', 92: '\\\\' };

/** A byte string (one character a byte) in quotes; at most `limit` bytes, then `...`. */
export function quoted(text: string, limit: number): string {
  const shown = text.length > limit ? text.slice(0, limit) : text;
  let out = '"';
  for (let i = 0; i < shown.length; i++) out += escaped(shown.charCodeAt(i), shown.charCodeAt(i + 1));
  return shown.length < text.length ? `${out}"...` : `${out}"`;
}

/** Bytes in quotes, followed by `...` where there were more. */
export function quotedBytes(bytes: Uint8Array, more: boolean): string {
  let out = '"';
  for (let i = 0; i < bytes.length; i++) out += escaped(bytes[i], bytes[i + 1]);
  return more ? `${out}"...` : `${out}"`;
}

/** Octal escapes take the shortest form that the next character does not lengthen. */
function escaped(byte: number, next: number | undefined): string {
  const known = ESCAPES[byte];
  if (known !== undefined) return known;
  if (byte >= 0x20 && byte < 0x7f) return String.fromCharCode(byte);
  const digitFollows = next !== undefined && next >= 0x30 && next <= 0x37;
  return `\\${digitFollows ? byte.toString(8).padStart(3, '0') : byte.toString(8)}`;
}
