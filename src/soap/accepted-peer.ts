import { ClientSession, type ClientSessionEvents } from '../core/client-session.ts'
import type { Connection } from '../core/connection.ts'
import { XpsError } from '../errors.ts'
import type { FramingName } from './framing/framing.ts'
import type { Refused } from './incoming.ts'
import type { SoapLimits } from './limits.ts'
import type { SoapMessage, SoapOutgoing } from './message.ts'
import { isNone, voiceOf, writeFaultMessage, writeMessage, writeRefusal } from './outgoing.ts'
import { faultOf, type SoapAnswer } from './processors.ts'
import type { Rejection, RejectionReason } from './rejection.ts'
import type { Transport } from './session.ts'
import { Wire, type WireOwner } from './wire.ts'
import { XmlElement } from './xml/element.ts'

/** The bound of what is on its way to a client; a message is kept whole, so that this is about writes, not memory. */
const outputLimit = 512 * 1024

/** An accepted connection that speaks SOAP: what servers and receivers have in common. */
export abstract class AcceptedPeer extends ClientSession<ClientSessionEvents> implements WireOwner {
  readonly wire: Wire
  abstract readonly understands: ((header: XmlElement) => boolean) | undefined
  abstract readonly roles: readonly string[] | undefined
  /** Messages that are being worked on. */
  #busy = 0
  #inputEnded = false
  #ending: XpsError | undefined

  constructor(client: Connection, limits: SoapLimits, framings: readonly FramingName[]) {
    super(client)
    this.wire = new Wire(this, limits, framings)
  }

  /** Nothing is being worked on, nothing waits for the client, and no part of a message has come. */
  override get idle(): boolean {
    return this.#busy === 0 && this.wire.idle && this.wire.outbox.empty
  }

  /** How many of its messages are being worked on. */
  get busy(): number {
    return this.#busy
  }

  abstract received(message: SoapMessage): boolean
  abstract checkVia(via: string): void

  /** Something was not taken; called once for each such thing. */
  protected abstract rejected(reason: RejectionReason, detail: string): void

  time(): number {
    return this.client.time()
  }

  refused(refused: Refused): boolean {
    const { reason, message, cause } = refused.rejection
    this.rejected(reason, message)
    if (cause !== undefined) this.fault(cause)
    const envelope = writeRefusal(refused)
    return envelope === undefined || this.wire.send(refused.version, envelope)
  }

  broken(rejection: Rejection): void {
    this.rejected(rejection.reason, rejection.message)
    const code = rejection.reason === 'too-large' ? 'XPS_TOO_LARGE' : 'XPS_PROTOCOL'
    this.endWith(new XpsError(code, rejection.message, { origin: 'client', address: this.client.address }))
  }

  wireOpened(): void {}

  wireEnded(error: XpsError | undefined): void {
    this.#inputEnded = true
    if (error !== undefined) this.#ending ??= error
    if (this.#busy === 0 || error !== undefined) this.leave()
    else this.endedEarly()
  }

  /** The peer sends nothing more, and waits for answers. */
  protected endedEarly(): void {}

  wireReady(): void {
    this.wire.resume()
  }

  wireOverflowed(): void {
    this.rejected('slow-reader', 'more waits for the client than may')
    this.abort(new XpsError('XPS_BUSY', 'the client takes less than it is sent', { origin: 'client' }))
  }

  wireOver(error: XpsError | undefined): void {
    this.#ending ??= error
  }

  /** Work on a message begins; {@link workEnded} says that it is over. */
  protected workBegan(): void {
    this.#busy++
  }

  protected workEnded(): void {
    this.#busy--
    if (this.#busy === 0 && this.#inputEnded) this.leave()
    else if (this.phase === 'draining' && this.idle) this.finish()
  }

  /** Sends an answer to a message, to whom that asks for it; not to a fault, and not to who wants none. */
  protected answer(message: SoapMessage, answer: SoapAnswer, transport: Transport | undefined = this.wire): void {
    const { replyTo, version, messageId } = message.addressing
    if (message.fault !== undefined || isNone(replyTo?.address, version)) return
    const outgoing: SoapOutgoing = answer instanceof XmlElement ? { body: answer } : answer
    const envelope = writeMessage(voiceOf(message), outgoing, {
      action: outgoing.action ?? `${message.action}Response`,
      relatesTo: messageId,
      to: replyTo?.address,
      parameters: replyTo?.parameters,
    })
    transport?.send(message.version, envelope, outgoing.attachments)
  }

  /** Answers a message with the fault for what a processor, or anything of the host's, threw. */
  protected answerFailure(message: SoapMessage, error: unknown, transport: Transport | undefined = this.wire): void {
    const { fault, reason } = faultOf(error)
    if (reason !== undefined) this.rejected(reason, `${message.action}: ${fault.message}`)
    if (reason === 'processor') this.fault(error)
    const { faultTo, replyTo, version, messageId } = message.addressing
    const to = faultTo ?? replyTo
    if (message.fault !== undefined || isNone(to?.address, version)) return
    const letter = { relatesTo: messageId, to: to?.address, parameters: to?.parameters }
    transport?.send(message.version, writeFaultMessage(voiceOf(message), fault, letter))
  }

  /** Reads no more, sends what waits, and ends with the error. */
  protected endWith(error: XpsError | undefined): void {
    this.#ending ??= error
    this.wire.input.close()
    this.leave()
  }

  /** Sends what waits, and no more. */
  protected leave(): void {
    this.wire.end()
  }

  protected override onOpen(): void {
    this.pipe(this.client.source, this.wire.input)
    this.pipe(this.wire.outbox, this.client.sink, { limit: outputLimit })
  }

  /** It is over: what made it end is told, and not what that led to. */
  protected override finish(error?: XpsError): void {
    super.finish(this.reason(error))
  }

  /** What made it end, if that is known, or what it is told of now. */
  protected reason(error: XpsError | undefined): XpsError | undefined {
    return this.#ending ?? error
  }
}
