import type { OutgoingHttpHeaders } from 'node:http2'
import { Fields } from '../fields.ts'

// How fields go from and to node:http2.

/** The fields of a block as it came: names and values in turn, those left out that begin with a colon. */
export function fieldsOf(raw: readonly string[]): Fields {
  const fields = new Fields()
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] as string
    if (!name.startsWith(':')) fields.append(name, raw[at + 1] as string)
  }
  return fields
}

/** The value of a field of a block as it came; pseudo fields come first, and once. */
export function pseudoOf(raw: readonly string[], name: string): string | undefined {
  for (let at = 0; at < raw.length && (raw[at] as string).startsWith(':'); at += 2) {
    if (raw[at] === name) return raw[at + 1]
  }
  return undefined
}

/**
 * Adds fields to a block that is to be sent, names in lower case. Values of one name are joined, which says the same
 * (RFC 9110, 5.3); only `set-cookie` stays apart, and `cookie` is joined as RFC 9113, 8.2.3 has it. What is for HTTP/1
 * only is left out.
 */
export function addFields(block: OutgoingHttpHeaders, fields: Fields): void {
  for (let index = 0; index < fields.size; index++) {
    const name = fields.nameAt(index).toLowerCase()
    if (ofHttp1.has(name)) continue
    const value = fields.valueAt(index)
    const former = block[name]
    if (former === undefined) block[name] = name === 'set-cookie' ? [value] : value
    else if (Array.isArray(former)) former.push(value)
    else block[name] = `${former}${name === 'cookie' ? '; ' : ', '}${value}`
  }
}

/** RFC 9113, 8.2.2, and what takes their place. */
const ofHttp1: ReadonlySet<string> = new Set([
  'connection',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
])
