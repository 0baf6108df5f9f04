/*
 * The string code of HPACK (RFC 7541 5.2 and appendix B). The code is canonical: codes go up with their length, and with
 * the symbol among those of one length; so the lengths alone say all of it.
 */
const lengths: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26, 30,
]

/** The symbol that no string may contain. */
export const endOfString = 256

const codes: number[] = []
/** From `length of the code * 2^30 + code` to the symbol. */
const symbols = new Map<number, number>()
const key = (length: number, code: number): number => length * 0x4000_0000 + code

{
  const order = lengths.map((length, symbol) => ({ length, symbol }))
  order.sort((a, b) => a.length - b.length || a.symbol - b.symbol)
  let code = 0
  let before = 0
  for (const { length, symbol } of order) {
    code *= 2 ** (length - before)
    before = length
    codes[symbol] = code
    symbols.set(key(length, code), symbol)
    code++
  }
}

/** Encodes symbols (bytes, or {@link endOfString}) as bits; `padding` fills the last byte. */
export function huffmanEncode(text: Iterable<number>, padding: 0 | 1 = 1): Buffer {
  let bits = ''
  for (const symbol of text) bits += (codes[symbol] ?? 0).toString(2).padStart(lengths[symbol] ?? 0, '0')
  bits = bits.padEnd(Math.ceil(bits.length / 8) * 8, String(padding))
  return Buffer.from(Array.from({ length: bits.length / 8 }, (_, at) => Number.parseInt(bits.substr(at * 8, 8), 2)))
}

/** Decodes a string; throws where RFC 7541 5.2 wants a decoding error. */
export function huffmanDecode(bytes: Uint8Array): Buffer {
  const text: number[] = []
  let code = 0
  let length = 0
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      code = code * 2 + ((byte >> bit) & 1)
      length++
      const symbol = symbols.get(key(length, code))
      if (symbol === undefined) {
        if (length > 30) throw new Error('no such code')
        continue
      }
      if (symbol === endOfString) throw new Error('a string contains EOS')
      text.push(symbol)
      code = 0
      length = 0
    }
  }
  if (length > 7 || code !== 2 ** length - 1) throw new Error('a string is padded with other than the start of EOS')
  return Buffer.from(text)
}
