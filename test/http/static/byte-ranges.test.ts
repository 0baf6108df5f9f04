import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { contentRange, multipart, readRanges } from '../../../src/http/static/byte-ranges.ts'

/** Ranges as text, both ends inclusive, as headers have them. */
function read(field: string, size = 100, max = 16): string | undefined {
  const ranges = readRanges(field, size, max)
  return typeof ranges === 'object' ? ranges.map(({ start, end }) => `${start}-${end - 1}`).join(' ') : ranges
}

describe('readRanges', () => {
  it.each([
    ['bytes=0-9', '0-9'],
    ['bytes=0-0', '0-0'],
    ['bytes=99-', '99-99'],
    ['bytes=90-1000', '90-99'],
    ['bytes=0-', '0-99'],
    ['bytes=-5', '95-99'],
    ['bytes=-100', '0-99'],
    ['bytes=-5000', '0-99'],
    ['bytes=-99999999999999999999999999', '0-99'],
    ['bytes=0-99999999999999999999999999', '0-99'],
    ['Bytes=0-9', '0-9'],
    ['BYTES=0-9', '0-9'],
    ['bytes= 0-9 ', '0-9'],
    ['bytes=0-9,20-29', '0-9 20-29'],
    ['bytes=20-29 , 0-9', '20-29 0-9'],
    ['bytes=0-9,,20-29,', '0-9 20-29'],
    ['bytes=0-0,-1', '0-0 99-99'],
    ['bytes=0-9,200-300', '0-9'],
    ['bytes=0-9,5-20', '0-20'],
    ['bytes=0-9,10-19', '0-19'],
    ['bytes=50-59,0-99', '0-99'],
    ['bytes=0-9,0-9,0-9', '0-9'],
    ['bytes=00-009', '0-9'],
  ])('reads %s as %s of 100 bytes', (field, expected) => {
    expect(read(field)).toBe(expected)
  })

  it.each([
    'bytes=100-',
    'bytes=100-200',
    'bytes=-0',
    'bytes=100-,-0',
    'bytes=99999999999999999999999-',
  ])('finds nothing of %s in 100 bytes', (field) => {
    expect(read(field)).toBe('none')
  })

  it.each([
    '',
    'bytes',
    'bytes=',
    'bytes=,',
    'bytes=-',
    'bytes=a-b',
    'bytes=1',
    'bytes=1-2-3',
    'bytes=9-5',
    'bytes=0-9,9-5',
    'bytes=0-9,x',
    'bytes=0x0-9',
    'bytes=1.5-2',
    'bytes=+1-2',
    'bytes=--5',
    'bytes =0-9',
    ' bytes=0-9',
    'bytes 0-9',
    'bytes=0-9, bytes=20-29',
    'chars=0-9',
    'seconds=1-2',
  ])('ignores %j', (field) => {
    expect(read(field)).toBeUndefined()
  })

  it('ignores more ranges than are allowed, also empty ones', () => {
    const many = (count: number): string =>
      `bytes=${Array.from({ length: count }, (_, index) => `${index * 2}-${index * 2}`)}`
    expect(read(many(16), 100)?.split(' ')).toHaveLength(16)
    expect(read(many(17), 100)).toBeUndefined()
    expect(read(many(3), 100, 2)).toBeUndefined()
    expect(read(`bytes=0-9${','.repeat(100)}20-29`)).toBeUndefined()
  })

  it.each(['bytes=0-', 'bytes=0-0', 'bytes=-5', 'bytes=5-'])('ignores %s of an empty file', (field) => {
    expect(read(field, 0)).toBeUndefined()
  })

  it('finds exactly the bytes that were asked for, each once, whatever is asked for', () => {
    const spec = fc.oneof(
      fc
        .tuple(fc.nat(60), fc.nat(60))
        .map(([a, b]) => ({ text: `${Math.min(a, b)}-${Math.max(a, b)}`, from: Math.min(a, b), to: Math.max(a, b) })),
      fc.nat(60).map((a) => ({ text: `${a}-`, from: a, to: Number.POSITIVE_INFINITY })),
      fc.nat(60).map((n) => ({ text: `-${n}`, from: -n, to: Number.POSITIVE_INFINITY })),
    )
    fc.assert(
      fc.property(fc.array(spec, { minLength: 1, maxLength: 8 }), fc.integer({ min: 1, max: 50 }), (specs, size) => {
        const wanted = new Set<number>()
        for (let byte = 0; byte < size; byte++) {
          const isWanted = ({ text, from, to }: { text: string; from: number; to: number }): boolean =>
            text.startsWith('-') ? byte >= size + from : byte >= from && byte <= to
          if (specs.some(isWanted)) wanted.add(byte)
        }
        const ranges = readRanges(`bytes=${specs.map((one) => one.text).join(',')}`, size, 16)
        if (wanted.size === 0) {
          expect(ranges).toBe('none')
          return
        }
        if (typeof ranges !== 'object') throw new Error(`got ${ranges}`)
        const got = ranges.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, index) => start + index))
        expect(new Set(got)).toEqual(wanted)
        expect(got).toHaveLength(wanted.size)
      }),
    )
  })
})

describe('multipart', () => {
  it('lays ranges out, says how long that is, and uses another boundary each time', () => {
    const ranges = [
      { start: 0, end: 2 },
      { start: 5, end: 9 },
    ]
    const { contentType, pieces, length } = multipart(ranges, 'text/plain', 20)
    const boundary = /^multipart\/byteranges; boundary=([\w-]{20,70})$/.exec(contentType)?.[1]
    const text = pieces
      .map((one) => (one instanceof Uint8Array ? one.toString() : '#'.repeat(one.end - one.start)))
      .join('')
    expect(text).toBe(
      [
        `--${boundary}`,
        'Content-Type: text/plain',
        'Content-Range: bytes 0-1/20',
        '',
        '##',
        `--${boundary}`,
        'Content-Type: text/plain',
        'Content-Range: bytes 5-8/20',
        '',
        '####',
        `--${boundary}--`,
        '',
      ].join('\r\n'),
    )
    expect(length).toBe(text.length)
    expect(multipart(ranges, 'text/plain', 20).contentType).not.toBe(contentType)
  })

  it('says of no range how long the file is', () => {
    expect(contentRange(undefined, 20)).toBe('bytes */20')
    expect(contentRange({ start: 0, end: 1 }, 20)).toBe('bytes 0-0/20')
  })
})
