import { Fields } from '../fields.ts'
import { hopByHop, isLookalike, nominatedNames } from './hop-by-hop.ts'

/**
 * Trailers as they are passed on: without those that only a head may have, because they frame, route, authenticate or
 * change the meaning of a message that has been acted upon already (RFC 9110, 6.5.1), those that are for one hop, and
 * those that `Connection` in the head named; names in `protect` it cannot name.
 */
export function forwardedTrailers(trailers: Fields, head: Fields, protect?: ReadonlySet<string>): Fields {
  const connection = head.get('connection')
  const nominated = connection === undefined ? undefined : nominatedNames(connection, protect)
  const kept = new Fields()
  for (let index = 0; index < trailers.size; index++) {
    if (((hopByHop >>> trailers.kindAt(index)) & 1) === 1) continue
    const name = trailers.nameAt(index)
    const key = name.toLowerCase()
    if (headOnly.has(key) || headOnlyFamily.test(key) || isLookalike(name, protect) || nominated?.has(key) === true)
      continue
    kept.append(name, trailers.valueAt(index))
  }
  return kept
}

const headOnly: ReadonlySet<string> = new Set([
  'host',
  'trailer',
  'expect',
  'max-forwards',
  'cache-control',
  'pragma',
  'range',
  'authorization',
  'proxy-authentication-info',
  'www-authenticate',
  'cookie',
  'set-cookie',
  'age',
  'date',
  'expires',
  'location',
  'retry-after',
  'vary',
  'forwarded',
  'via',
  'origin',
  'x-real-ip',
])

/** Not `content-md5` and other digests: they are what trailers are for. */
const headOnlyFamily = /^(?:x-forwarded-|if-|content-(?:encoding|type|range|length|location|language|disposition)$)/
