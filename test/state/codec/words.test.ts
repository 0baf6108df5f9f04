import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toBytes, toText } from '../../../src/state/codec/byte-string.ts'
import { decodeWord, decodeWords, encodeWord } from '../../../src/state/codec/words.ts'

const anyBytes = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString('latin1'))

describe('words', () => {
  it('leave text alone, and escape what would end a word or a line', () => {
    expect(encodeWord('a=b|c&d')).toBe('a=b|c&d')
    expect(encodeWord('a b\r\nc%')).toBe('a%20b%0d%0ac%25')
    expect(encodeWord('')).toBe('%')
    expect(encodeWord('caf\u00c3\u00a9')).toBe('caf\u00c3\u00a9')
  })

  it('carry any bytes', () => {
    fc.assert(
      fc.property(fc.array(anyBytes, { maxLength: 6 }), (values) => {
        const line = values.map(encodeWord).join(' ')
        expect(line).toMatch(/^[ -~\x80-\xff]*$/)
        expect(decodeWords(line)).toEqual(values)
      }),
      { numRuns: 300 },
    )
  })

  it('are refused where they are none', () => {
    for (const word of ['', 'a%', '%0', '%zz', 'a%2', '%%20']) expect(decodeWord(word)).toBeUndefined()
    expect(decodeWords('a  b')).toBeUndefined()
    expect(decodeWords('')).toEqual([])
  })
})

describe('byte strings', () => {
  it('are the UTF-8 of a text, and a text again', () => {
    expect(toBytes('caf\u00e9')).toBe('caf\u00c3\u00a9')
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(toText(toBytes(text))).toBe(text)
        expect(Buffer.from(toBytes(text), 'latin1').equals(Buffer.from(text))).toBe(true)
      }),
    )
  })
})
