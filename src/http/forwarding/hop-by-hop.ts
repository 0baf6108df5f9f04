import { type Fields, type KnownName, known, knownNames, withoutBlanks } from '../fields.ts'

/** A bit for each of the names, as {@link Fields.serialize} takes them. */
export function bitsOf(...names: readonly KnownName[]): number {
  let bits = 0
  for (const name of names) bits |= 1 << known[name]
  return bits
}

/**
 * Fields that are for the next hop only (RFC 9110, 7.6.1), or that say how a message is framed, which whoever writes
 * the message says anew. `Trailer` is not among them: trailers are passed on.
 */
export const hopByHop: number = bitsOf(
  'connection',
  'content-length',
  'transfer-encoding',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'proxy-authenticate',
  'te',
  'upgrade',
)

/**
 * Fields that are for all recipients, so that a `Connection` field must not name them (RFC 9110, 7.6.1). Where it does
 * they are passed on nevertheless.
 *
 * Whoever sits behind another proxy would otherwise be an easy prey: that proxy adds `X-Forwarded-For`, passes the
 * client's `Connection: X-Forwarded-For` on, and the next one takes away what the first has added. (HAProxy passes such
 * a `Connection` on. Go's ReverseProxy removes whatever is named. Envoy refuses the request if `X-Forwarded-*` or
 * `Forwarded` is named. To keep the field is as safe and breaks nobody's request.)
 */
const endToEnd: ReadonlySet<string> = new Set([
  'host',
  'forwarded',
  'via',
  'x-real-ip',
  'x-request-id',
  'authorization',
  'www-authenticate',
  'cookie',
  'set-cookie',
  'origin',
  'range',
  'cache-control',
  'pragma',
  'expires',
  'age',
  'date',
  'vary',
  'etag',
  'location',
  'expect',
  'trailer',
])

/** Families of such fields. */
const endToEndFamily = /^(?:x-forwarded|content|if|access-control|sec|strict-transport)(?:-|$)/

function isEndToEnd(name: string, protect: ReadonlySet<string> | undefined): boolean {
  return endToEnd.has(name) || endToEndFamily.test(name) || protect?.has(name) === true
}

/**
 * The fields that a value of `Connection` names, in lower case, without those for all recipients and those in `protect`;
 * undefined if there are none, as with `keep-alive`.
 */
export function nominatedNames(value: string, protect?: ReadonlySet<string>): Set<string> | undefined {
  if (value === 'keep-alive' || value === 'close' || value === 'Keep-Alive' || value === 'Upgrade') return undefined
  let names: Set<string> | undefined
  for (const word of value.toLowerCase().split(',')) {
    const name = withoutBlanks(word)
    if (name === '' || connectionOptions.has(name) || isEndToEnd(name, protect)) continue
    names ??= new Set()
    names.add(name)
  }
  return names
}

/** What `Connection` says that names no field, or one that is never passed on. */
const connectionOptions: ReadonlySet<string> = new Set(['close', 'keep-alive', 'upgrade', 'te'])

/**
 * Takes away what `Connection` names, and the names from `Connection`, so that later on it can name nothing that a hook
 * has added: a session calls this before any hook sees the request. Returns whether anything was named.
 */
export function dropNominated(headers: Fields, protect?: ReadonlySet<string>): boolean {
  const value = headers.get('connection')
  const names = value === undefined ? undefined : nominatedNames(value, protect)
  if (value === undefined || names === undefined) return false
  // By the fields that there are: there may be many more names.
  for (const name of new Set([...headers].map(([one]) => one.toLowerCase()))) if (names.has(name)) headers.delete(name)
  const rest = value.split(',').filter((word) => connectionOptions.has(withoutBlanks(word).toLowerCase()))
  if (rest.length === 0) headers.delete('connection')
  else headers.set('connection', rest.map(withoutBlanks).join(', '))
  return true
}

const guarded: ReadonlySet<string> = new Set(knownNames.filter((name) => name.includes('-')))

/**
 * Whether a name is one that a proxy minds, or one of `protect`, with underscores for hyphens. Servers that hand fields on
 * as environment variables take both for the same, and would believe `X_Forwarded_For`; so none of them is passed on.
 */
export function isLookalike(name: string, protect?: ReadonlySet<string>): boolean {
  if (!name.includes('_')) return false
  const meant = name.toLowerCase().replaceAll('_', '-')
  return guarded.has(meant) || meant.startsWith('x-forwarded-') || meant === 'x-real-ip' || protect?.has(meant) === true
}

/** Whether the value of `TE` says that trailers are welcome (RFC 9110, 10.1.4). */
export function acceptsTrailers(value: string): boolean {
  return value === 'trailers' || value.split(',').some((one) => /^[\t ]*trailers[\t ]*$/i.test(one))
}
