import { randomBytes } from 'node:crypto'
import parseRange from 'range-parser'

/** A part of a file: from `start` up to, but not including, `end`. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/**
 * What a Range field asks for (RFC 9110, 14.2): ranges in the order in which they were asked for, those that touch or
 * overlap made one; `'none'` if there is nothing of it in the file (416); undefined if the field is to be ignored,
 * because it is about another unit, is malformed, has more than `max` ranges, or because the file is empty.
 */
export function readRanges(field: string, size: number, max: number): readonly ByteRange[] | 'none' | undefined {
  // Of an empty file nothing can be a part; but some clients ask for ranges whatever comes, so they get all of it.
  if (size === 0 || !/^bytes=/i.test(field)) return undefined
  const wanted: string[] = []
  const texts = field.slice('bytes='.length).split(',', max * 2 + 1)
  if (texts.length > max * 2) return undefined
  for (const text of texts) {
    const one = text.trim()
    if (one === '') continue // RFC 9110, 5.6.1: empty elements of a list say nothing.
    const [whole, first, last] = /^(\d*)-(\d*)$/.exec(one) ?? []
    if (whole === undefined || whole === '-') return undefined
    if (first !== '' && last !== '' && Number(first) > Number(last)) return undefined
    // The library refuses a suffix that is longer than the file; RFC 9110, 14.1.2 means the whole of it.
    wanted.push(first === '' ? `-${Math.min(Number(last), size)}` : whole)
  }
  if (wanted.length === 0 || wanted.length > max) return undefined
  const ranges = parseRange(size, `bytes=${wanted.join(',')}`, { combine: true })
  if (ranges === -1) return 'none'
  if (ranges === -2) return undefined
  return ranges.map(({ start, end }) => ({ start, end: end + 1 }))
}

/** What `Content-Range` says of a range, or of a file that has nothing of what was asked for. */
export function contentRange(range: ByteRange | undefined, size: number): string {
  return range === undefined ? `bytes */${size}` : `bytes ${range.start}-${range.end - 1}/${size}`
}

/** Several ranges as `multipart/byteranges` (RFC 9110, 14.6): text of ours, and parts of the file between it. */
export interface Multipart {
  readonly contentType: string
  readonly pieces: readonly (Buffer | ByteRange)[]
  /** How long it is, in bytes. */
  readonly length: number
}

/** Lays out several ranges of a file of that type and size. */
export function multipart(ranges: readonly ByteRange[], type: string, size: number): Multipart {
  const boundary = `xps-${randomBytes(18).toString('hex')}`
  const pieces: (Buffer | ByteRange)[] = []
  let length = 0
  const add = (text: string): void => {
    const bytes = Buffer.from(text, 'latin1')
    pieces.push(bytes)
    length += bytes.length
  }
  for (const range of ranges) {
    const lead = pieces.length === 0 ? '' : '\r\n'
    add(`${lead}--${boundary}\r\nContent-Type: ${type}\r\nContent-Range: ${contentRange(range, size)}\r\n\r\n`)
    pieces.push(range)
    length += range.end - range.start
  }
  add(`\r\n--${boundary}--\r\n`)
  return { contentType: `multipart/byteranges; boundary=${boundary}`, pieces, length }
}
