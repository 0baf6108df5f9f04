/**
 * A text each of whose characters is one byte (0 to 255): what keys and values are on the wire and in stores.
 *
 * The protocol's peers speak UTF-8, Latin-1 or nothing in particular. Bytes that are kept as such come back as they
 * were; and V8 makes, compares and writes such strings for little more than a copy of the bytes.
 */
export type ByteString = string

/** The bytes of a text in UTF-8. */
export function toBytes(text: string): ByteString {
  return Buffer.byteLength(text) === text.length ? text : Buffer.from(text).toString('latin1')
}

/** The text whose UTF-8 the bytes are; what is no UTF-8 becomes U+FFFD. */
export function toText(bytes: ByteString): string {
  return Buffer.byteLength(bytes) === bytes.length ? bytes : Buffer.from(bytes, 'latin1').toString()
}
