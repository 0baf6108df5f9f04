import { Rejection } from '../rejection.ts'
import type { FrameDecoder, FrameHandler, FrameLimits } from './framing.ts'
import { type NmfEncoding, type NmfFault, nmfEncodings, nmfRecords } from './nmf.ts'

/** The longest address that a client may name, in bytes. */
const longestVia = 2_048
/** The longest content type and the longest fault, in bytes. */
const longestText = 256

/** What a connection that speaks NMF tells besides its messages. */
export interface NmfHandler extends FrameHandler {
  /** A client has said where it wants to go and how it speaks; a rejection thrown here refuses it. */
  preamble(via: string, encoding: NmfEncoding): void
  /** The server has accepted the preamble. */
  accepted(): void
  /** The server has refused: a URI that says why. */
  refused(fault: string): void
  /** The peer sends nothing more. */
  ended(): void
}

/** A rejection that is told by a record of its own. */
export class NmfRejection extends Rejection {
  readonly nmfFault: NmfFault

  constructor(nmfFault: NmfFault, message: string, reason: 'framing' | 'too-large' | 'destination' = 'framing') {
    super(reason, `NMF: ${message}`)
    this.nmfFault = nmfFault
  }
}

type State = 'version' | 'mode' | 'via' | 'encoding' | 'preamble-end' | 'answer' | 'messages' | 'over'

/**
 * Reads .NET Message Framing, [MC-NMF], with text encodings: of a client (the preamble, then envelopes) or of a server
 * (its answer to the preamble, then envelopes). Of the modes it knows duplex and simplex.
 *
 * ```
 *  client: 00 01 00 · 01 mode · 02 len via · 03 encoding · 0C ─► 06 len envelope … ─► 07
 *  server:                                       0B or 08 fault ─► 06 len envelope … ─► 07
 * ```
 */
export class NmfDecoder implements FrameDecoder {
  readonly #handler: NmfHandler
  readonly #limits: FrameLimits
  #state: State
  /** The record whose length or content is being read. */
  #record: number | undefined
  #size = 0
  #sizeBytes = 0
  #sized = false
  /** Content that is still to come, and what there is of it, where it is kept. */
  #left = 0
  #kept: Buffer[] = []
  #began = false
  #via = ''
  #encoding: NmfEncoding

  constructor(side: 'server' | 'client', handler: NmfHandler, limits: FrameLimits, encoding?: NmfEncoding) {
    this.#handler = handler
    this.#limits = limits
    // A server reads what a client says, from the start. A client waits for the answer.
    this.#state = side === 'server' ? 'version' : 'answer'
    this.#encoding = encoding ?? (nmfEncodings[0] as NmfEncoding)
  }

  get idle(): boolean {
    return this.#record === undefined && (this.#state === 'messages' || this.#state === 'over')
  }

  decode(chunk: Buffer): number {
    let at = 0
    while (at < chunk.length) {
      if (this.#record === undefined) {
        this.#begin(chunk[at++] as number)
      } else if (!this.#sized) {
        this.#readSize(chunk[at++] as number)
      } else {
        const end = Math.min(chunk.length, at + this.#left)
        this.#left -= end - at
        this.#take(chunk.subarray(at, end))
        at = end
      }
      if (this.#record !== undefined && this.#sized && this.#left === 0 && !this.#recordEnded()) return at
    }
    return at
  }

  #begin(record: number): void {
    this.#record = record
    this.#size = 0
    this.#sizeBytes = 0
    switch (record) {
      case nmfRecords.version:
        return this.#expect('version', 2)
      case nmfRecords.mode:
        return this.#expect('mode', 1)
      case nmfRecords.via:
        return this.#expect('via')
      case nmfRecords.knownEncoding:
        return this.#expect('encoding', 1)
      case nmfRecords.extensibleEncoding:
        return this.#expect('encoding')
      case nmfRecords.upgradeRequest:
        if (this.#state !== 'preamble-end') break
        throw new NmfRejection('UpgradeInvalid', 'an upgrade was asked for, and there is none')
      case nmfRecords.preambleEnd:
        return this.#expect('preamble-end', 0)
      case nmfRecords.preambleAck:
        return this.#expect('answer', 0)
      case nmfRecords.fault:
        if (this.#state !== 'answer' && this.#state !== 'messages') break
        return this.#expect(this.#state)
      case nmfRecords.sizedEnvelope:
        return this.#expect('messages')
      case nmfRecords.end:
        return this.#expect('messages', 0)
    }
    throw new Rejection('framing', `NMF: record ${record} in the wrong place`)
  }

  /** A record of a known length, or of one that follows. */
  #expect(state: State, length?: number): void {
    if (this.#state !== state) throw new Rejection('framing', `NMF: record ${this.#record} in the wrong place`)
    this.#sized = length !== undefined
    this.#left = length ?? 0
  }

  /** Seven bits in each byte, the low ones first. */
  #readSize(byte: number): void {
    this.#size += (byte & 0x7f) * 2 ** (7 * this.#sizeBytes)
    if (++this.#sizeBytes === 5 && byte > 0x07) throw new Rejection('framing', 'NMF: a size that is too large')
    if (byte >= 0x80) return
    this.#checkSize(this.#size)
    this.#sized = true
    this.#left = this.#size
  }

  #checkSize(size: number): void {
    switch (this.#record as number) {
      case nmfRecords.sizedEnvelope:
        if (size === 0) throw new Rejection('framing', 'NMF: an envelope of no bytes')
        if (size > this.#limits.messageBytes) {
          const message = `a message of ${size} bytes, ${this.#limits.messageBytes} allowed`
          throw new NmfRejection('MaxMessageSizeExceededFault', message, 'too-large')
        }
        break
      case nmfRecords.via:
        if (size > longestVia) throw new NmfRejection('ViaTooLong', `an address of ${size} bytes`, 'too-large')
        break
      default:
        if (size > longestText) throw new NmfRejection('ContentTypeTooLong', `a text of ${size} bytes`, 'too-large')
    }
  }

  #take(bytes: Buffer): void {
    if (this.#record !== nmfRecords.sizedEnvelope) {
      this.#kept.push(Buffer.from(bytes))
      return
    }
    if (!this.#began) {
      this.#began = true
      this.#handler.messageBegan(this.#encoding.version, this.#encoding.text)
    }
    this.#handler.envelope(bytes, this.#left === 0)
  }

  /** False holds it up. */
  #recordEnded(): boolean {
    const record = this.#record as number
    const content = this.#kept.length === 0 ? nothing : Buffer.concat(this.#kept)
    this.#kept = []
    this.#record = undefined
    this.#sized = false
    switch (record) {
      case nmfRecords.version:
        if (content[0] !== 1) throw new NmfRejection('UnsupportedVersion', `version ${content[0]}`)
        this.#state = 'mode'
        break
      case nmfRecords.mode:
        if (content[0] !== 2 && content[0] !== 3) throw new NmfRejection('UnsupportedMode', `mode ${content[0]}`)
        this.#state = 'via'
        break
      case nmfRecords.via:
        this.#via = content.toString()
        this.#state = 'encoding'
        break
      case nmfRecords.knownEncoding:
        this.#encoding = encodingOf(content[0])
        this.#state = 'preamble-end'
        break
      case nmfRecords.extensibleEncoding:
        throw new NmfRejection('ContentTypeInvalid', `content type ${content.toString('latin1')}`)
      case nmfRecords.preambleEnd:
        this.#state = 'messages'
        this.#handler.preamble(this.#via, this.#encoding)
        break
      case nmfRecords.preambleAck:
        this.#state = 'messages'
        this.#handler.accepted()
        break
      case nmfRecords.fault:
        this.#state = 'over'
        this.#handler.refused(content.toString())
        break
      case nmfRecords.sizedEnvelope:
        this.#began = false
        return this.#handler.messageEnded()
      case nmfRecords.end:
        this.#state = 'over'
        this.#handler.ended()
    }
    return true
  }
}

const nothing = Buffer.alloc(0)

function encodingOf(code: number | undefined): NmfEncoding {
  const encoding = code === undefined ? undefined : nmfEncodings[code]
  if (encoding === undefined)
    throw new NmfRejection('ContentTypeInvalid', `encoding ${code}, of which only text is known`)
  return encoding
}
