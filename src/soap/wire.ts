import { Input, type InputOwner } from '../core/input.ts'
import type { XpsError } from '../errors.ts'
import { invalidOption } from '../options.ts'
import type { PipeSink } from '../pipe/sink.ts'
import { DimeDecoder } from './framing/dime-decoder.ts'
import { encodeDime } from './framing/dime-encoder.ts'
import { EnvelopeText } from './framing/envelope-text.ts'
import type { Attachment, FrameDecoder, FrameLimits, FramingName, TextEncoding } from './framing/framing.ts'
import { type NmfEncoding, nmfEncodingFor, nmfFaultPrefix } from './framing/nmf.ts'
import { NmfDecoder, type NmfHandler, NmfRejection } from './framing/nmf-decoder.ts'
import { encodeNmf, encodeNmfFault, encodeNmfPreamble, nmfEnd, nmfPreambleAck } from './framing/nmf-encoder.ts'
import { type Refused, readMessage, refusedUnread, type Understanding } from './incoming.ts'
import type { SoapLimits } from './limits.ts'
import type { SoapMessage } from './message.ts'
import type { SoapVersion } from './names.ts'
import { Outbox } from './outbox.ts'
import { Rejection } from './rejection.ts'
import type { XmlElement } from './xml/element.ts'
import { XmlReader } from './xml/reader.ts'

/** What a {@link Wire} tells whoever has the connection. */
export interface WireOwner extends Understanding {
  /** The time, as cheap as it can be had. */
  time(): number
  /** A message has come. False holds the next ones up, until {@link Wire.resume}. */
  received(message: SoapMessage): boolean
  /** A message has come that is not taken; the next ones may be. False holds them up. */
  refused(refused: Refused): boolean
  /** What came is no message, and nothing that follows can be read. */
  broken(rejection: Rejection): void
  /** Checks where a client that speaks NMF wants to go; a rejection thrown here refuses it. */
  checkVia(via: string): void
  /** It may be sent to: a handshake, if there is one, has been made. */
  wireOpened(): void
  /** The peer sends nothing more; with an error if it was cut short. */
  wireEnded(error: XpsError | undefined): void
  /** More can be sent again, after `send` had returned false. */
  wireReady(): void
  /** The peer takes less than it is sent, and more waits for it than may. */
  wireOverflowed(): void
  /** Nothing can be sent any more. */
  wireOver(error: XpsError | undefined): void
}

/** How a client speaks; a server finds out by the first byte. */
export interface WireSide {
  readonly framing: FramingName
  readonly version: SoapVersion
  readonly via: string
}

/** The bytes of one connection as messages, both ways, whatever the framing. */
export class Wire implements NmfHandler, InputOwner {
  /** What the peer sends goes here. */
  readonly input: PipeSink
  /** What the peer is sent comes from here. */
  readonly outbox: Outbox
  readonly #owner: WireOwner
  readonly #limits: SoapLimits
  /** What its decoder goes by; others may be allowed later. */
  readonly #frame: { -readonly [name in keyof FrameLimits]: FrameLimits[name] }
  readonly #framings: readonly FramingName[]
  #framing: FramingName | undefined
  #decoder: FrameDecoder | undefined
  #nmf: NmfEncoding | undefined
  #dead = false
  #opened = false
  #held = false
  #partSince = 0
  // The message that is coming.
  #version: SoapVersion | undefined
  #text = new EnvelopeText('utf-8')
  #encoding: TextEncoding = 'utf-8'
  #reader: XmlReader | undefined
  #attachments: Attachment[] = []
  #failed: Rejection | undefined
  /** What had come of the message that failed. */
  #partial: XmlElement | undefined

  constructor(owner: WireOwner, limits: SoapLimits, framings: readonly FramingName[]) {
    this.#owner = owner
    this.#limits = limits
    this.#frame = { ...limits.frame }
    this.#framings = framings
    this.input = new Input(this)
    this.outbox = new Outbox(
      {
        outboxReady: () => owner.wireReady(),
        outboxOverflowed: () => owner.wireOverflowed(),
        outboxOver: (error) => owner.wireOver(error),
      },
      limits.queue,
    )
  }

  /** The framing that is spoken; undefined before the first byte. */
  get framing(): FramingName | undefined {
    return this.#framing
  }

  /** Since when a message is coming of which a part is there; 0 if none is. */
  get partSince(): number {
    return this.#partSince
  }

  /** No part of a message has come. */
  get idle(): boolean {
    return this.#decoder === undefined || this.#decoder.idle
  }

  /** So much waits for the peer that nothing should be added. */
  get full(): boolean {
    return this.outbox.full
  }

  /** Messages may be as long as this, from the next one on. */
  allow({ messageBytes, attachments }: FrameLimits): void {
    this.#frame.messageBytes = messageBytes
    this.#frame.attachments = attachments
  }

  /** Says the first word, as a client. */
  begin({ framing, version, via }: WireSide): void {
    this.#framing = framing
    if (framing === 'dime') {
      this.#decoder = new DimeDecoder(this, this.#frame)
      this.#opened = true
      this.#owner.wireOpened()
      return
    }
    this.#nmf = nmfEncodingFor(version)
    this.#decoder = new NmfDecoder('client', this, this.#frame, this.#nmf)
    this.outbox.send(encodeNmfPreamble(via, this.#nmf))
  }

  /** The version that a peer must be spoken to in, where the framing says so. */
  get version(): SoapVersion | undefined {
    return this.#nmf?.version
  }

  /** Sends an envelope; false asks to wait, or says that nothing can be sent. */
  send(version: SoapVersion, envelope: string, attachments: readonly Attachment[] = []): boolean {
    if (this.#framing !== 'nmf') return this.outbox.send(encodeDime(version, envelope, attachments))
    if (attachments.length > 0) throw invalidOption('attachments', attachments, 'none with the framing nmf')
    return this.outbox.send(encodeNmf(envelope, this.#nmf?.text ?? 'utf-8'))
  }

  /** Says that nothing more is sent. */
  end(): void {
    if (this.#framing === 'nmf' && this.#opened) this.outbox.send(nmfEnd)
    this.outbox.end()
  }

  /** Goes on after it was held up. */
  resume(): void {
    if (!this.#held) return
    this.#held = false
    this.input.ready = true
  }

  /** @internal Reads what has come; returns how much of it was taken. */
  receive(chunk: Buffer): number {
    if (this.#dead) return chunk.length
    try {
      this.#decoder ??= this.#detect(chunk[0] as number)
      const taken = this.#decoder.decode(chunk)
      if (this.#held) this.input.ready = false
      if (this.#decoder.idle) this.#partSince = 0
      else if (this.#partSince === 0) this.#partSince = this.#owner.time()
      return taken
    } catch (error) {
      if (!(error instanceof Rejection)) throw error
      this.#break(error)
      return chunk.length
    }
  }

  #detect(first: number): FrameDecoder {
    const framing = first === 0 ? 'nmf' : first >= 0x0c && first <= 0x0f ? 'dime' : undefined
    if (framing === undefined || !this.#framings.includes(framing)) {
      throw new Rejection('framing', `the first byte is ${first}: ${guess(first)}`)
    }
    this.#framing = framing
    if (framing === 'nmf') return new NmfDecoder('server', this, this.#frame)
    this.#opened = true
    this.#owner.wireOpened()
    return new DimeDecoder(this, this.#frame)
  }

  #break(rejection: Rejection): void {
    this.#dead = true
    this.#reader = undefined
    if (rejection instanceof NmfRejection) this.outbox.send(encodeNmfFault(rejection.nmfFault))
    this.#owner.broken(rejection)
  }

  // What the decoder tells.

  /** @internal */
  messageBegan(version: SoapVersion | undefined, encoding: TextEncoding): void {
    this.#version = version
    if (encoding !== this.#encoding) {
      this.#encoding = encoding
      this.#text = new EnvelopeText(encoding)
    }
    this.#failed = undefined
    this.#attachments = []
    this.#reader = XmlReader.take(this.#limits.xml, encoding)
  }

  /** @internal */
  envelope(bytes: Buffer, last: boolean): void {
    if (this.#failed !== undefined) return
    try {
      this.#reader?.write(this.#text.decode(bytes, last))
    } catch (error) {
      this.#fail(error)
    }
  }

  /** @internal */
  attachment(attachment: Attachment): void {
    this.#attachments.push(attachment)
  }

  /** @internal */
  messageEnded(): boolean {
    const message = this.#finishMessage()
    this.#partSince = 0
    const goOn = 'rejection' in message ? this.#owner.refused(message) : this.#owner.received(message)
    this.#held = !goOn
    return goOn
  }

  #finishMessage(): SoapMessage | Refused {
    const attachments = this.#attachments
    this.#attachments = []
    if (this.#failed === undefined) {
      try {
        const root = (this.#reader as XmlReader).end()
        this.#reader = undefined
        return readMessage(root, attachments, this.#version, this.#owner)
      } catch (error) {
        this.#fail(error)
      }
    }
    const partial = this.#partial
    this.#partial = undefined
    return refusedUnread(this.#failed as unknown as Rejection, this.#version, partial)
  }

  /** The rest of the message is skipped. */
  #fail(error: unknown): void {
    if (!(error instanceof Rejection)) throw error
    this.#partial = this.#reader?.partial
    this.#reader = undefined
    this.#failed = error
    // What is left of characters that were cut apart is of no use to the next message.
    this.#text = new EnvelopeText(this.#encoding)
  }

  /** @internal */
  preamble(via: string, encoding: NmfEncoding): void {
    this.#owner.checkVia(via)
    this.#nmf = encoding
    this.#opened = true
    this.outbox.send(nmfPreambleAck)
    this.#owner.wireOpened()
  }

  /** @internal */
  accepted(): void {
    this.#opened = true
    this.#owner.wireOpened()
  }

  /** @internal */
  refused(fault: string): void {
    this.#dead = true
    const reason = fault.startsWith(nmfFaultPrefix) ? fault.slice(nmfFaultPrefix.length) : fault
    this.#owner.broken(new Rejection('framing', `the peer refuses: ${reason}`))
  }

  /** @internal */
  ended(): void {
    this.#dead = true
    this.#owner.wireEnded(undefined)
  }

  /** @internal The bytes are over. */
  received(error: XpsError | undefined): void {
    const cut = error === undefined && !this.#dead && this.#decoder !== undefined && !this.#decoder.idle
    this.#dead = true
    if (cut) this.#owner.broken(new Rejection('framing', 'it ends in the middle of a message'))
    else this.#owner.wireEnded(error)
  }
}

function guess(first: number): string {
  if (first === 0x16) return 'TLS, where plain text is spoken'
  if (first === 0x76) return 'SOAP/TCP of Metro, which is not known'
  if (first === 0x3c || first === 0xef) return 'XML without a frame'
  return first >= 0x41 && first <= 0x5a ? 'HTTP' : 'neither DIME nor NMF'
}
