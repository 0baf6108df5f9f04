import { XpsError } from '../../errors.ts'
import { invalidOption } from '../../options.ts'
import { type XmlAttribute, XmlElement } from './element.ts'

/** A value that is written as text: dates as ISO 8601, bytes as base64. */
export type XmlScalar = string | number | bigint | boolean | Date | Uint8Array

/**
 * What an element may be made of: a value, elements, a mixture in a list, or an object with an element for each name,
 * in the same namespace. There, a list stands for several elements of the name, and undefined for none.
 */
export type XmlContent =
  | XmlScalar
  | XmlElement
  | readonly (XmlScalar | XmlElement)[]
  | { readonly [name: string]: XmlContent | readonly XmlContent[] | undefined }

/**
 * Makes an element.
 *
 * ```
 * xml('urn:quotes', 'Tick', { symbol: 'ACME', price: 12.5 })
 * ```
 *
 * Names of attributes are in no namespace, or written as `{namespace}name`. Throws `XPS_INVALID_OPTION` for what XML
 * cannot say.
 */
export function xml(
  namespace: string,
  name: string,
  content?: XmlContent,
  attributes?: Readonly<Record<string, XmlScalar | undefined>>,
): XmlElement {
  checkName('name', name)
  const element = new XmlElement(namespace, name, attributes === undefined ? undefined : attributesOf(attributes))
  if (content !== undefined) fill(element, content)
  return element
}

function fill(element: XmlElement, content: XmlContent | readonly XmlContent[]): void {
  if (isLeaf(content)) return element.append(content instanceof XmlElement ? content : scalarText(content))
  if (Array.isArray(content)) {
    for (const part of content as readonly XmlContent[]) {
      if (!isLeaf(part)) throw invalidOption('content', part, 'made of values and elements')
      fill(element, part)
    }
    return
  }
  if (typeof content !== 'object' || content === null) throw invalidOption('content', content, 'a value or an object')
  for (const [name, value] of Object.entries(content)) {
    if (value === undefined) continue
    for (const one of Array.isArray(value) ? (value as readonly XmlContent[]) : [value as XmlContent]) {
      element.append(xml(element.namespace, name, one))
    }
  }
}

function isLeaf(content: unknown): content is XmlScalar | XmlElement {
  return (
    content instanceof XmlElement ||
    content instanceof Date ||
    content instanceof Uint8Array ||
    (typeof content !== 'object' && content !== undefined)
  )
}

/** A value as XML Schema writes it. */
export function scalarText(value: XmlScalar): string {
  if (typeof value === 'string') return value
  if (typeof value === 'boolean' || typeof value === 'bigint') return String(value)
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return String(value)
    return Number.isNaN(value) ? 'NaN' : value > 0 ? 'INF' : '-INF'
  }
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value.toISOString()
  if (value instanceof Uint8Array) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
  }
  throw invalidOption('content', value, 'text, a number, a boolean, a valid date or bytes')
}

function attributesOf(given: Readonly<Record<string, XmlScalar | undefined>>): XmlAttribute[] {
  return Object.entries(given).flatMap(([label, value]) => {
    if (value === undefined) return []
    const [, namespace = '', name = label] = /^\{([^}]*)\}(.*)$/.exec(label) ?? []
    checkName('attribute', name)
    return [{ namespace, name, value: scalarText(value) }]
  })
}

const names = /^[\p{L}_][\p{L}\p{N}\p{M}._\u00b7-]*$/u
const plainNames = /^[A-Za-z_][A-Za-z0-9._-]*$/

function checkName(what: string, name: string): void {
  if (!plainNames.test(name) && !names.test(name)) {
    throw new XpsError('XPS_INVALID_OPTION', `${what} must be a name of XML without a colon, got '${name}'`)
  }
}
