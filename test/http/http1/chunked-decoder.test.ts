import { describe, expect, it } from 'vitest'
import { ChunkedDecoder } from '../../../src/http/http1/chunked-decoder.ts'
import { defaultHeadLimits } from '../../../src/http/http1/head-reader.ts'

/** Each step over the bytes: where it stopped, and the data that it passed. */
function steps(decoder: ChunkedDecoder, text: string): [at: number, data: string][] {
  const bytes = Buffer.from(text, 'latin1')
  const all: [number, string][] = []
  for (let at = 0; at < bytes.length && !decoder.done; ) {
    at = decoder.step(bytes, at)
    all.push([at, bytes.toString('latin1', decoder.start, decoder.end)])
  }
  return all
}

function decoder(of: 'request' | 'response' = 'request'): ChunkedDecoder {
  return new ChunkedDecoder(of, defaultHeadLimits)
}

describe('A chunked body', () => {
  it('is handed on as it lies, a step for each piece of data', () => {
    const one = decoder()
    expect(steps(one, '5\r\nhello\r\n3;a=b\r\nabc\r\n0\r\n\r\nGET')).toEqual([
      [8, 'hello'],
      [20, 'abc'],
      [27, ''],
    ])
    expect(one.done).toBe(true)
    expect([...one.trailers]).toEqual([])
  })

  it('is handed on in parts when its chunks are', () => {
    const one = decoder()
    expect(steps(one, 'A\r\n01234')).toEqual([[8, '01234']])
    expect(steps(one, '56')).toEqual([[2, '56']])
    expect(steps(one, '789\r')).toEqual([
      [3, '789'],
      [4, ''],
    ])
    expect(one.done).toBe(false)
    expect(steps(one, '\n0\r\n\r')).toEqual([[5, '']])
    expect(one.done).toBe(false)
    expect(steps(one, '\n')).toEqual([[1, '']])
    expect(one.done).toBe(true)
  })

  it('has trailers when it is over, and not before', () => {
    const one = decoder()
    steps(one, '0\r\nA: b\r\n')
    expect([...one.trailers]).toEqual([])
    expect(steps(one, '\r\nmore')).toEqual([[2, '']])
    expect([...one.trailers]).toEqual([['A', 'b']])
    expect(one.step(Buffer.from('more'), 2)).toBe(2)
  })

  it('may be larger than what 32 bits hold', () => {
    const one = decoder()
    expect(steps(one, '123456789ab\r\nx')).toEqual([[14, 'x']])
    const exact = decoder()
    expect(steps(exact, 'ffffffffffff\r\nx')).toEqual([[15, 'x']])
    expect(() => steps(decoder(), '1000000000000')).toThrow('a chunk size that is too large')
  })

  it('is refused at the byte that is wrong', () => {
    for (const [text, place] of [
      ['g', 1],
      ['5 ', 2],
      ['5\n', 2],
      ['5\rh', 3],
      ['5;\n', 3],
      ['5;a=\0', 5],
      ['5;\r', 3],
      ['1\r\nab', 5],
      ['1\r\na\n', 5],
      ['1\r\na\rb', 6],
      ['0\r\n\n', 4],
      ['0\r\n\rb', 5],
    ] as const) {
      const one = decoder()
      steps(one, text.slice(0, place - 1))
      expect(() => steps(one, text.slice(place - 1)), JSON.stringify(text)).toThrow(
        expect.objectContaining({ code: 'XPS_BAD_REQUEST', origin: 'client', status: 400 }),
      )
    }
  })

  it('may have so much of extensions, and no more', () => {
    const chunk = `1;a=${'b'.repeat(253)}\r\nx\r\n`
    expect(() => steps(decoder(), `1;a=${'b'.repeat(254)}\r\nx\r\n`)).toThrow('a chunk extension that is too long')
    expect(() => steps(decoder(), chunk.repeat(64))).not.toThrow()
    expect(() => steps(decoder(), chunk.repeat(65))).toThrow('a chunk extension that is too long')
  })

  it('of a response that is refused is the fault of the upstream', () => {
    expect(() => steps(decoder('response'), 'x')).toThrow(
      expect.objectContaining({ code: 'XPS_BAD_RESPONSE', origin: 'upstream', status: 502 }),
    )
    expect(() => steps(decoder('response'), '0\r\nA : b\r\n\r\n')).toThrow(
      expect.objectContaining({ code: 'XPS_BAD_RESPONSE', origin: 'upstream', status: 502 }),
    )
  })
})
