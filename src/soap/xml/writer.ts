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

/** Prefixes that were there where an element was read; only if it stands somewhere else now. */
function inheritedBy(element: XmlElement, within: XmlElement | undefined): Record<string, string> | undefined {
  if (element.parent === undefined || element.parent === within) return undefined
  const inherited: Record<string, string> = {}
  for (let above: XmlElement | undefined = element.parent; above !== undefined; above = above.parent) {
    for (const [prefix, namespace] of Object.entries(above.declarations ?? {})) {
      if (prefix !== '') inherited[prefix] ??= namespace
    }
  }
  return inherited
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
