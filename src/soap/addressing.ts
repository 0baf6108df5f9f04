import { SoapFault } from './fault.ts'
import type { QName } from './names.ts'
import { Rejection } from './rejection.ts'
import { XmlElement } from './xml/element.ts'
import { escapeText } from './xml/writer.ts'

/** A version of WS-Addressing. */
export type AddressingVersion = '1.0' | '2004/08'

/** What a version of WS-Addressing calls its things. */
export interface AddressingNames {
  readonly namespace: string
  /** Where answers go if it is the connection that the request came on. */
  readonly anonymous: string
  /** Where answers go that nobody wants; the older version has no such address. */
  readonly none: string | undefined
  /** The relationship of an answer to its request, where none is named. */
  readonly reply: string
  /** The action of faults about addressing. */
  readonly faultAction: string
  /** The action of other faults. */
  readonly soapFaultAction: string
  readonly invalidHeader: string
  readonly headerRequired: string
}

/** The names of both versions. WSE 3.0 speaks the older one. */
export const addressingNames: Readonly<Record<AddressingVersion, AddressingNames>> = {
  '1.0': {
    namespace: 'http://www.w3.org/2005/08/addressing',
    anonymous: 'http://www.w3.org/2005/08/addressing/anonymous',
    none: 'http://www.w3.org/2005/08/addressing/none',
    reply: 'http://www.w3.org/2005/08/addressing/reply',
    faultAction: 'http://www.w3.org/2005/08/addressing/fault',
    soapFaultAction: 'http://www.w3.org/2005/08/addressing/soap/fault',
    invalidHeader: 'InvalidAddressingHeader',
    headerRequired: 'MessageAddressingHeaderRequired',
  },
  '2004/08': {
    namespace: 'http://schemas.xmlsoap.org/ws/2004/08/addressing',
    anonymous: 'http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous',
    none: undefined,
    reply: 'wsa:Reply',
    faultAction: 'http://schemas.xmlsoap.org/ws/2004/08/addressing/fault',
    soapFaultAction: 'http://schemas.xmlsoap.org/ws/2004/08/addressing/fault',
    invalidHeader: 'InvalidMessageInformationHeader',
    headerRequired: 'MessageInformationHeaderRequired',
  },
}

/** The version that a namespace belongs to. */
export function addressingVersionOf(namespace: string): AddressingVersion | undefined {
  if (namespace === addressingNames['1.0'].namespace) return '1.0'
  return namespace === addressingNames['2004/08'].namespace ? '2004/08' : undefined
}

/** Somewhere that messages can be sent to. */
export interface EndpointReference {
  readonly address: string
  /** What must be sent along as header blocks. */
  readonly parameters: readonly XmlElement[]
}

/** The addressing headers of a message. */
export interface Addressing {
  readonly version: AddressingVersion
  readonly action: string
  readonly to: string | undefined
  readonly messageId: string | undefined
  /** The message that this one answers. */
  readonly relatesTo: string | undefined
  readonly replyTo: EndpointReference | undefined
  readonly faultTo: EndpointReference | undefined
  readonly from: EndpointReference | undefined
}

/** The longest address, action or id, in characters. */
const longest = 2_048
/** What all parameters of a reference may measure as XML, in characters: each answer repeats them. */
const longestParameters = 16 * 1024

const once = ['To', 'From', 'ReplyTo', 'FaultTo', 'Action', 'MessageID']

/**
 * Reads the addressing headers; undefined if there are none. What is wrong with them is thrown with what could be read,
 * so that the fault finds its way.
 */
export function readAddressing(headers: readonly XmlElement[]): Addressing | undefined {
  for (const header of headers) {
    const version = addressingVersionOf(header.namespace)
    if (version !== undefined) return new HeaderReader(version, headers).read()
  }
  return undefined
}

class HeaderReader {
  readonly #version: AddressingVersion
  readonly #names: AddressingNames
  readonly #found = new Map<string, XmlElement>()
  #relatesTo: XmlElement | undefined
  #repeated: string | undefined
  #messageId: string | undefined

  constructor(version: AddressingVersion, headers: readonly XmlElement[]) {
    this.#version = version
    this.#names = addressingNames[version]
    for (const header of headers) {
      if (header.namespace !== this.#names.namespace) continue
      if (header.name === 'RelatesTo') {
        if (isReply(header, this.#names)) this.#relatesTo ??= header
      } else if (this.#found.has(header.name) && once.includes(header.name)) this.#repeated ??= header.name
      else this.#found.set(header.name, header)
    }
  }

  read(): Addressing {
    try {
      // None of those that are repeated holds: not even to say what the fault is an answer to.
      if (this.#repeated !== 'MessageID') this.#messageId = this.#text('MessageID')
      if (this.#repeated !== undefined) {
        throw new BadHeader(this.#repeated, 'InvalidCardinality', `more than one ${this.#repeated}`)
      }
      const action = this.#text('Action')
      if (action === undefined || action === '') throw new BadHeader('Action', 'required', 'there is no Action')
      return {
        version: this.#version,
        action,
        to: this.#text('To'),
        messageId: this.#messageId,
        relatesTo: this.#relatesTo === undefined ? undefined : textOf(this.#relatesTo),
        replyTo: this.#reference('ReplyTo'),
        faultTo: this.#reference('FaultTo'),
        from: this.#reference('From'),
      }
    } catch (error) {
      if (!(error instanceof BadHeader)) throw error
      const { problem, message, header } = error
      throw new AddressingRejection(this.#version, problem, message, { problem: header, messageId: this.#messageId })
    }
  }

  #text(name: string): string | undefined {
    const header = this.#found.get(name)
    return header === undefined ? undefined : textOf(header)
  }

  #reference(name: string): EndpointReference | undefined {
    const header = this.#found.get(name)
    return header === undefined ? undefined : readReference(header, this.#names)
  }
}

class BadHeader extends Error {
  readonly header: string
  readonly problem: AddressingProblem

  constructor(header: string, problem: AddressingProblem, message: string) {
    super(message)
    this.header = header
    this.problem = problem
  }
}

function isReply(header: XmlElement, names: AddressingNames): boolean {
  const type = header.attribute('RelationshipType')
  return type === undefined || type === names.reply || /^[\w.-]+:Reply$/.test(type)
}

function textOf(header: XmlElement): string {
  const text = header.text.trim()
  if (text.length > longest) throw new BadHeader(header.name, 'InvalidHeader', 'an addressing header that is too long')
  return text
}

function readReference(header: XmlElement, names: AddressingNames): EndpointReference {
  const address = header.child('Address', names.namespace)?.text.trim() ?? ''
  if (address === '') throw new BadHeader(header.name, 'MissingAddressInEPR', 'a reference without an address')
  if (address.length > longest) throw new BadHeader(header.name, 'InvalidHeader', 'an address that is too long')
  const parameters = ['ReferenceProperties', 'ReferenceParameters'].flatMap(
    (name) => header.child(name, names.namespace)?.elements ?? [],
  )
  let length = 0
  for (const parameter of parameters) {
    if (parameter.namespace === '') {
      throw new BadHeader(header.name, 'InvalidHeader', 'a reference parameter of no namespace')
    }
    length += parameter.toString().length
    if (length > longestParameters) {
      throw new BadHeader(header.name, 'InvalidHeader', 'reference parameters that are too long')
    }
  }
  return { address, parameters }
}

/** What can be wrong with addressing headers, in the words of version 1.0. */
export type AddressingProblem =
  | 'InvalidCardinality'
  | 'InvalidAddress'
  | 'MissingAddressInEPR'
  | 'DuplicateMessageID'
  | 'InvalidHeader'
  | 'required'
  | 'DestinationUnreachable'
  | 'ActionNotSupported'

const reasons: Partial<Record<AddressingProblem, 'duplicate' | 'destination' | 'unknown-action' | 'reply-to'>> = {
  DuplicateMessageID: 'duplicate',
  DestinationUnreachable: 'destination',
  ActionNotSupported: 'unknown-action',
  InvalidAddress: 'reply-to',
}

/** Addressing headers that are not taken, and the fault that says so. */
export class AddressingRejection extends Rejection {
  readonly version: AddressingVersion
  /** The message that the fault is an answer to, where it is known. */
  readonly messageId: string | undefined

  constructor(
    version: AddressingVersion,
    problem: AddressingProblem,
    message: string,
    about: { problem?: string; messageId?: string | undefined; detail?: XmlElement } = {},
  ) {
    super(reasons[problem] ?? 'addressing', message, addressingFault(version, problem, message, about))
    this.version = version
    this.messageId = about.messageId
  }
}

function addressingFault(
  version: AddressingVersion,
  problem: AddressingProblem,
  message: string,
  about: { problem?: string; detail?: XmlElement },
): SoapFault {
  const { namespace, invalidHeader, headerRequired } = addressingNames[version]
  const name = (text: string): QName => ({ namespace, name: text })
  const details: XmlElement[] = about.detail === undefined ? [] : [about.detail]
  if (about.problem !== undefined) {
    const detail = new XmlElement(namespace, 'ProblemHeaderQName', undefined, undefined, { wsa: namespace })
    detail.append(`wsa:${about.problem}`)
    details.push(detail)
  }
  const general = problem === 'DestinationUnreachable' || problem === 'ActionNotSupported'
  if (general) return new SoapFault('Sender', message, { subcodes: [name(problem)], detail: details })
  if (problem === 'required') {
    return new SoapFault('Sender', message, { subcodes: [name(headerRequired)], detail: details })
  }
  // The older version has no names for what exactly is wrong.
  const exact = version === '1.0' && problem !== 'InvalidHeader'
  const subcodes = exact ? [name(invalidHeader), name(problem)] : [name(invalidHeader)]
  return new SoapFault('Sender', message, { subcodes, detail: details })
}

/** What is written about where a message comes from and goes to. */
export interface AddressingLines {
  readonly version: AddressingVersion
  readonly action: string
  readonly messageId: string
  readonly to?: string | undefined
  readonly relatesTo?: string | undefined
  readonly replyTo?: string | undefined
  /** Of the reference that it goes to. */
  readonly parameters?: readonly XmlElement[]
}

/** Writes addressing headers, with the prefix `a`, which the envelope declares. */
export function writeAddressing(lines: AddressingLines): string {
  const { version, action, messageId, relatesTo, replyTo, parameters } = lines
  const names = addressingNames[version]
  let text = `<a:Action>${escapeText(action)}</a:Action><a:MessageID>${escapeText(messageId)}</a:MessageID>`
  text += `<a:To>${escapeText(lines.to ?? names.anonymous)}</a:To>`
  if (relatesTo !== undefined) text += `<a:RelatesTo>${escapeText(relatesTo)}</a:RelatesTo>`
  if (replyTo !== undefined) text += `<a:ReplyTo><a:Address>${escapeText(replyTo)}</a:Address></a:ReplyTo>`
  for (const parameter of parameters ?? []) text += String(version === '1.0' ? marked(parameter, names) : parameter)
  return text
}

/** A reference parameter says, in version 1.0, that it is one. */
function marked(parameter: XmlElement, names: AddressingNames): XmlElement {
  const copy = new XmlElement(
    parameter.namespace,
    parameter.name,
    [...parameter.attributes, { namespace: names.namespace, name: 'IsReferenceParameter', value: 'true' }],
    parameter.parent,
    parameter.declarations,
  )
  for (const child of parameter.children) copy.append(child)
  return copy
}
