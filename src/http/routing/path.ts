import { XpsError } from '../../errors.ts'

/**
 * A path in the two shapes that a router needs.
 *
 * - `match` is what routes are compared with: dot segments resolved (RFC 3986, 5.2.4, also when they are spelled
 *   `%2e`), every byte that may stand by itself decoded, the other escapes in capital letters, `%2F`, `%5C` and `\`
 *   read as slashes, and several slashes read as one.
 * - `data` is the same, but an encoded slash is a part of its segment: what the parameters of a pattern are cut from.
 * - `forward` is what an upstream is sent: as it came, but without dot segments and without more than one slash in
 *   front.
 */
export interface RequestPath {
  readonly match: string
  readonly data: string
  readonly forward: string
}

/** Whether a path is the same in all its shapes, as most are: no escape, no backslash, no `//`, no `/.`. */
export function isPlain(path: string): boolean {
  return !unusual.test(path)
}

const unusual = /%|\\|\/[./]/

/**
 * The shapes of a path that is not plain.
 *
 * Throws `XPS_BAD_REQUEST` (400) for what servers read in different ways, so that one could be led around the rules of
 * a route: dot segments that only show when an encoded slash is taken for one (`..%2f`) or when parameters are cut off
 * (`..;`).
 */
export function readPath(path: string): RequestPath {
  if (!path.startsWith('/')) return { match: path, data: path, forward: path }
  const forward: string[] = []
  const data: string[] = []
  const given = path.split('/')
  for (let index = 1; index < given.length; index++) {
    const segment = given[index] as string
    const canonical = canonicalText(segment)
    if (canonical === '.' || canonical === '..') {
      if (canonical === '..') {
        forward.pop()
        data.pop()
      }
      // A dot segment at the end stands for a folder.
      if (index === given.length - 1) {
        forward.push('')
        data.push('')
      }
      continue
    }
    if (canonical.startsWith('.') || canonical.includes('%')) refuseHiddenDots(canonical)
    forward.push(segment)
    data.push(canonical)
  }
  while (forward.length > 1 && forward[0] === '') forward.shift()
  const text = `/${data.join('/')}`.replace(/\/{2,}/g, '/')
  return {
    data: text,
    match: text.includes('%') ? text.replace(/%(?:2F|5C)/g, '/').replace(/\/{2,}/g, '/') : text,
    forward: `/${forward.join('/')}`,
  }
}

/**
 * The spelling that routes are compared in: a printable character stands for itself and never for its escape, except
 * those that would mean something else then (`/ \ ? # %`); what is left of escapes is in capital letters.
 */
export function canonicalText(text: string): string {
  if (!/[%\\]/.test(text)) return text
  return text.replace(/\\|%[\da-f]{2}/gi, (found) => {
    if (found === '\\') return '%5C'
    const byte = Number.parseInt(found.slice(1), 16)
    const mayStand = byte > 0x20 && byte < 0x7f && !'/\\?#%'.includes(String.fromCharCode(byte))
    return mayStand ? String.fromCharCode(byte) : found.toUpperCase()
  })
}

/** Escapes what a request can only have as an escape: for paths that a program gives. */
export function inAscii(text: string): string {
  return text.replace(/[^!-~]+/gu, encodeURIComponent)
}

function refuseHiddenDots(segment: string): void {
  for (const piece of segment.split(/%2F|%5C/)) {
    const name = piece.replace(/;.*$/, '')
    if (name === '.' || name === '..') {
      throw new XpsError('XPS_BAD_REQUEST', 'the path of the request can be read in two ways', {
        origin: 'client',
        status: 400,
      })
    }
  }
}

/**
 * What a path has below a prefix, starting with one slash: `/x` for `/api/x` below `/api`, and `/` for `/api`. The
 * path is returned as it is if it does not lie below.
 */
export function pathBelow(path: string, prefix: string): string {
  if (prefix === '') return path
  const { length } = prefix
  if (path.startsWith(prefix)) {
    if (path.length === length) return '/'
    if (path.charCodeAt(length) === slash && path.charCodeAt(length + 1) !== slash) return path.slice(length)
  }
  if (!path.startsWith('/') || isPlain(path)) return path
  return belowUnusual(path, prefix)
}

/** The prefix may be spelled differently here, but it has as many segments. */
function belowUnusual(path: string, prefix: string): string {
  const wanted = prefix.split('/').slice(1)
  let at = 0
  for (const segment of wanted) {
    let separator = separatorAt(path, at)
    while (separator > 0) {
      at += separator
      separator = separatorAt(path, at)
    }
    const start = at
    while (at < path.length && separatorAt(path, at) === 0) at++
    if (canonicalText(path.slice(start, at)) !== segment) return path
  }
  if (at === path.length) return '/'
  at += separatorAt(path, at)
  while (path.charCodeAt(at) === slash) at++
  return `/${path.slice(at)}`
}

const slash = 0x2f

/** How long the slash at this place is, in one of its spellings; 0 if there is none. */
function separatorAt(path: string, at: number): number {
  const code = path.charCodeAt(at)
  if (code === slash || code === 0x5c) return 1
  return code === 0x25 && /^%(?:2f|5c)$/i.test(path.slice(at, at + 3)) ? 3 : 0
}
