import { XpsError } from '../errors.ts'
import type { Fields } from '../http/fields.ts'
import type { CookieSession } from './cookie-session.ts'
import { signatureOf } from './signature.ts'
import type { UpstreamRules } from './upstream-options.ts'

/** The longest value that we make: what most servers take in a head is twice that. */
const longestField = 8_192

/** Takes away what only we may say: also what has underscores for hyphens, which some servers take for the same. */
export function guardFields(headers: Fields, guarded: ReadonlySet<string>): void {
  let found: string[] | undefined
  for (let index = 0; index < headers.size; index++) {
    // None of ours is one that everybody knows.
    if (headers.kindAt(index) !== 0) continue
    const name = headers.nameAt(index)
    if (!guarded.has(name.toLowerCase().replaceAll('_', '-'))) continue
    found ??= []
    found.push(name)
  }
  if (found !== undefined) for (const name of found) headers.delete(name)
}

/** Tells an upstream of the session. `now` is in seconds since 1970. */
export function tellUpstream<Data extends object>(
  headers: Fields,
  session: CookieSession<Data>,
  { fields, token }: UpstreamRules<Data>,
  now: number,
): void {
  for (const [name, field] of fields) {
    const value = typeof field === 'function' ? field(session) : session.get(field)
    if (value !== undefined && value !== null)
      put(headers, name, typeof value === 'string' ? value : JSON.stringify(value))
  }
  if (token === undefined || session.isNew || !session.available) return
  const claims = { iat: now, exp: now + token.lifetime, session: session.toObject() }
  const text = `${jwtHead}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`
  put(headers, token.name, `${text}.${signatureOf(token.key, text)}`)
}

const jwtHead = Buffer.from('{"alg":"HS256","typ":"JWT"}').toString('base64url')

/** What is no visible ASCII goes percent-encoded as UTF-8, and the percent sign with it: so it can be read in one way only. */
function put(headers: Fields, name: string, value: string): void {
  const text = value.replace(/[^\x20-\x24\x26-\x7e]+|^ +| +$/g, percentEncoded)
  if (text.length > longestField) {
    throw new XpsError('XPS_TOO_LARGE', `the session is too large for the field '${name}'`, { status: 500 })
  }
  if (text === '') headers.delete(name)
  else headers.set(name, text)
}

function percentEncoded(text: string): string {
  return [...Buffer.from(text)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')
}

/** What an upstream's response says of the session. */
export interface UpstreamChanges {
  readonly set: readonly (readonly [key: string, value: unknown])[]
  readonly remove: readonly string[]
  readonly rotate: boolean
  readonly destroy: boolean
}

/** Takes what a response says of the session out of it; undefined if that is nothing. Throws `XPS_BAD_RESPONSE`. */
export function takeChanges(
  headers: Fields,
  names: NonNullable<UpstreamRules<object>['changes']>,
): UpstreamChanges | undefined {
  const given = Object.values(names).filter((name) => headers.has(name))
  if (given.length === 0) return undefined
  const set = headers.getAll(names.set).flatMap(readPairs)
  const remove = headers.getAll(names.delete).flatMap((keys) => keys.split(',').map((key) => decoded(key.trim())))
  const changes = { set, remove, rotate: isYes(headers, names.rotate), destroy: isYes(headers, names.destroy) }
  for (const name of given) headers.delete(name)
  return changes
}

/** Makes the changes that an upstream has asked for. */
export function applyChanges(session: CookieSession, { set, remove, rotate, destroy }: UpstreamChanges): void {
  for (const key of remove) session.delete(key)
  for (const [key, value] of set) session.set(key, value)
  if (rotate) session.rotate()
  if (destroy) session.destroy()
}

/** As forms are sent: `user=ali&city=K%C3%B6ln`; or an object as JSON, whose values may be any. */
function readPairs(text: string): [key: string, value: unknown][] {
  if (!text.startsWith('{')) return [...new URLSearchParams(text)]
  try {
    return Object.entries(JSON.parse(Buffer.from(text, 'latin1').toString()) as object)
  } catch (error) {
    throw unreadable(error)
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (error) {
    throw unreadable(error)
  }
}

function isYes(headers: Fields, name: string): boolean {
  const value = headers.get(name)
  return value !== undefined && !/^(?:0|false|no|\?0)$/i.test(value)
}

function unreadable(cause: unknown): XpsError {
  return new XpsError('XPS_BAD_RESPONSE', 'what the upstream says of the session cannot be read', {
    origin: 'upstream',
    cause,
  })
}
