/** CRC-32C (Castagnoli; RFC 3720, appendix B.4) of all pieces, one after the other. */
export function crc32c(...pieces: readonly Uint8Array[]): number {
  let crc = 0xffffffff
  for (const piece of pieces) for (const byte of piece) crc = (crc >>> 8) ^ (table[(crc ^ byte) & 0xff] as number)
  return (crc ^ 0xffffffff) >>> 0
}

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1
  return value
})
