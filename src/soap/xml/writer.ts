import { XpsError } from '../../errors.ts'
import { xmlNamespace } from '../names.ts'
import type { XmlElement } from './element.ts'

// What text may not contain as it is, and what XML has no way to say at all.
const careful = /[&<>\r]|[^\t\n\r\x20-\ud7ff\ue000-\ufffd]/
const carefulAttribute = /[&<"\t\n\r]|[^\t\n\r\x20-\ud7ff\ue000-\ufffd]/
const unwritable = /[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u

const references: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
}

/** Text as it stands in an element. Throws `XPS_INVALID_OPTION` if XML has no way to say it. */
export function escapeText(text: string): string {
  if (!careful.test(text)) return text
  mustBeWritable(text)
  return text.replace(/[&<>\r]/g, (character) => references[character] as string)
}

/** Text as it stands in an attribute, in double quotes. */
export function escapeAttribute(text: string): string {
  if (!carefulAttribute.test(text)) return text
  mustBeWritable(text)
  return text.replace(/[&<"\t\n\r]/g, (character) => references[character] as string)
}

function mustBeWritable(text: string): void {
  if (unwritable.test(text)) {
    throw new XpsError('XPS_INVALID_OPTION', 'text must be made of characters that XML has')
  }
}

/** Prefixes in force, inner ones last. */
type Scope = [prefix: string, namespace: string][]

/** An element as XML that says all its namespaces itself. */
export function writeXml(element: XmlElement): string {
  return write(element, undefined, '', [['xml', xmlNamespace]])
}

/**
 * Prefixes that were there where an element was read and that its values may use; only if it stands somewhere else now.
 * No others: a message of many declarations and many small elements would become as long as the product of both.
 */
function inheritedBy(element: XmlElement, within: XmlElement | undefined): Record<string, string> | undefined {
  const { parent } = element
  if (parent === undefined || parent === within) return undefined
  const used = new Set<string>()
  usedBy(element, used)
  let inherited: Record<string, string> | undefined
  for (const prefix of used) {
    const namespace = parent.resolve(prefix)
    if (namespace === undefined) continue
    inherited ??= {}
    inherited[prefix] = namespace
  }
  return inherited
}

/** Adds what stands before colons in the values of an element and of those within it. */
function usedBy({ attributes, children }: XmlElement, used: Set<string>): void {
  for (const { value } of attributes) addPrefixes(value, used)
  for (const child of children) {
    if (typeof child === 'string') addPrefixes(child, used)
    else usedBy(child, used)
  }
}

function addPrefixes(text: string, used: Set<string>): void {
  for (let colon = text.indexOf(':'); colon >= 0; colon = text.indexOf(':', colon + 1)) {
    let start = colon
    while (start > 0 && isInName(text.charCodeAt(start - 1))) start--
    if (start < colon) used.add(text.slice(start, colon))
  }
}

/** Whether a character may stand in a name; a few that may not do no harm here. */
function isInName(code: number): boolean {
  if (code >= 0x61) return code <= 0x7a || code >= 0x80
  return code >= 0x41 ? code <= 0x5a || code === 0x5f : (code >= 0x30 && code <= 0x39) || code === 0x2d || code === 0x2e
}

function write(element: XmlElement, within: XmlElement | undefined, defaultNamespace: string, scope: Scope): string {
  const { namespace, name, attributes, declarations } = element
  const depth = scope.length
  let text = `<${name}`
  if (namespace !== defaultNamespace) text += ` xmlns="${escapeAttribute(namespace)}"`
  const declare = (prefix: string, to: string): void => {
    scope.push([prefix, to])
    text += ` xmlns:${prefix}="${escapeAttribute(to)}"`
  }
  const inherited = inheritedBy(element, within)
  // Because names in values may use them.
  const prefixes = inherited === undefined ? declarations : { ...inherited, ...declarations }
  if (prefixes !== undefined) {
    for (const prefix in prefixes) if (prefix !== '' && prefix !== 'xml') declare(prefix, prefixes[prefix] as string)
  }
  for (const attribute of attributes) {
    let label = attribute.name
    if (attribute.namespace !== '') {
      let prefix = prefixOf(scope, attribute.namespace)
      if (prefix === undefined) {
        prefix = freePrefix(scope)
        declare(prefix, attribute.namespace)
      }
      label = `${prefix}:${label}`
    }
    text += ` ${label}="${escapeAttribute(attribute.value)}"`
  }
  const { children } = element
  if (children.length === 0) text += '/>'
  else {
    text += '>'
    for (const child of children)
      text += typeof child === 'string' ? escapeText(child) : write(child, element, namespace, scope)
    text += `</${name}>`
  }
  scope.length = depth
  return text
}

function prefixOf(scope: Scope, namespace: string): string | undefined {
  for (let index = scope.length - 1; index >= 0; index--) {
    const [prefix, bound] = scope[index] as [string, string]
    if (bound !== namespace) continue
    // It may be bound to something else further in.
    if (scope.findLast(([other]) => other === prefix)?.[1] === namespace) return prefix
  }
  return undefined
}

function freePrefix(scope: Scope): string {
  let number = 1
  while (scope.some(([prefix]) => prefix === `n${number}`)) number++
  return `n${number}`
}
