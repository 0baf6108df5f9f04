import { type AddressingLines, addressingNames, writeAddressing } from './addressing.ts'
import type { FaultCode, SoapFault } from './fault.ts'
import { envelopeNamespaces, type QName, type SoapVersion } from './names.ts'
import { XmlElement } from './xml/element.ts'
import { escapeAttribute, escapeText } from './xml/writer.ts'

/** Writes an envelope: its prefix is `s`, that of addressing is `a`. */
export function writeEnvelope(
  version: SoapVersion,
  addressing: AddressingLines,
  headers: readonly (XmlElement | string)[],
  body: string,
): string {
  let text = opening(version, addressing.version)
  text += writeAddressing(addressing)
  for (const header of headers) text += String(header)
  return `${text}</s:Header><s:Body>${body}</s:Body></s:Envelope>`
}

/** Writes elements one after the other. */
export function writeBody(elements: readonly XmlElement[]): string {
  if (elements.length === 1) return (elements[0] as XmlElement).toString()
  return elements.join('')
}

const openings = new Map<string, string>()

function opening(version: SoapVersion, addressing: AddressingLines['version']): string {
  const key = `${version} ${addressing}`
  let text = openings.get(key)
  if (text === undefined) {
    const [s, a] = [envelopeNamespaces[version], addressingNames[addressing].namespace]
    text = `<s:Envelope xmlns:s="${s}" xmlns:a="${a}"><s:Header>`
    openings.set(key, text)
  }
  return text
}

const codes11: Readonly<Record<FaultCode, string>> = {
  VersionMismatch: 'VersionMismatch',
  MustUnderstand: 'MustUnderstand',
  DataEncodingUnknown: 'Client',
  Sender: 'Client',
  Receiver: 'Server',
}

/** Writes the body of a fault, in the words of the version. */
export function writeFault(version: SoapVersion, fault: SoapFault): string {
  return version === '1.2' ? writeFault12(fault) : writeFault11(fault)
}

function writeFault12(fault: SoapFault): string {
  let code = `<s:Code><s:Value>s:${fault.faultCode}</s:Value>`
  for (const subcode of fault.subcodes) code += `<s:Subcode>${qualified('s:Value', subcode)}`
  code += `${'</s:Subcode>'.repeat(fault.subcodes.length)}</s:Code>`
  const reason = `<s:Reason><s:Text xml:lang="en">${escapeText(fault.message)}</s:Text></s:Reason>`
  const role = fault.role === undefined ? '' : `<s:Role>${escapeText(fault.role)}</s:Role>`
  const detail = fault.detail.length === 0 ? '' : `<s:Detail>${fault.detail.join('')}</s:Detail>`
  return `<s:Fault>${code}${reason}${role}${detail}</s:Fault>`
}

/** SOAP 1.1 has one code: the most exact that there is. */
function writeFault11(fault: SoapFault): string {
  const exact = fault.subcodes.at(-1)
  const code =
    exact === undefined ? `<faultcode>s:${codes11[fault.faultCode]}</faultcode>` : qualified('faultcode', exact)
  const actor = fault.role === undefined ? '' : `<faultactor>${escapeText(fault.role)}</faultactor>`
  const detail = fault.detail.length === 0 ? '' : `<detail>${fault.detail.join('')}</detail>`
  return `<s:Fault>${code}<faultstring>${escapeText(fault.message)}</faultstring>${actor}${detail}</s:Fault>`
}

/** An element whose text is a qualified name. */
function qualified(element: string, { namespace, name }: QName): string {
  return `<${element} xmlns:q="${escapeAttribute(namespace)}">q:${escapeText(name)}</${element}>`
}

/** Says which versions there are, for who came with another. */
export function upgradeHeader(): XmlElement {
  const namespace = envelopeNamespaces['1.2']
  const upgrade = new XmlElement(namespace, 'Upgrade')
  for (const version of ['1.2', '1.1'] as const) {
    const qname = [{ namespace: '', name: 'qname', value: 'e:Envelope' }]
    upgrade.append(new XmlElement(namespace, 'SupportedEnvelope', qname, undefined, { e: envelopeNamespaces[version] }))
  }
  return upgrade
}

/** Says which header block was not understood. */
export function notUnderstoodHeader({ namespace, name }: QName): XmlElement {
  const qname = [{ namespace: '', name: 'qname', value: `q:${name}` }]
  return new XmlElement(envelopeNamespaces['1.2'], 'NotUnderstood', qname, undefined, { q: namespace })
}
