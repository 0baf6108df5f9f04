import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LineReader } from '../../../src/state/codec/line-reader.ts'
import { busy } from '../../support/busy.ts'
import { fuzzing } from '../../support/fuzzing.ts'

/** Reads chunks as a session does, each in memory that is used again afterwards. */
function linesOf(chunks: readonly Buffer[], limit = 1_000): { lines: string[]; reader: LineReader } {
  const reader = new LineReader(limit)
  const lines: string[] = []
  const slab = Buffer.alloc(64 * 1024)
  for (const chunk of chunks) {
    chunk.copy(slab)
    reader.add(slab.subarray(0, chunk.length))
    while (reader.next()) lines.push(reader.bytes.toString('latin1', reader.start, reader.end))
    reader.keep()
    slab.fill('X')
  }
  return { lines, reader }
}

const splitAt = (bytes: Buffer, at: number): Buffer[] => [bytes.subarray(0, at), bytes.subarray(at)]

describe('LineReader', () => {
  it('finds lines that end with LF or CRLF, and trims as the reference does', () => {
    const { lines } = linesOf([Buffer.from('new\r\nget a\n \t put k  a  b \v\0\r\n\n\r\nrest')])
    expect(lines).toEqual(['new', 'get a', 'put k  a  b', '', ''])
  })

  it('finds the same lines wherever what comes is split', () => {
    const bytes = Buffer.from('new\r\nput foo bar\r\n\r\nput u caf\u00e9\u20ac\r\nkeys\nget u\r\n')
    const { lines } = linesOf([bytes])
    expect(lines).toHaveLength(6)
    for (let at = 0; at <= bytes.length; at++) expect(linesOf(splitAt(bytes, at)).lines).toEqual(lines)
    expect(linesOf([...bytes].map((byte) => Buffer.of(byte))).lines).toEqual(lines)
  })

  it('takes what is left at the end for a line', () => {
    const { reader } = linesOf([Buffer.from('new\r\nget'), Buffer.from(' a')])
    expect(reader.last()).toBe(true)
    expect(reader.bytes.toString('latin1', reader.start, reader.end)).toBe('get a')
    expect(reader.last()).toBe(false)
  })

  it('stops at a line that is longer than the limit, whole or not', () => {
    for (const chunks of [[`ok\n${'a'.repeat(11)}\nnew\n`], ['ok\n', 'a'.repeat(6), 'a'.repeat(6)]]) {
      const { lines, reader } = linesOf(
        chunks.map((text) => Buffer.from(text)),
        10,
      )
      expect(lines).toEqual(['ok'])
      expect(reader.tooLong).toBe(true)
      expect(reader.next()).toBe(false)
    }
    expect(linesOf([Buffer.from(`${'a'.repeat(10)}\n`)], 10).lines).toEqual(['a'.repeat(10)])
  })

  it('does not copy a long line for each byte of it', () => {
    const reader = new LineReader(300_000)
    const time = busy(() => {
      for (let index = 0; index < 100_000; index++) {
        reader.add(Buffer.of(97))
        reader.next()
        reader.keep()
      }
    })
    reader.add(Buffer.of(10))
    expect(reader.next()).toBe(true)
    expect(reader.end - reader.start).toBe(100_000)
    expect(time).toBeLessThan(2_000)
  })

  const random = fuzzing(300)
  it(`gives what was sent, split in any way (seed ${random.seed})`, { timeout: random.timeout }, () => {
    const line = fc.string({ unit: fc.constantFrom('a', ' ', '%', '\u00ff', '\0', '\r') }).map((text) => `${text}\n`)
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat(40)), (texts, cuts) => {
        const bytes = Buffer.from(texts.join(''), 'latin1')
        const chunks: Buffer[] = []
        for (let at = 0; at < bytes.length; ) {
          const size = 1 + (cuts[chunks.length] ?? 7)
          chunks.push(bytes.subarray(at, at + size))
          at += size
        }
        const { lines, reader } = linesOf(chunks)
        expect(lines).toEqual(texts.map((text) => text.replace(/^[ \t\r\n\0\v]+|[ \t\r\n\0\v]+$/g, '')))
        expect(reader.left).toBe(0)
      }),
      random.parameters as fc.Parameters<[string[], number[]]>,
    )
  })
})
