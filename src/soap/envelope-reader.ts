import { notUnderstoodHeader, upgradeHeader } from './envelope-writer.ts'
import { type FaultCode, SoapFault } from './fault.ts'
import { envelopeNamespaces, type QName, type SoapVersion, versionOf } from './names.ts'
import { Rejection } from './rejection.ts'
import type { XmlElement } from './xml/element.ts'

/** An envelope, taken apart. */
export interface Envelope {
  readonly version: SoapVersion
  readonly headers: readonly XmlElement[]
  readonly bodies: readonly XmlElement[]
}

/** Takes an envelope apart. Throws a {@link Rejection} for what is none, or is of another version. */
export function readEnvelope(root: XmlElement): Envelope {
  const version = versionOf(root.namespace)
  if (root.name !== 'Envelope') throw malformed('the root is no Envelope')
  if (version === undefined) {
    const message = 'the version of the envelope is not known'
    throw new Rejection('version', message, new SoapFault('VersionMismatch', message, { headers: [upgradeHeader()] }))
  }
  let header: XmlElement | undefined
  let body: XmlElement | undefined
  for (const part of root.children) {
    if (typeof part === 'string') throw malformed('text in the Envelope')
    if (body !== undefined) {
      // SOAP 1.1 lets elements follow, of any namespace but none.
      if (version === '1.2' || part.namespace === '' || part.namespace === root.namespace) {
        throw malformed('something after the Body')
      }
    } else if (part.is('Body', root.namespace)) body = part
    else if (part.is('Header', root.namespace) && header === undefined) header = part
    else throw malformed(`${part.name} in the Envelope`)
  }
  if (body === undefined) throw malformed('there is no Body')
  if (version === '1.2') for (const part of [root, header, body]) refuseEncoding(part)
  return { version, headers: header === undefined ? none : blocksOf(header, true), bodies: blocksOf(body, false) }
}

const none: readonly never[] = []

function blocksOf(part: XmlElement, qualified: boolean): readonly XmlElement[] {
  const blocks = part.elements
  if (blocks.length < part.children.length) throw malformed(`text in the ${part.name}`)
  if (qualified && blocks.some((block) => block.namespace === '')) throw malformed('a header block of no namespace')
  return blocks
}

function refuseEncoding(part: XmlElement | undefined): void {
  if (part?.attribute('encodingStyle', part.namespace) !== undefined) throw malformed(`encodingStyle on ${part.name}`)
}

function malformed(what: string): Rejection {
  return new Rejection('envelope', what, new SoapFault('Sender', `the envelope is malformed: ${what}`))
}

/** The roles that every receiver plays. */
const roles: Readonly<Record<SoapVersion, readonly string[]>> = {
  '1.1': ['http://schemas.xmlsoap.org/soap/actor/next'],
  '1.2': [`${envelopeNamespaces['1.2']}/role/next`, `${envelopeNamespaces['1.2']}/role/ultimateReceiver`],
}

/**
 * Checks that each header block is understood that must be, before anything is done. Throws a {@link Rejection} with all
 * that are not.
 */
export function checkUnderstood(
  { version, headers }: Envelope,
  understands: (block: XmlElement) => boolean,
  ownRoles: readonly string[] = none,
): void {
  let foreign: QName[] | undefined
  for (const block of headers) {
    if (!isMandatory(version, block) || !isForUs(version, block, ownRoles) || understands(block)) continue
    foreign ??= []
    foreign.push(block)
  }
  if (foreign === undefined) return
  const message = `mandatory header blocks are not understood: ${foreign.map(({ name }) => name).join(', ')}`
  const headersOfFault = version === '1.2' ? foreign.map(notUnderstoodHeader) : []
  throw new Rejection('must-understand', message, new SoapFault('MustUnderstand', message, { headers: headersOfFault }))
}

function isMandatory(version: SoapVersion, block: XmlElement): boolean {
  if (block.attributes.length === 0) return false
  const given = block.attribute('mustUnderstand', envelopeNamespaces[version])?.trim()
  if (given === undefined || given === '0') return false
  if (given === '1') return true
  if (version === '1.2' && (given === 'true' || given === 'false')) return given === 'true'
  throw malformed('mustUnderstand that is neither true nor false')
}

function isForUs(version: SoapVersion, block: XmlElement, ownRoles: readonly string[]): boolean {
  const role = block.attribute(version === '1.2' ? 'role' : 'actor', envelopeNamespaces[version])?.trim()
  return role === undefined || role === '' || roles[version].includes(role) || ownRoles.includes(role)
}

/** Reads the fault that a body brings; undefined if it brings none. */
export function readFault({ version, headers, bodies }: Envelope): SoapFault | undefined {
  const [element] = bodies
  if (element === undefined || !element.is('Fault', envelopeNamespaces[version])) return undefined
  return version === '1.2' ? readFault12(element, headers) : readFault11(element, headers)
}

function readFault12(element: XmlElement, headers: readonly XmlElement[]): SoapFault {
  const namespace = envelopeNamespaces['1.2']
  const code = element.child('Code', namespace)
  const value = qnameOf(code?.child('Value', namespace))
  const subcodes: QName[] = []
  for (let at = code?.child('Subcode', namespace); at !== undefined; at = at.child('Subcode', namespace)) {
    const subcode = qnameOf(at.child('Value', namespace))
    if (subcode !== undefined) subcodes.push(subcode)
  }
  const texts = element.child('Reason', namespace)?.all('Text', namespace) ?? []
  const english = texts.find((text) =>
    /^en\b/.test(text.attribute('lang', 'http://www.w3.org/XML/1998/namespace') ?? ''),
  )
  const role = element.child('Role', namespace)?.text.trim()
  return new SoapFault(codes.get(value?.name ?? '') ?? 'Receiver', (english ?? texts[0])?.text ?? 'a fault', {
    subcodes,
    detail: element.child('Detail', namespace)?.elements ?? [],
    headers,
    origin: 'upstream',
    ...(role === undefined ? {} : { role }),
  })
}

function readFault11(element: XmlElement, headers: readonly XmlElement[]): SoapFault {
  const given = qnameOf(element.child('faultcode'))
  const [first = ''] = (given?.name ?? '').split('.')
  const known = given?.namespace === envelopeNamespaces['1.1'] || given?.namespace === '' ? codes.get(first) : undefined
  const role = element.child('faultactor')?.text.trim()
  return new SoapFault(known ?? 'Sender', element.child('faultstring')?.text ?? 'a fault', {
    subcodes: given === undefined || (known !== undefined && first === given.name) ? [] : [given],
    detail: element.child('detail')?.elements ?? [],
    headers,
    origin: 'upstream',
    ...(role === undefined ? {} : { role }),
  })
}

const codes = new Map<string, FaultCode>([
  ['VersionMismatch', 'VersionMismatch'],
  ['MustUnderstand', 'MustUnderstand'],
  ['DataEncodingUnknown', 'DataEncodingUnknown'],
  ['Sender', 'Sender'],
  ['Client', 'Sender'],
  ['Receiver', 'Receiver'],
  ['Server', 'Receiver'],
])

function qnameOf(element: XmlElement | undefined): QName | undefined {
  if (element === undefined) return undefined
  const text = element.text.trim()
  const colon = text.indexOf(':')
  const prefix = colon < 0 ? '' : text.slice(0, colon)
  return { namespace: element.resolve(prefix) ?? '', name: text.slice(colon + 1) }
}
