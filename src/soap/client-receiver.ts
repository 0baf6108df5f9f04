import { randomBytes } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { isXpsError } from '../errors.ts'
import type { ClientCallBackOptions } from './client-options.ts'
import { answerChallenge, type CallBackWish, sessionActions } from './login/login-messages.ts'
import type { SoapMessage, SoapOutgoing } from './message.ts'
import { SoapReceiver, type SoapReceiverOptions } from './receiver.ts'
import type { SoapPeer } from './receiver-channel.ts'
import { readSoapAddress } from './soap-address.ts'
import type { XmlElement } from './xml/element.ts'

/** How long who connects may take to prove that it is the server, in milliseconds. */
const proofTimeout = 10_000
/** Those who have not proven it count as well. */
const mostConnections = 16

/** Where a client listens for its server, and believes nobody else: only the server knows the key of the login. */
export class ClientReceiver {
  readonly #sessionId: string
  readonly #key = randomBytes(32)
  readonly #received: (message: SoapMessage) => boolean
  #receiver: SoapReceiver | undefined
  #server: SoapPeer | undefined

  /** `received` is given what the server sends; false holds the next ones up until {@link resume}. */
  constructor(sessionId: string, received: (message: SoapMessage) => boolean) {
    this.#sessionId = sessionId
    this.#received = received
  }

  /** Starts to listen; whoever calls owns what it resolves to. */
  async open(
    { port = 0, host = 'localhost', path = '/', tls }: ClientCallBackOptions,
    limits: SoapReceiverOptions,
    clock: Clock,
  ): Promise<SoapReceiver> {
    const address = `soap.tcp://${host.includes(':') ? `[${host}]` : host}:${port}${path}`
    this.#receiver = await SoapReceiver.open(address, (message, peer) => this.#called(message, peer), {
      ...limits,
      clock,
      maxConnections: mostConnections,
      idleTimeout: proofTimeout,
      ...(tls === undefined ? {} : { tls }),
    })
    return this.#receiver
  }

  /** Its address, where answers may be sent to. */
  get address(): string | undefined {
    return this.#receiver?.address
  }

  /** What the server is told of it. */
  get wish(): CallBackWish | undefined {
    if (this.#receiver === undefined) return undefined
    const { port, address } = this.#receiver
    return { port, path: readSoapAddress(address)?.path ?? '/', key: this.#key }
  }

  /** Goes on to read. */
  resume(): void {
    this.#server?.resume()
  }

  #called(message: SoapMessage, peer: SoapPeer): SoapOutgoing | undefined {
    if (peer === this.#server) {
      if (!this.#received(message)) peer.pause()
      return undefined
    }
    const proof = this.#proofFor(message)
    if (proof === undefined) {
      peer.abort()
      return undefined
    }
    this.#server = peer
    peer.keep()
    return { action: sessionActions.proof, body: proof }
  }

  #proofFor({ action, body }: SoapMessage): XmlElement | undefined {
    if (action !== sessionActions.challenge || body === undefined) return undefined
    try {
      return answerChallenge(body, this.#sessionId, this.#key)
    } catch (error) {
      if (isXpsError(error, 'XPS_PROTOCOL')) return undefined
      throw error
    }
  }
}
