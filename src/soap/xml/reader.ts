import { SaxesParser, type SaxesTagNS } from 'saxes'
import type { TextEncoding } from '../framing/framing.ts'
import { Rejection } from '../rejection.ts'
import { type XmlAttribute, XmlElement } from './element.ts'

/** How much XML may be in a message. */
export interface XmlLimits {
  /** How deep elements may lie in each other. */
  readonly depth: number
  /** Attributes of one element. */
  readonly attributes: number
  /** Elements, attributes and pieces of text, all together. */
  readonly nodes: number
  /** The longest piece of text or value of an attribute, in characters. */
  readonly text: number
}

/** The limits that hold where no other are given. */
export const defaultXmlLimits: XmlLimits = { depth: 64, attributes: 1_000, nodes: 100_000, text: 4 * 1024 * 1024 }

/** The longest name, in characters. */
const longestName = 1_024
/** How many readers wait for the next message, in all. */
const mostIdle = 16

const idle: XmlReader[] = []

/**
 * Reads XML as it comes, and makes a tree of it. Refuses what is not well formed or breaks a limit, and what SOAP
 * forbids: document types and processing instructions.
 *
 * There are few readers, because their parsers are costly to make: take one by {@link take}, and none after it threw.
 */
export class XmlReader {
  readonly #parser = new SaxesParser({ xmlns: true, position: false, defaultXMLVersion: '1.0', forceXMLVersion: true })
  #limits: XmlLimits = defaultXmlLimits
  #encoding: TextEncoding = 'utf-8'
  #root: XmlElement | undefined
  #element: XmlElement | undefined
  #depth = 0
  #nodes = 0
  #attributes = 0
  /** White space of which is not known whether it stands between elements. */
  #space = ''

  private constructor() {
    const parser = this.#parser
    parser.on('error', (error) => {
      throw new Rejection('xml', error.message.slice(0, 200))
    })
    parser.on('doctype', () => {
      throw new Rejection('xml', 'a document type')
    })
    parser.on('processinginstruction', () => {
      throw new Rejection('xml', 'a processing instruction')
    })
    parser.on('xmldecl', ({ encoding }) => this.#checkEncoding(encoding))
    parser.on('attribute', ({ name, value }) => {
      if (++this.#attributes > this.#limits.attributes) throw tooMuch('attributes')
      this.#count()
      if (name.length > longestName) throw tooMuch('characters in a name')
      if (value.length > this.#limits.text) throw tooMuch('text')
    })
    parser.on('opentag', (tag) => this.#open(tag))
    parser.on('closetag', () => this.#close())
    parser.on('text', (text) => this.#text(text, false))
    parser.on('cdata', (text) => this.#text(text, true))
  }

  static take(limits: XmlLimits, encoding: TextEncoding): XmlReader {
    const reader = idle.pop() ?? new XmlReader()
    reader.#limits = limits
    reader.#encoding = encoding
    return reader
  }

  /** The root as far as it has come; also of a reader that has thrown. */
  get partial(): XmlElement | undefined {
    return this.#root
  }

  write(text: string): void {
    this.#parser.write(text)
  }

  /** The text is complete: returns its root. The reader must not be used any more. */
  end(): XmlElement {
    this.#parser.close()
    const root = this.#root as XmlElement
    this.#root = undefined
    this.#element = undefined
    this.#depth = 0
    this.#nodes = 0
    this.#attributes = 0
    this.#space = ''
    if (idle.length < mostIdle) idle.push(this)
    return root
  }

  #open(tag: SaxesTagNS): void {
    this.#space = ''
    this.#attributes = 0
    if (++this.#depth > this.#limits.depth) throw tooMuch('levels')
    if (tag.name.length > longestName) throw tooMuch('characters in a name')
    this.#count()
    let attributes: XmlAttribute[] | undefined
    let declarations: Record<string, string> | undefined
    for (const label in tag.attributes) {
      const { uri, prefix, local, value } = tag.attributes[label] as SaxesTagNS['attributes'][string]
      if (label === 'xmlns' || prefix === 'xmlns') declarations = tag.ns
      else {
        attributes ??= []
        attributes.push({ namespace: uri, name: local, value })
      }
    }
    const element = new XmlElement(tag.uri, tag.local, attributes, this.#element, declarations)
    if (this.#element === undefined) this.#root = element
    else this.#element.append(element)
    this.#element = element
  }

  #close(): void {
    const element = this.#element as XmlElement
    if (this.#space !== '') {
      if (element.elements.length === 0) element.append(this.#space)
      this.#space = ''
    }
    this.#element = element.parent
    this.#depth--
  }

  #text(text: string, always: boolean): void {
    const element = this.#element
    if (element === undefined) return
    if (!always && isBlank(text)) {
      this.#space += text
      return
    }
    if (text.length > this.#limits.text) throw tooMuch('text')
    this.#count()
    element.append(this.#space + text)
    this.#space = ''
  }

  #count(): void {
    if (++this.#nodes > this.#limits.nodes) throw tooMuch('nodes')
  }

  #checkEncoding(given: string | undefined): void {
    if (given === undefined) return
    const name = given.toLowerCase()
    const fits =
      this.#encoding === 'utf-8' ? /^(?:utf-8|us-ascii)$/.test(name) : /^(?:utf-16|utf-16le|utf-16be)$/.test(name)
    if (!fits) throw new Rejection('xml', `encoding ${name.slice(0, 40)}, but it is ${this.#encoding}`)
  }
}

function isBlank(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code !== 0x20 && code !== 0x0a && code !== 0x09 && code !== 0x0d) return false
  }
  return true
}

function tooMuch(what: string): Rejection {
  return new Rejection('too-large', `XML with too many ${what}`)
}

/** Reads XML that is there as a whole. */
export function readXml(text: string, limits: XmlLimits = defaultXmlLimits): XmlElement {
  const reader = XmlReader.take(limits, 'utf-8')
  reader.write(text)
  return reader.end()
}
