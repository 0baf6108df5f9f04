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

/** V8 copies what is cut from a text and shorter than this; of what is longer it keeps the whole text. */
const copiedBelow = 13

/**
 * A piece that was cut from a text, as a text of its own if most of that is something else. Otherwise what is kept of a
 * long line would hold all of the line in memory.
 */
export function cutLoose(piece: ByteString, from: ByteString): ByteString {
  if (piece.length < copiedBelow || piece.length * 2 > from.length) return piece
  return Buffer.from(piece, 'latin1').toString('latin1')
}
