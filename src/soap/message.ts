import type { Addressing } from './addressing.ts'
import type { SoapFault } from './fault.ts'
import type { Attachment } from './framing/framing.ts'
import type { SoapVersion } from './names.ts'
import type { XmlElement } from './xml/element.ts'

/** A message that was received. It never changes. */
export interface SoapMessage<Value = XmlElement | undefined> {
  readonly version: SoapVersion
  readonly action: string
  readonly addressing: Addressing
  /** All header blocks. */
  readonly headers: readonly XmlElement[]
  /** The first element of the body. */
  readonly body: XmlElement | undefined
  /** All elements of the body. */
  readonly bodies: readonly XmlElement[]
  /** What the processor's schema has made of the body; without one, the body. */
  readonly value: Value
  /** The fault that it brings, if it is one. */
  readonly fault: SoapFault | undefined
  readonly attachments: readonly Attachment[]
}

/** A message to be sent. */
export interface SoapOutgoing {
  /** What the receiver is to do with it. @default the body's namespace and name, with a slash between, or the request's with `Response` */
  action?: string
  /** @default an empty one */
  body?: XmlElement | readonly XmlElement[]
  /** Header blocks besides those of addressing. @default none */
  headers?: readonly XmlElement[]
  /** @default none */
  attachments?: readonly Attachment[]
}

/** The action that a message has if none is given. */
export function actionOf(outgoing: SoapOutgoing): string | undefined {
  if (outgoing.action !== undefined) return outgoing.action
  const body = bodiesOf(outgoing)[0]
  return body === undefined ? undefined : `${body.namespace}/${body.name}`
}

/** The elements of a body that is to be sent. */
export function bodiesOf({ body }: SoapOutgoing): readonly XmlElement[] {
  if (body === undefined) return []
  return Array.isArray(body) ? (body as readonly XmlElement[]) : [body as XmlElement]
}
