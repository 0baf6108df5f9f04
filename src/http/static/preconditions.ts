import { type Fields, known } from '../fields.ts'

/** What conditions are held against. */
export interface Validators {
  /** With its quotes, and `W/` if it is weak. */
  readonly etag: string
  /** What `Last-Modified` says, in milliseconds of whole seconds. */
  readonly lastModified: number
}

/** What the conditions of a request come to: go on, 304, or 412. */
export type Verdict = 'proceed' | 'not-modified' | 'failed'

/** Whether a request has none of the fields that make more of it than a plain one. */
export function isPlain(headers: Fields): boolean {
  return (headers.present & conditions) === 0
}

const conditions =
  (1 << known['if-none-match']) |
  (1 << known['if-modified-since']) |
  (1 << known.range) |
  (1 << known['if-match']) |
  (1 << known['if-unmodified-since'])

/** The conditions of a GET or HEAD, in the order of RFC 9110, 13.2.2; If-Range is asked for with the range. */
export function judge(headers: Fields, current: Validators): Verdict {
  const match = headers.get('if-match')
  if (match !== undefined) {
    if (!isListed(match, current.etag, true)) return 'failed'
  } else {
    const unmodified = parseDate(headers.get('if-unmodified-since'))
    if (unmodified !== undefined && current.lastModified > unmodified) return 'failed'
  }
  const noneMatch = headers.get('if-none-match')
  if (noneMatch !== undefined) return isListed(noneMatch, current.etag, false) ? 'not-modified' : 'proceed'
  const modified = parseDate(headers.get('if-modified-since'))
  return modified !== undefined && current.lastModified <= modified ? 'not-modified' : 'proceed'
}

/**
 * Whether a range may be sent (RFC 9110, 13.1.5): no If-Range, or one that names exactly what there is. A date is as
 * good as the file system's: of two changes within a second it can only tell one, as everybody's.
 */
export function isRangeValid(headers: Fields, current: Validators): boolean {
  const validator = headers.get('if-range')
  if (validator === undefined) return true
  if (validator.startsWith('"') || validator.startsWith('W/')) {
    return validator === current.etag && validator.startsWith('"')
  }
  return parseDate(validator) === current.lastModified
}

/** Whether a list of entity tags, or `*`, has the tag in it. Strong comparison: neither may be weak. */
function isListed(list: string, etag: string, strong: boolean): boolean {
  if (list === '*') return true
  if (strong && etag.startsWith('W/')) return false
  if (list === etag) return true
  const opaque = etag.startsWith('W/') ? etag.slice(2) : etag
  // A tag may have commas in it, so the list is not split.
  for (const [, weak, tag] of list.matchAll(entityTag)) {
    if (tag === opaque && !(strong && weak !== undefined)) return true
  }
  return false
}

// RFC 9110, 8.8.3.
const entityTag = /(W\/)?("[\x21\x23-\x7e\x80-\xff]*")/g

// RFC 9110, 5.6.7: how dates are written, and the two ways in which they used to be.
const preferredDate = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/
const formerDate = /^[A-Z][a-z]{5,8}, \d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT$/
const asctimeDate = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [\d ]\d \d{2}:\d{2}:\d{2} \d{4}$/

/** A date of HTTP in milliseconds; undefined for what is none, which is as good as no condition. */
export function parseDate(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  let time: number
  if (preferredDate.test(text) || formerDate.test(text)) time = Date.parse(text)
  else if (asctimeDate.test(text)) time = Date.parse(`${text} GMT`)
  else return undefined
  return Number.isNaN(time) ? undefined : time
}
