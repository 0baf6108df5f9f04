// Classes of bytes, as RFC 9110 and 9112 name them. A table has a 1 for each byte that belongs to the class.

/** Bytes that mean something by themselves. */
export const CR = 0x0d
export const LF = 0x0a
export const SP = 0x20
export const HTAB = 0x09
export const COLON = 0x3a

/**
 * Bytes of a token (RFC 9110, 5.6.2): methods, names of fields. The underscore has a 3, so that whoever reads a name
 * knows at its end whether there was one.
 */
export const tokenBytes: Uint8Array = table((byte) => /[!#$%&'*+\-.^_`|~\dA-Za-z]/.test(String.fromCharCode(byte)))
tokenBytes[0x5f] = 3

/** Bytes of a field value (RFC 9110, 5.5), blanks between its words included: no control character but the tab. */
export const valueBytes: Uint8Array = table((byte) => byte === HTAB || (byte >= SP && byte !== 0x7f))

/**
 * Bytes of a path. Visible ASCII, as generous as browsers need, but for what starts a fragment or a query, what every
 * browser encodes, and the backslash, which some read as a slash.
 */
export const pathBytes: Uint8Array = table(
  (byte) => byte > SP && byte < 0x7f && !'#?"<>\\'.includes(String.fromCharCode(byte)),
)

/** Bytes of a query: those of a path, and those that browsers leave as they are there. */
export const queryBytes: Uint8Array = table(
  (byte) => byte > SP && byte < 0x7f && !'#"<>'.includes(String.fromCharCode(byte)),
)

/** The value of a hexadecimal digit; 255 for every other byte. */
export const hexValues: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) => {
  const value = Number.parseInt(String.fromCharCode(byte), 16)
  return Number.isNaN(value) ? 255 : value
})

function table(belongs: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (belongs(byte) ? 1 : 0))
}
