import type { OutgoingHttpHeaders } from 'node:http2'
import { XpsError } from '../../errors.ts'
import type { ReadyHead } from '../client-stream.ts'

/** Header fields as `node:http2` takes them. */
export type NodeFields = OutgoingHttpHeaders | readonly string[]

/** Whether this Node takes lists (name, value, name, value): since 24.7 and 22.20. */
const takesLists: boolean = knowsLists(process.versions.node)

function knowsLists(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > 24 || (major === 24 && minor >= 7) || (major === 22 && minor >= 20)
}

/** The head of a response for `node:http2`; a length of less than 0 is not said. */
export function responseFields(head: ReadyHead, length: number): NodeFields {
  const kept = head.kept?.(length, 2)
  if (kept !== undefined) return kept as NodeFields
  const { status } = head
  if (status > 599) {
    const message = `the status ${status} cannot be sent in HTTP/2`
    throw new XpsError('XPS_BAD_RESPONSE', message, { origin: 'upstream', status: 502 })
  }
  const pairs = head.pairs([':status', String(status)])
  if (length >= 0) pairs.push('content-length', String(length))
  const fields = fieldsOf(pairs)
  head.keep?.(length, fields, 2)
  return fields
}

/** A list as this Node takes it with the least ado. */
export function fieldsOf(pairs: readonly string[]): NodeFields {
  return takesLists ? pairs : fieldMap(pairs)
}

/** Without a prototype, because a field may be called `constructor`. */
class FieldMap {
  [name: string]: string | string[]
}
Object.setPrototypeOf(FieldMap.prototype, null)
Reflect.deleteProperty(FieldMap.prototype, 'constructor')

/** A list as the object that every Node takes. */
export function fieldMap(pairs: readonly string[]): OutgoingHttpHeaders {
  const fields = new FieldMap()
  for (let at = 0; at < pairs.length; at += 2) {
    const name = pairs[at] as string
    const value = pairs[at + 1] as string
    const other = fields[name]
    if (other === undefined) fields[name] = value
    else if (typeof other === 'string') fields[name] = [other, value]
    else other.push(value)
  }
  return fields
}

/**
 * The same for `node:http2`'s taste, which refuses some that HTTP/1 lets pass: what names a connection is left out, and
 * fields that should come once but did not are put together, as whoever reads them may do (RFC 9110, 5.3).
 */
export function tamed(given: NodeFields): OutgoingHttpHeaders {
  // What was given may be kept for others.
  const fields = Array.isArray(given) ? fieldMap(given) : { ...(given as OutgoingHttpHeaders) }
  for (const name of Object.keys(fields)) {
    const value = fields[name]
    if (name === 'http2-settings') delete fields[name]
    else if (Array.isArray(value) && name !== 'set-cookie') fields[name] = value.join(', ')
  }
  return fields
}
