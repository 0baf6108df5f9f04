import {
  type Addressing,
  AddressingRejection,
  type AddressingVersion,
  addressingVersionOf,
  readAddressing,
} from './addressing.ts'
import { checkUnderstood, type Envelope, readEnvelope, readFault } from './envelope-reader.ts'
import { SoapFault } from './fault.ts'
import type { Attachment } from './framing/framing.ts'
import type { SoapMessage } from './message.ts'
import { type SoapVersion, sessionNamespace, versionOf } from './names.ts'
import { Rejection } from './rejection.ts'
import type { XmlElement } from './xml/element.ts'

/** What a receiver understands besides addressing and sessions. */
export interface Understanding {
  /** Whether it knows a header block that must be understood. */
  readonly understands?: ((header: XmlElement) => boolean) | undefined
  /** URIs of roles that it plays besides those of every receiver. */
  readonly roles?: readonly string[] | undefined
}

/** What is known of a message that is not taken: enough to tell its sender. */
export interface Refused {
  readonly rejection: Rejection
  readonly version: SoapVersion
  readonly addressing: AddressingVersion
  readonly messageId: string | undefined
  readonly faultTo: string | undefined
  /** It brings a fault: nothing is answered. */
  readonly isFault: boolean
}

/** Makes a message of an envelope's XML, or says why it is none. */
export function readMessage(
  root: XmlElement,
  attachments: readonly Attachment[],
  framed: SoapVersion | undefined,
  understanding: Understanding,
): SoapMessage | Refused {
  let envelope: Envelope
  try {
    envelope = readEnvelope(root)
  } catch (error) {
    return refusedUnread(asRejection(error), framed)
  }
  const fault = readFault(envelope)
  let addressing: Addressing | undefined
  let misaddressed: AddressingRejection | undefined
  try {
    addressing = readAddressing(envelope.headers)
  } catch (error) {
    if (!(error instanceof AddressingRejection)) throw error
    misaddressed = error
  }
  const refused = (rejection: Rejection): Refused => ({
    rejection,
    version: envelope.version,
    addressing: addressing?.version ?? misaddressed?.version ?? '1.0',
    messageId: addressing?.messageId ?? misaddressed?.messageId,
    faultTo: (addressing?.faultTo ?? addressing?.replyTo)?.address,
    isFault: fault !== undefined,
  })
  try {
    checkUnderstood(
      envelope,
      (block) => isKnown(block) || understanding.understands?.(block) === true,
      understanding.roles,
    )
  } catch (error) {
    return refused(asRejection(error))
  }
  if (misaddressed !== undefined) return refused(misaddressed)
  if (addressing === undefined) {
    return refused(new AddressingRejection('1.0', 'required', 'there is no Action', { problem: 'Action' }))
  }
  const [body] = envelope.bodies
  return {
    version: envelope.version,
    action: addressing.action,
    addressing,
    headers: envelope.headers,
    body,
    bodies: envelope.bodies,
    value: body,
    fault,
    attachments,
  }
}

/**
 * Of what could not even be read as XML. Its headers may have come before what is wrong with it, and say what the fault is
 * an answer to; nothing else of them is believed.
 */
export function refusedUnread(rejection: Rejection, framed: SoapVersion | undefined, partial?: XmlElement): Refused {
  const fault = rejection.fault ?? new SoapFault('Sender', `the message cannot be read: ${rejection.message}`)
  const version = partial === undefined ? undefined : versionOf(partial.namespace)
  return {
    rejection: new Rejection(rejection.reason, rejection.message, fault),
    version: version ?? framed ?? '1.1',
    ...addressedBy(version === undefined ? undefined : partial?.child('Header', partial.namespace)),
    isFault: version !== undefined && partial?.child('Body')?.child('Fault', partial.namespace) !== undefined,
  }
}

function addressedBy(header: XmlElement | undefined): Pick<Refused, 'addressing' | 'messageId' | 'faultTo'> {
  try {
    const addressing = header === undefined ? undefined : readAddressing(header.elements)
    if (addressing !== undefined) {
      const { version, messageId, faultTo, replyTo } = addressing
      return { addressing: version, messageId, faultTo: (faultTo ?? replyTo)?.address }
    }
  } catch (error) {
    if (!(error instanceof AddressingRejection)) throw error
  }
  return { addressing: '1.0', messageId: undefined, faultTo: undefined }
}

/** A message that could be read, and is not taken all the same. */
export function refusedMessage(message: SoapMessage, rejection: Rejection): Refused {
  const { version, messageId, faultTo, replyTo } = message.addressing
  return {
    rejection,
    version: message.version,
    addressing: version,
    messageId,
    faultTo: (faultTo ?? replyTo)?.address,
    isFault: message.fault !== undefined,
  }
}

/** What is no rejection was thrown by a function of the host's; the sender is not told more than that. */
function asRejection(error: unknown): Rejection {
  if (error instanceof Rejection) return error
  const message = 'the message could not be processed'
  return new Rejection('processor', message, new SoapFault('Receiver', message), { cause: error })
}

function isKnown(block: XmlElement): boolean {
  return block.namespace === sessionNamespace || addressingVersionOf(block.namespace) !== undefined
}
