import { randomUUID } from 'node:crypto'
import type { AddressingVersion, EndpointReference } from './addressing.ts'
import { addressingNames } from './addressing.ts'
import { writeBody, writeEnvelope, writeFault } from './envelope-writer.ts'
import type { SoapFault } from './fault.ts'
import type { Refused } from './incoming.ts'
import { bodiesOf, type SoapMessage, type SoapOutgoing } from './message.ts'
import { type SoapVersion, sessionNamespace } from './names.ts'
import type { XmlElement } from './xml/element.ts'

/** A name for a message that no other has. */
export function newMessageId(): string {
  return `urn:uuid:${randomUUID()}`
}

/** What a peer is spoken to in. */
export interface Voice {
  readonly version: SoapVersion
  readonly addressing: AddressingVersion
}

/** What the sender of a message is answered in. */
export function voiceOf(message: SoapMessage): Voice {
  return { version: message.version, addressing: message.addressing.version }
}

/** What is known of a message besides what it says. */
export interface Letter {
  readonly action: string
  readonly messageId?: string
  readonly to?: string | undefined
  readonly relatesTo?: string | undefined
  readonly replyTo?: string | undefined
  readonly parameters?: readonly XmlElement[] | undefined
  /** A header block that is written already. */
  readonly header?: string | undefined
}

const none: readonly never[] = []

/** The envelope of a message. */
export function writeMessage({ version, addressing }: Voice, outgoing: SoapOutgoing, letter: Letter): string {
  const { header, parameters, ...rest } = letter
  const given = outgoing.headers ?? none
  const headers = header === undefined ? given : [header, ...given]
  const lines = { ...rest, version: addressing, messageId: letter.messageId ?? newMessageId() }
  return writeEnvelope(
    version,
    parameters === undefined ? lines : { ...lines, parameters },
    headers,
    writeBody(bodiesOf(outgoing)),
  )
}

/** The envelope of an answer's fault. */
export function writeFaultMessage(voice: Voice, fault: SoapFault, letter: Omit<Letter, 'action'>): string {
  const names = addressingNames[voice.addressing]
  const aboutAddressing = fault.subcodes.some(({ namespace }) => namespace === names.namespace)
  return writeEnvelope(
    voice.version,
    {
      version: voice.addressing,
      action: aboutAddressing ? names.faultAction : names.soapFaultAction,
      messageId: newMessageId(),
      to: letter.to,
      relatesTo: letter.relatesTo,
      ...(letter.parameters === undefined ? {} : { parameters: letter.parameters }),
    },
    fault.faultHeaders,
    writeFault(voice.version, fault),
  )
}

/** The envelope that tells the sender of a message why it was not taken; undefined if nothing is to be said. */
export function writeRefusal({
  rejection,
  version,
  addressing,
  messageId,
  faultTo,
  isFault,
}: Refused): string | undefined {
  const { fault } = rejection
  if (isFault || fault === undefined || isNone(faultTo, addressing)) return undefined
  return writeFaultMessage({ version, addressing }, fault, { relatesTo: messageId })
}

/** Whether an address says that nothing is to be sent. */
export function isNone(address: string | undefined, addressing: AddressingVersion): boolean {
  return address !== undefined && address === addressingNames[addressing].none
}

/** Whether an answer goes over the connection that the request came on. */
export function isAnonymous(reference: EndpointReference, addressing: AddressingVersion): boolean {
  return reference.address === addressingNames[addressing].anonymous
}

/** A name for what is wrong, in our own namespace. */
export function ownSubcode(name: string): { namespace: string; name: string } {
  return { namespace: sessionNamespace, name }
}
