import { sep } from 'node:path'
import { badPath, notFound } from './faults.ts'

/** Where a request points to, below the folder. */
export interface RequestPath {
  /** Names joined by `/`, without one at the start or the end; '' is the folder itself. */
  readonly file: string
  /** It ends with a slash: only a folder can be meant. */
  readonly folder: boolean
}

/**
 * Decodes the path of a request, once.
 *
 * A path is taken as it is written: nothing is collapsed or resolved, so that no two parties can read it differently.
 * Throws `XPS_BAD_REQUEST` (400) for what is no path or tries to be another one: bad percent-encoding or UTF-8, NUL,
 * a backslash, an encoded slash, `.` and `..`, bytes that must be encoded. Throws `XPS_NOT_FOUND` (404) for an empty
 * name (`//`), which no file has, and for names with a dot in front unless `dotfiles`; `.well-known` (RFC 8615) may
 * be the first.
 */
export function readPath(raw: string, dotfiles: boolean, windows: boolean = sep === '\\'): RequestPath {
  if (!visible.test(raw) || (raw !== '' && !raw.startsWith('/'))) throw badPath('has characters that must be encoded')
  const names = raw.split('/')
  names.shift()
  // '/a/' ends with an empty name; so does '/'. Without any slash the folder itself is asked for, as a name.
  const folder = names.at(-1) === ''
  if (folder) names.pop()
  for (let index = 0; index < names.length; index++) {
    const name = decode(names[index] as string)
    names[index] = name
    if (name === '') throw notFound('an empty name')
    if (name === '.' || name === '..') throw badPath(`has the name '${name}'`)
    // Streams, devices and names that Windows takes for others.
    if (windows && misread.test(name)) throw notFound(name)
    if (!dotfiles && name.startsWith('.') && !(index === 0 && name === '.well-known')) throw notFound(name)
  }
  return { file: names.join('/'), folder }
}

/** Encodes names joined by `/` for a URL. */
export function encodePath(file: string): string {
  return file.split('/').map(encodeURIComponent).join('/')
}

// RFC 3986: what is not ASCII is percent-encoded. A backslash is a slash to some, and a query is no part of the path.
const visible = /^[\x21-\x22\x24-\x3e\x40-\x5b\x5d-\x7e]*$/
const misread = /[:"<>|?*]|[. ]$/
const hidden = /[/\\\0]/

function decode(name: string): string {
  if (!name.includes('%')) return name
  let decoded: string
  try {
    decoded = decodeURIComponent(name)
  } catch {
    throw badPath('has bad percent-encoding')
  }
  if (hidden.test(decoded)) throw badPath('hides a slash, a backslash or NUL')
  return decoded
}
