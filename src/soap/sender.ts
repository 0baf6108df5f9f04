import { type Clock, systemClock } from '../clock.ts'
import { Living } from '../core/living.ts'
import type { UpstreamTlsOptions } from '../core/tls/upstream-tls.ts'
import { Upstream } from '../core/upstream.ts'
import { XpsError } from '../errors.ts'
import { durationOption, invalidOption, knownOptions } from '../options.ts'
import { type AddressingVersion, addressingNames } from './addressing.ts'
import type { FramingName } from './framing/framing.ts'
import { type SoapLimitOptions, type SoapLimits, soapLimitNames, soapLimits } from './limits.ts'
import { type LinkOwner, SoapLink } from './link.ts'
import { actionOf, type SoapMessage, type SoapOutgoing } from './message.ts'
import type { SoapVersion } from './names.ts'
import { type Voice, writeMessage } from './outgoing.ts'
import { parseSoapAddress, type SoapAddress } from './soap-address.ts'
import { XmlElement } from './xml/element.ts'

/** How to speak with a peer that is dialled. */
export interface SoapDialOptions extends SoapLimitOptions {
  /** @default '1.2' */
  version?: SoapVersion
  /** The version of WS-Addressing: WSE speaks '2004/08'. @default '1.0' */
  addressing?: AddressingVersion
  /** @default 'dime' */
  framing?: FramingName
  /** How long connecting may take, in milliseconds. @default 5000 */
  connectTimeout?: number
  /** Encrypts the connection; see `docs/tls.md`. @default plain text */
  tls?: boolean | UpstreamTlsOptions
  /** @default the machine's */
  clock?: Clock
}

/** Options of a {@link SoapSender}. */
export interface SoapSenderOptions extends SoapDialOptions {}

/** The names of the options of {@link SoapDialOptions}. */
export const dialNames: readonly string[] = [
  'version',
  'addressing',
  'framing',
  'connectTimeout',
  'tls',
  'clock',
  ...soapLimitNames,
]

/** What happens to a {@link SoapSender}. */
export interface SoapSenderEvents {
  /** The receiver has sent something back: an answer or a fault. */
  message: [message: SoapMessage]
  close: [error: XpsError | undefined]
}

/** Somewhere that is dialled for SOAP, and how it is spoken with. */
export class SoapTarget {
  readonly address: SoapAddress
  readonly voice: Voice
  readonly clock: Clock
  readonly connectTimeout: number
  readonly #framing: FramingName
  readonly #limits: SoapLimits
  readonly #upstream: Upstream

  constructor(address: string, options: SoapDialOptions) {
    this.address = parseSoapAddress('address', address)
    const { version = '1.2', addressing = '1.0', framing = 'dime', tls } = options
    if (version !== '1.1' && version !== '1.2') throw invalidOption('version', version, "'1.1' or '1.2'")
    if (!(addressing in addressingNames)) throw invalidOption('addressing', addressing, "'1.0' or '2004/08'")
    if (framing !== 'dime' && framing !== 'nmf') throw invalidOption('framing', framing, "'dime' or 'nmf'")
    this.voice = { version, addressing }
    this.#framing = framing
    this.#limits = soapLimits(options)
    this.clock = options.clock ?? systemClock
    this.connectTimeout = durationOption('connectTimeout', options.connectTimeout, 5_000)
    const { host, port } = this.address
    this.#upstream = new Upstream(
      { host, port },
      { connectTimeout: this.connectTimeout, ...(tls === undefined ? {} : { tls }) },
    )
  }

  /** The most messages that may wait for a connection. */
  get maxWaiting(): number {
    return this.#limits.queue.messages
  }

  /** Starts to connect. */
  dial(owner: LinkOwner): SoapLink {
    const side = { framing: this.#framing, version: this.voice.version, via: this.address.href }
    return new SoapLink(this.#upstream.connect({ clock: this.clock }), side, this.#limits, owner)
  }
}

/** Resolves when a link can be sent to, or rejects with why it cannot. */
export async function linkOpened(link: SoapLink): Promise<void> {
  if (link.phase === 'opening') {
    await Promise.race([new Promise<void>((resolve) => link.once('open', resolve)), link.closed])
  }
  if (link.phase !== 'open') throw link.error ?? new XpsError('XPS_CLOSED', 'closed before it was connected')
}

/**
 * Sends messages one way to a `soap.tcp:` address. It connects with the first message, keeps the connection for the next
 * ones, and connects again when it broke.
 */
export class SoapSender extends Living<SoapSenderEvents> {
  readonly #target: SoapTarget
  #link: SoapLink | undefined
  #waiting = 0
  #ready: (() => void)[] = []

  constructor(address: string, options: SoapSenderOptions = {}) {
    super()
    knownOptions('sender options', options, dialNames)
    this.#target = new SoapTarget(address, options)
    this.opened()
  }

  /** Where its messages go. */
  get destination(): string {
    return this.#target.address.href
  }

  /**
   * Sends a message. Resolves when it is on its way and the next one may be sent; that it arrives is not known. Rejects
   * with `XPS_CONNECT` and others if there is no connection, and with `XPS_BUSY` if too many wait for one.
   */
  async send(message: SoapOutgoing | XmlElement): Promise<void> {
    if (this.phase !== 'open') throw new XpsError('XPS_CLOSED', 'the sender is closed')
    const outgoing = message instanceof XmlElement ? { body: message } : message
    const action = actionOf(outgoing)
    if (action === undefined) throw invalidOption('action', undefined, 'given, for a message without a body')
    const { voice, address, maxWaiting } = this.#target
    const envelope = writeMessage(voice, outgoing, { action, to: address.href })
    if (this.#waiting >= maxWaiting) throw new XpsError('XPS_BUSY', `${maxWaiting} messages wait already`)
    this.#waiting++
    try {
      const link = this.#connection()
      await linkOpened(link)
      const goesOn = link.send(voice.version, envelope, outgoing.attachments)
      if (!goesOn && link.full && link.phase === 'open') {
        await new Promise<void>((resolve) => this.#ready.push(resolve))
      }
    } finally {
      this.#waiting--
    }
  }

  protected override onDrain(): void {
    this.finishWithChildren()
  }

  protected override onClosed(error: XpsError | undefined): void {
    this.#resume()
    this.emit('close', error)
  }

  #connection(): SoapLink {
    const link = this.#link
    if (link !== undefined && (link.phase === 'opening' || link.phase === 'open')) return link
    const fresh = this.#target.dial({
      linkReceived: (message) => {
        this.emit('message', message)
        return true
      },
      linkReady: () => this.#resume(),
    })
    fresh.once('close', () => this.#resume())
    this.#link = fresh
    this.adopt(fresh)
    return fresh
  }

  #resume(): void {
    const ready = this.#ready
    this.#ready = []
    for (const resolve of ready) resolve()
  }
}
