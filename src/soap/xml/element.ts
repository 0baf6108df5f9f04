import { XpsError } from '../../errors.ts'
import { writeXml } from './writer.ts'

/** An attribute of an element. */
export interface XmlAttribute {
  /** Empty for most attributes: a default namespace does not hold for them. */
  readonly namespace: string
  readonly name: string
  readonly value: string
}

const none: readonly never[] = []

/**
 * An element of XML: a name, attributes, and either text or other elements, or both. It never changes.
 *
 * Made by {@link xml}, or read from a message. What was read has no comments, and no white space between elements.
 */
export class XmlElement {
  readonly namespace: string
  readonly name: string
  readonly attributes: readonly XmlAttribute[]
  /** Prefixes that it declares, for names within values: `xsd:int`. */
  readonly declarations: Readonly<Record<string, string>> | undefined
  readonly parent: XmlElement | undefined
  #text = ''
  #children: (XmlElement | string)[] | undefined
  #written: string | undefined

  constructor(
    namespace: string,
    name: string,
    attributes: readonly XmlAttribute[] = none,
    parent?: XmlElement,
    declarations?: Readonly<Record<string, string>>,
  ) {
    this.namespace = namespace
    this.name = name
    this.attributes = attributes
    this.parent = parent
    this.declarations = declarations
  }

  /** Elements and text, in their order. */
  get children(): readonly (XmlElement | string)[] {
    if (this.#children !== undefined) return this.#children
    return this.#text === '' ? none : [this.#text]
  }

  /** The elements within it. */
  get elements(): readonly XmlElement[] {
    const children = this.#children
    if (children === undefined) return none
    return children.filter((child) => typeof child !== 'string')
  }

  /** The text that stands directly in it. */
  get text(): string {
    const children = this.#children
    if (children === undefined) return this.#text
    return children.filter((child) => typeof child === 'string').join('')
  }

  /** Whether it has the name; any namespace will do if none is given. */
  is(name: string, namespace?: string): boolean {
    return this.name === name && (namespace === undefined || this.namespace === namespace)
  }

  /** The first element of a name within it. */
  child(name: string, namespace?: string): XmlElement | undefined {
    for (const child of this.#children ?? none) {
      if (typeof child !== 'string' && child.is(name, namespace)) return child
    }
    return undefined
  }

  /** All elements of a name within it. */
  all(name: string, namespace?: string): XmlElement[] {
    return this.elements.filter((child) => child.is(name, namespace))
  }

  attribute(name: string, namespace = ''): string | undefined {
    for (const attribute of this.attributes) {
      if (attribute.name === name && attribute.namespace === namespace) return attribute.value
    }
    return undefined
  }

  /** The text of the element of that name within it. Throws `XPS_PROTOCOL` if there is none and no `fallback`. */
  string(name: string, fallback?: string): string {
    return this.child(name)?.text ?? fallback ?? this.#missing(name)
  }

  /** As {@link string}, as a number. */
  number(name: string, fallback?: number): number {
    return this.#read(name, fallback, 'a number', (text) =>
      /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text) ? Number(text) : special.get(text),
    )
  }

  /** As {@link string}, as a whole number that JavaScript can hold. */
  integer(name: string, fallback?: number): number {
    return this.#read(name, fallback, 'a whole number', (text) =>
      /^[+-]?\d+$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : undefined,
    )
  }

  /** As {@link string}, as a boolean: `true`, `false`, `1` or `0`. */
  boolean(name: string, fallback?: boolean): boolean {
    return this.#read(name, fallback, 'true or false', (text) => booleans.get(text))
  }

  /** As {@link string}, as a date with a time. */
  date(name: string, fallback?: Date): Date {
    return this.#read(name, fallback, 'a date with a time', (text) => {
      const date = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(text) ? new Date(text) : undefined
      return date === undefined || Number.isNaN(date.getTime()) ? undefined : date
    })
  }

  /** As {@link string}, as bytes of base64. */
  bytes(name: string, fallback?: Uint8Array): Uint8Array {
    return this.#read(name, fallback, 'base64', (text) => {
      const packed = text.replace(/\s+/g, '')
      return /^[A-Za-z0-9+/]*={0,2}$/.test(packed) && packed.length % 4 === 0
        ? Buffer.from(packed, 'base64')
        : undefined
    })
  }

  /** What a prefix stands for here; undefined if it is bound to nothing. */
  resolve(prefix: string): string | undefined {
    for (let element: XmlElement | undefined = this; element !== undefined; element = element.parent) {
      const namespace = element.declarations?.[prefix]
      if (namespace !== undefined) return namespace
    }
    return undefined
  }

  /**
   * A plain value of it: text for an element that has nothing but text, or else an object by the names of what is in it,
   * with `@name` for attributes, a list where a name comes more than once, and `#text` for text beside elements.
   */
  toValue(): unknown {
    const { elements } = this
    if (elements.length === 0 && this.attributes.length === 0) return this.text
    // Without a prototype, so that no name can mean anything else.
    const value: Record<string, unknown> = Object.create(null)
    for (const { name, value: text } of this.attributes) value[`@${name}`] = text
    const text = this.text
    if (text !== '') value['#text'] = text
    for (const element of elements) {
      const { name } = element
      const before = value[name]
      if (before === undefined) value[name] = element.toValue()
      else if (Array.isArray(before)) before.push(element.toValue())
      else value[name] = [before, element.toValue()]
    }
    return value
  }

  /** The element as XML, complete in itself. */
  toString(): string {
    if (this.#written !== undefined) return this.#written
    const written = writeXml(this)
    // What was made to be sent may be sent to many; what was read is not kept twice.
    if (this.parent === undefined) this.#written = written
    return written
  }

  /** @internal For who makes it, before anybody else has it. */
  append(child: XmlElement | string): void {
    if (typeof child === 'string' && this.#children === undefined) {
      this.#text += child
      return
    }
    if (this.#children === undefined) this.#children = this.#text === '' ? [] : [this.#text]
    const last = this.#children.length - 1
    if (typeof child === 'string' && typeof this.#children[last] === 'string') this.#children[last] += child
    else this.#children.push(child)
  }

  #read<T>(name: string, fallback: T | undefined, what: string, parse: (text: string) => T | undefined): T {
    const child = this.child(name)
    if (child === undefined) return fallback ?? this.#missing(name)
    const value = parse(child.text.trim())
    if (value === undefined) throw new XpsError('XPS_PROTOCOL', `${name} in ${this.name} must be ${what}`)
    return value
  }

  #missing(name: string): never {
    throw new XpsError('XPS_PROTOCOL', `there is no ${name} in ${this.name}`)
  }
}

const booleans = new Map([
  ['true', true],
  ['1', true],
  ['false', false],
  ['0', false],
])

const special = new Map([
  ['INF', Number.POSITIVE_INFINITY],
  ['-INF', Number.NEGATIVE_INFINITY],
  ['NaN', Number.NaN],
])
