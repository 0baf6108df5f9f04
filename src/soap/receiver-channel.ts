import type { Deadlines } from '../admission/deadlines.ts'
import type { Connection } from '../core/connection.ts'
import { isPromiseLike } from '../lifetime/owned.ts'
import { AcceptedPeer } from './accepted-peer.ts'
import { AddressingRejection, addressingNames } from './addressing.ts'
import { NmfRejection } from './framing/nmf-decoder.ts'
import { refusedMessage } from './incoming.ts'
import { actionOf, type SoapMessage, type SoapOutgoing } from './message.ts'
import { type Voice, voiceOf, writeMessage } from './outgoing.ts'
import type { SoapAnswer } from './processors.ts'
import type { ReceiverScope } from './receiver.ts'
import { Rejection, type RejectionReason } from './rejection.ts'
import { pathOf } from './soap-address.ts'
import { XmlElement } from './xml/element.ts'

/** Who sends to a receiver: one connection. */
export interface SoapPeer {
  /** Unique in the process. */
  readonly id: string
  readonly remoteAddress: string | undefined
  /** Sends a message back over the connection; false asks to wait, or says that it is gone. */
  send(message: SoapOutgoing | XmlElement): boolean
  /** Reads nothing more from it until `resume`. */
  pause(): void
  resume(): void
  /** It may be silent for as long as it likes from now on. */
  keep(): void
  /** Ends the connection. */
  abort(): void
}

/** A connection that somebody has made to a receiver. */
export class ReceiverChannel extends AcceptedPeer implements SoapPeer {
  readonly understands: ((header: XmlElement) => boolean) | undefined
  readonly roles: readonly string[] | undefined
  readonly #scope: ReceiverScope
  #paused = false
  #kept = false
  #voice: Voice = { version: '1.2', addressing: '1.0' }

  constructor(client: Connection, scope: ReceiverScope) {
    super(client, scope.limits, scope.framings)
    this.#scope = scope
    this.understands = scope.understands
    this.roles = scope.roles
  }

  get remoteAddress(): string | undefined {
    return this.client.remoteAddress
  }

  send(message: SoapOutgoing | XmlElement): boolean {
    const outgoing = message instanceof XmlElement ? { body: message } : message
    const letter = { action: actionOf(outgoing) ?? '' }
    return this.wire.send(this.#voice.version, writeMessage(this.#voice, outgoing, letter), outgoing.attachments)
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#readOn()
  }

  keep(): void {
    this.#kept = true
  }

  checkVia(via: string): void {
    const path = pathOf(via)
    if (path === undefined || this.#scope.find(path) === undefined) {
      throw new NmfRejection('EndpointNotFound', 'nobody is at that address', 'destination')
    }
  }

  override wireReady(): void {
    this.#readOn()
  }

  received(message: SoapMessage): boolean {
    this.#voice = voiceOf(message)
    try {
      const answer = this.#receiverOf(message)(message, this)
      if (isPromiseLike(answer)) {
        this.workBegan()
        answer.then(
          (given) => this.#finished(message, given ?? undefined),
          (error: unknown) => this.#finished(message, undefined, error),
        )
      } else if (answer !== undefined) this.answer(message, answer)
    } catch (error) {
      if (error instanceof Rejection) this.refused(refusedMessage(message, error))
      else this.answerFailure(message, error)
    }
    return this.#readsOn
  }

  get #readsOn(): boolean {
    return !this.#paused && this.busy < this.#scope.maxPending && !this.wire.full
  }

  #readOn(): void {
    if (this.#readsOn) this.wire.resume()
  }

  #receiverOf({ addressing }: SoapMessage): NonNullable<ReturnType<ReceiverScope['find']>> {
    const { to, version, messageId } = addressing
    const anywhere = to === undefined || to === addressingNames[version].anonymous
    const receive = anywhere ? this.#scope.only() : this.#scope.find(pathOf(to) ?? '')
    if (receive !== undefined) return receive
    throw new AddressingRejection(version, 'DestinationUnreachable', 'nobody is at that address', {
      problem: 'To',
      messageId,
    })
  }

  #finished(message: SoapMessage, answer: SoapAnswer | undefined, error?: unknown): void {
    try {
      if (error !== undefined) this.answerFailure(message, error)
      else if (answer !== undefined) this.answer(message, answer)
    } catch (failure) {
      this.answerFailure(message, failure)
    }
    this.workEnded()
    this.#readOn()
  }

  protected override rejected(reason: RejectionReason, detail: string): void {
    this.#scope.rejected(reason, this.client.remoteAddress, detail)
  }

  protected override deadlines(deadlines: Deadlines): void {
    const { clientIdleTimeout, maxSessionAge } = this.timeouts
    const { since, lastIn, lastOut, stalled } = this.client
    const { idleTimeout, messageTimeout } = this.#scope
    deadlines.offer(since, maxSessionAge, 'session-age')
    if (!this.#paused && !this.#kept) deadlines.offer(Math.max(since, lastIn, lastOut), idleTimeout, 'stale')
    if (this.wire.partSince > 0) deadlines.offer(this.wire.partSince, messageTimeout, 'message')
    if (stalled) deadlines.offer(lastOut, clientIdleTimeout, 'client-idle')
    for (const timeout of [idleTimeout, messageTimeout, clientIdleTimeout]) deadlines.mayBegin(timeout)
  }
}
