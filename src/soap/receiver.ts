import type { Clock } from '../clock.ts'
import { Core } from '../core/core.ts'
import { Living } from '../core/living.ts'
import type { ListenerTlsOptions } from '../core/tls/listener-tls.ts'
import type { XpsError } from '../errors.ts'
import { durationOption, integerOption, invalidOption, knownOptions } from '../options.ts'
import type { FramingName } from './framing/framing.ts'
import { type SoapLimitOptions, type SoapLimits, soapLimitNames, soapLimits } from './limits.ts'
import type { SoapMessage } from './message.ts'
import type { SoapAnswer } from './processors.ts'
import { ReceiverChannel, type SoapPeer } from './receiver-channel.ts'
import type { RejectionReason } from './rejection.ts'
import { framingsOption } from './server-options.ts'
import { parseSoapAddress, type SoapAddress, samePath } from './soap-address.ts'
import type { XmlElement } from './xml/element.ts'

/** What is called with each message that a receiver gets; an answer is sent back over the same connection. */
export type Receive = (
  message: SoapMessage,
  peer: SoapPeer,
  // biome-ignore lint/suspicious/noConfusingVoidType: what gives no answer need not say so
) => SoapAnswer | undefined | void | Promise<SoapAnswer | undefined | void>

/** Options of a {@link SoapReceiver}. */
export interface SoapReceiverOptions extends SoapLimitOptions {
  /** How messages may be framed. @default ['dime', 'nmf'] */
  framings?: readonly FramingName[]
  /** Whether a header block is understood that must be. @default none but those of addressing and sessions are */
  understands?: (header: XmlElement) => boolean
  /** URIs of roles that it plays, besides those of every receiver. @default none */
  roles?: readonly string[]
  /** How long a connection may be silent, in milliseconds; 0 for ever. @default 120000 */
  idleTimeout?: number
  /** From the first byte of a message to its last, in milliseconds; 0 for ever. @default 90000 */
  messageTimeout?: number
  /** Connections at a time; who comes then waits. @default 1000 */
  maxConnections?: number
  /** Messages of one connection that are worked on at a time; the next ones wait. @default 100 */
  maxPending?: number
  /** Encrypts the connections; see `docs/tls.md`. @default plain text */
  tls?: ListenerTlsOptions
  /** @default the machine's */
  clock?: Clock
}

/** What happens to a {@link SoapReceiver}. */
export interface SoapReceiverEvents {
  /** Something that was sent to it was not taken. */
  rejected: [reason: RejectionReason, address: string | undefined, detail: string]
  /** Code of the host failed; `XPS_FAULT` with the cause. */
  fault: [error: XpsError]
  /** Told once and last, when nothing of it is left. */
  close: [error: XpsError | undefined]
}

/** What the connections of a receiver have in common. */
export interface ReceiverScope {
  readonly limits: SoapLimits
  readonly framings: readonly FramingName[]
  readonly understands: ((header: XmlElement) => boolean) | undefined
  readonly roles: readonly string[] | undefined
  readonly idleTimeout: number
  readonly messageTimeout: number
  readonly maxPending: number
  find(path: string): Receive | undefined
  /** The receiver for messages that do not say where they go to: the only one, if there is one. */
  only(): Receive | undefined
  rejected(reason: RejectionReason, address: string | undefined, detail: string): void
}

const names = [
  'framings',
  'understands',
  'roles',
  'idleTimeout',
  'messageTimeout',
  'maxConnections',
  'maxPending',
  'tls',
  'clock',
  ...soapLimitNames,
]

/**
 * Listens at a `soap.tcp:` address and is given each message that is sent to it, by whomever: there is no login. Several
 * may share the port, with a path each.
 *
 * `localhost` binds to the loopback only, an IP address to that address, and any other name to all addresses.
 */
export class SoapReceiver extends Living<SoapReceiverEvents> {
  readonly #core: Core
  readonly #where: SoapAddress
  readonly #paths: [path: string, receive: Receive][]
  #port = 0

  private constructor(where: SoapAddress, receive: Receive, options: SoapReceiverOptions) {
    super()
    this.#where = where
    this.#paths = [[where.path, receive]]
    this.#core = new Core(options.clock === undefined ? {} : { clock: options.clock })
    this.adopt(this.#core)
    this.#core.on('fault', (error) => this.fault(error))
  }

  /** Starts to listen; port 0 is a free one, and without a port it is 8081. Rejects with `XPS_LISTEN`. */
  static async open(address: string, receive: Receive, options: SoapReceiverOptions = {}): Promise<SoapReceiver> {
    knownOptions('receiver options', options, names)
    const where = parseSoapAddress('address', address)
    const receiver = new SoapReceiver(where, checkReceive(receive), options)
    const scope = receiver.#scope(options)
    const host = hostToBind(where.host)
    const { tls } = options
    const maxConnections = integerOption('maxConnections', options.maxConnections, 1_000, { min: 1, max: 1_000_000 })
    try {
      const listener = await receiver.#core.listen({
        port: where.port,
        ...(host === undefined ? {} : { host }),
        ...(tls === undefined ? {} : { tls }),
        maxConnections,
        protocol: (client) => new ReceiverChannel(client, scope),
      })
      receiver.#port = listener.port
      receiver.opened()
      return receiver
    } catch (error) {
      receiver.abort(error)
      throw error
    }
  }

  /** The port that it listens on. */
  get port(): number {
    return this.#port
  }

  /** Its address, with the port that it listens on. */
  get address(): string {
    const { host, path } = this.#where
    return `soap.tcp://${host.includes(':') ? `[${host}]` : host}:${this.#port}${path === '/' ? '' : path}`
  }

  /** Gives messages to another path to somebody else. Throws `XPS_INVALID_OPTION` for a path that is taken. */
  add(path: string, receive: Receive): void {
    if (!/^\/[^?#\s]*$/.test(path) || this.#find(path) !== undefined) {
      throw invalidOption('path', path, 'a path such as /ticks that is not taken')
    }
    this.#paths.push([path, checkReceive(receive)])
  }

  /** Takes messages to a path no more. */
  remove(path: string): void {
    const index = this.#paths.findIndex(([one]) => samePath(one, path))
    if (index >= 0) this.#paths.splice(index, 1)
  }

  protected override onDrain(): void {
    this.finishWithChildren()
  }

  protected override onFault(fault: XpsError): boolean {
    return this.emit('fault', fault)
  }

  protected override onClosed(error: XpsError | undefined): void {
    this.emit('close', error)
  }

  #find(path: string): Receive | undefined {
    return this.#paths.find(([one]) => samePath(one, path))?.[1]
  }

  #scope(options: SoapReceiverOptions): ReceiverScope {
    return {
      limits: soapLimits(options),
      framings: framingsOption(options.framings),
      understands: options.understands,
      roles: options.roles,
      idleTimeout: durationOption('idleTimeout', options.idleTimeout, 120_000, true),
      messageTimeout: durationOption('messageTimeout', options.messageTimeout, 90_000, true),
      maxPending: integerOption('maxPending', options.maxPending, 100, { min: 1, max: 1_000_000 }),
      find: (path) => this.#find(path),
      only: () => (this.#paths.length === 1 ? this.#paths[0]?.[1] : undefined),
      rejected: (reason, address, detail) => void this.emit('rejected', reason, address, detail),
    }
  }
}

function checkReceive(receive: Receive): Receive {
  if (typeof receive !== 'function') throw invalidOption('receive', receive, 'a function')
  return receive
}

/** Where to listen; undefined for all addresses. */
function hostToBind(host: string): string | undefined {
  if (host.toLowerCase() === 'localhost') return '127.0.0.1'
  return /^[\d.]+$/.test(host) || host.includes(':') ? host : undefined
}
