/** Strings as the guest has them: one character a byte, whatever the bytes mean. */

const ENCODER = new TextEncoder();

/** The bytes of such a string. Most are ASCII, which the encoder is quick at: maps of many areas are megabytes. */
export function latin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  const { read, written } = ENCODER.encodeInto(text, bytes);
  if (read !== text.length || written !== text.length) for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
