import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { Fields } from '../http/fields.ts'

/** Header fields as Node has them: names in lower case. */
export type NodeHeaders = Record<string, string | string[] | undefined>

/** Fields of which Node keeps the first only, if there are several. */
const firstOnly: ReadonlySet<string> = new Set([
  'age',
  'authorization',
  'content-length',
  'content-type',
  'etag',
  'expires',
  'from',
  'host',
  'if-modified-since',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'proxy-authorization',
  'referer',
  'retry-after',
  'server',
  'user-agent',
])

/**
 * The fields of a request: spelled and repeated as they came, with the changes that were made in `req.headers`.
 * Throws `XPS_INVALID_HEADER` for what cannot be sent on.
 */
export function fieldsOfRequest(req: IncomingMessage): Fields {
  const { rawHeaders } = req
  const headers: IncomingHttpHeaders = req.headers
  const fields = new Fields()
  const seen = new Set<string>()
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] as string
    // The pseudo fields of HTTP/2.
    if (name.startsWith(':')) continue
    const key = name.toLowerCase()
    const value = rawHeaders[at + 1] as string
    const now = headers[key]
    const repeated = seen.has(key)
    if (!repeated) seen.add(key)
    if (now === value) fields.append(name, value)
    else if (now === undefined) continue
    else if (unchanged(rawHeaders, key, now)) {
      if (!(repeated && firstOnly.has(key))) fields.append(name, value)
    } else if (!repeated) appendAll(fields, name, now)
  }
  for (const key in headers) {
    const value = headers[key]
    if (!seen.has(key.toLowerCase()) && !key.startsWith(':') && value !== undefined) appendAll(fields, key, value)
  }
  return fields
}

/** Whether a value is what Node makes of all the fields of that name. */
function unchanged(rawHeaders: readonly string[], key: string, now: string | string[]): boolean {
  const values: string[] = []
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if ((rawHeaders[at] as string).toLowerCase() === key) values.push(rawHeaders[at + 1] as string)
  }
  if (typeof now !== 'string')
    return now.length === values.length && now.every((value, index) => value === values[index])
  if (firstOnly.has(key)) return now === values[0]
  return now === values.join(key === 'cookie' ? '; ' : ', ')
}

function appendAll(fields: Fields, name: string, value: string | readonly string[]): void {
  if (typeof value === 'string') fields.append(name, value)
  else for (const one of value) fields.append(name, String(one))
}

/** Gives a list the values that a program sets: one, several, or none at all. */
export function setField(fields: Fields, name: string, value: number | string | readonly string[] | undefined): void {
  if (typeof value !== 'object') {
    if (value === undefined) fields.delete(name)
    else fields.set(name, value)
    return
  }
  fields.delete(name)
  for (const one of value) fields.append(name, String(one))
}

/** Fields as Node shows those of a response. */
export function nodeHeaders(fields: Fields): NodeHeaders {
  const headers: NodeHeaders = {}
  for (const [name, value] of fields) {
    const key = name.toLowerCase()
    const before = headers[key]
    if (key === 'set-cookie') headers[key] = [...((before as string[] | undefined) ?? []), value]
    else if (before === undefined) headers[key] = value
    else if (!firstOnly.has(key)) headers[key] = `${before as string}, ${value}`
  }
  return headers
}

/** Makes in `fields` the changes that were made in `now` since it was `before`. */
export function applyChanges(fields: Fields, before: NodeHeaders, now: NodeHeaders): void {
  for (const key in before) if (now[key] === undefined || now[key] === null) fields.delete(key)
  for (const key in now) {
    const value = now[key]
    if (value === undefined || value === null || same(value, before[key])) continue
    if (Array.isArray(value) || typeof value !== 'string') setField(fields, key, value as never)
    else fields.set(key, value)
  }
}

function same(one: string | string[], other: string | string[] | undefined): boolean {
  if (one === other) return true
  if (typeof one === 'string' || typeof other !== 'object') return false
  return one.length === other.length && one.every((value, index) => value === other[index])
}

/** A flat list as Node's `rawHeaders` is, as fields; what cannot be sent on is left out. */
export function fieldsOfRaw(raw: readonly string[]): Fields {
  const fields = new Fields()
  for (let at = 0; at + 1 < raw.length; at += 2) {
    try {
      fields.append(raw[at] as string, raw[at + 1] as string)
    } catch {
      // Node is less strict than we are.
    }
  }
  return fields
}

/** Fields as a flat list. */
export function rawOf(fields: Fields): string[] {
  const raw: string[] = []
  for (const [name, value] of fields) raw.push(name, value)
  return raw
}
