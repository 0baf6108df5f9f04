import type { OutgoingHttpHeaders } from 'node:http2'
import { XpsError } from '../../errors.ts'

/** Header fields as every Node takes them; without a prototype, because a field may be called `constructor`. */
class FieldMap {
  [name: string]: number | string | string[]
}
Object.setPrototypeOf(FieldMap.prototype, null)
Reflect.deleteProperty(FieldMap.prototype, 'constructor')

/** The fields of a response as `node:http2` takes them: from a list (name, value, name, value) in lower case. */
export function responseHeaders(status: number, pairs: readonly string[]): OutgoingHttpHeaders {
  if (status > 599) {
    const message = `the status ${status} cannot be sent in HTTP/2`
    throw new XpsError('XPS_BAD_RESPONSE', message, { origin: 'upstream', status: 502 })
  }
  const headers = fieldMap(pairs)
  headers[':status'] = status
  return headers
}

/** The same without a status, as trailers are. */
export function fieldMap(pairs: readonly string[]): OutgoingHttpHeaders {
  const headers = new FieldMap()
  for (let at = 0; at < pairs.length; at += 2) {
    const name = pairs[at] as string
    const value = pairs[at + 1] as string
    const other = headers[name]
    if (other === undefined) headers[name] = value
    else if (typeof other === 'string') headers[name] = [other, value]
    else (other as string[]).push(value)
  }
  return headers
}

/**
 * The same for `node:http2`'s taste, which refuses some that HTTP/1 lets pass: what names a connection is left out, and
 * fields that should come once but did not are put together, as whoever reads them may do (RFC 9110, 5.3).
 */
export function tamed(headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  for (const name of Object.keys(headers)) {
    const value = headers[name]
    if (name === 'http2-settings') delete headers[name]
    else if (Array.isArray(value) && name !== 'set-cookie') headers[name] = value.join(', ')
  }
  return headers
}
