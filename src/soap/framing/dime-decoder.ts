import { envelopeNamespaces, type SoapVersion } from '../names.ts'
import { Rejection } from '../rejection.ts'
import type { Attachment, FrameDecoder, FrameHandler, FrameLimits } from './framing.ts'

/** The length of the fixed part of a record. */
const headerLength = 12
/** Chunks that a message may be cut into, all of its records together. */
const mostChunks = 4_096
/** Bytes that a message may have outside of its data: options, ids and types. */
const mostOverhead = 64 * 1024
/** The longest id or type that is read. */
const longestName = 1_024

const formats = ['unchanged', 'media-type', 'uri', 'unknown', 'none'] as const

type Part = 'header' | 'options' | 'id' | 'type' | 'data' | 'padding'

/**
 * Reads DIME, version 1 (draft-nielsen-dime-02): a message is a list of records, the first of which is the envelope.
 *
 * ```
 *  byte 0: version(5) MB ME CF   1: type format(4) reserved(4)   2-3 options   4-5 id   6-7 type   8-11 data
 *  then options, id, type and data, each padded to a multiple of four
 * ```
 *
 * A record may come in chunks, and may end with a record that is empty, as WSE sends it. What the padding and the
 * options say is of no meaning, and is not looked at.
 */
export class DimeDecoder implements FrameDecoder {
  readonly #handler: FrameHandler
  readonly #limits: FrameLimits
  readonly #header = Buffer.alloc(headerLength)
  #part: Part = 'header'
  /** Bytes of the present part that are still to come, and those of its padding after it. */
  #left = headerLength
  #padding = 0
  // The record.
  #last = false
  #chunked = false
  #format: (typeof formats)[number] = 'none'
  #idLength = 0
  #typeLength = 0
  #dataLength = 0
  /** Pieces of an id or type that came in pieces. */
  #pieces: Buffer[] | undefined
  // The message.
  #within = false
  #continuing = false
  #records = 0
  #chunks = 0
  #bytes = 0
  #overhead = 0
  #id = ''
  #type = ''
  #typeFormat: (typeof formats)[number] = 'none'
  #data: Buffer[] = []

  constructor(handler: FrameHandler, limits: FrameLimits) {
    this.#handler = handler
    this.#limits = limits
  }

  get idle(): boolean {
    return !this.#within && this.#part === 'header' && this.#left === headerLength
  }

  decode(chunk: Buffer): number {
    let at = 0
    // A part of no bytes is over at once, so that the end of a message is told with its last byte.
    while (at < chunk.length || this.#left === 0) {
      const end = Math.min(chunk.length, at + this.#left)
      this.#take(chunk, at, end)
      this.#left -= end - at
      at = end
      if (this.#left > 0) break
      if (!this.#partEnded()) return at
    }
    return at
  }

  #take(chunk: Buffer, from: number, to: number): void {
    switch (this.#part) {
      case 'header':
        chunk.copy(this.#header, headerLength - this.#left, from, to)
        break
      case 'id':
      case 'type':
        this.#takeName(chunk.subarray(from, to))
        break
      case 'data':
        this.#takeData(chunk.subarray(from, to))
        break
      case 'options':
      case 'padding':
        break
    }
  }

  /** Goes on to the next part; false holds it up. */
  #partEnded(): boolean {
    switch (this.#part) {
      case 'header':
        this.#readHeader()
        this.#enter('options', padded(this.#header.readUInt16BE(2)))
        break
      case 'options':
        this.#enter('id', padded(this.#idLength))
        break
      case 'id':
        if (!this.#continuing) this.#id = this.#name(this.#idLength)
        this.#enter('type', padded(this.#typeLength))
        break
      case 'type':
        this.#readType()
        this.#padding = padded(this.#dataLength) - this.#dataLength
        this.#enter('data', this.#dataLength)
        break
      case 'data':
        this.#enter('padding', this.#padding)
        break
      case 'padding':
        this.#enter('header', headerLength)
        return this.#recordEnded()
    }
    return true
  }

  #enter(part: Part, length: number): void {
    this.#part = part
    this.#left = length
  }

  #readHeader(): void {
    const header = this.#header
    const flags = header[0] as number
    const first = (flags & 4) !== 0
    this.#last = (flags & 2) !== 0
    this.#chunked = (flags & 1) !== 0
    if (flags >> 3 !== 1) throw broken(`version ${flags >> 3} of DIME`)
    const format = formats[(header[1] as number) >> 4]
    if (format === undefined || ((header[1] as number) & 15) !== 0) throw broken('a type format that is reserved')
    this.#format = format
    this.#idLength = header.readUInt16BE(4)
    this.#typeLength = header.readUInt16BE(6)
    this.#dataLength = header.readUInt32BE(8)
    if (first === this.#within) throw broken(first ? 'a message within a message' : 'a record outside of a message')
    if (this.#chunked && this.#last) throw broken('a last record that goes on')
    if (first) this.#begin()
    this.#checkFormat()
    this.#checkSize(header.readUInt16BE(2))
  }

  #begin(): void {
    this.#within = true
    this.#records = 0
    this.#chunks = 0
    this.#bytes = 0
    this.#overhead = 0
  }

  #checkFormat(): void {
    const format = this.#format
    const unnamed = this.#idLength === 0 && this.#typeLength === 0
    if ((format === 'unchanged') !== this.#continuing) throw broken('a chunk in the wrong place')
    if (format === 'unchanged' && !unnamed) throw broken('a chunk with a name')
    if (format === 'unknown' && this.#typeLength > 0) throw broken('a type of unknown format')
    if (format === 'none') {
      if (!unnamed || this.#dataLength > 0 || this.#chunked) throw broken('a record of no type that is not empty')
      if (this.#records === 0) throw broken('a message without an envelope')
    }
  }

  /** By the header alone, before a byte of it is kept. */
  #checkSize(optionsLength: number): void {
    this.#bytes += this.#dataLength
    this.#overhead += optionsLength + this.#idLength + this.#typeLength
    if (!this.#continuing && this.#format !== 'none') this.#records++
    if (this.#bytes > this.#limits.messageBytes) {
      throw new Rejection(
        'too-large',
        `a message of ${this.#bytes} bytes or more, ${this.#limits.messageBytes} allowed`,
      )
    }
    if (this.#records > this.#limits.attachments + 1) {
      throw new Rejection('too-large', `more than ${this.#limits.attachments} attachments`)
    }
    if (++this.#chunks > mostChunks) throw new Rejection('too-large', `more than ${mostChunks} chunks`)
    if (this.#overhead > mostOverhead || this.#idLength > longestName || this.#typeLength > longestName) {
      throw new Rejection('too-large', 'options, ids or types that are too long')
    }
  }

  #takeName(bytes: Buffer): void {
    this.#pieces ??= []
    this.#pieces.push(Buffer.from(bytes))
  }

  /** The id or type that has come, without its padding. */
  #name(length: number): string {
    if (length === 0) return ''
    const pieces = this.#pieces ?? []
    this.#pieces = undefined
    const bytes = pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces)
    return bytes.toString('utf8', 0, length)
  }

  #readType(): void {
    if (this.#continuing || this.#format === 'none') return
    this.#type = this.#name(this.#typeLength)
    this.#typeFormat = this.#format
    if (this.#records === 1) this.#handler.messageBegan(versions.get(this.#type), 'utf-8')
  }

  #takeData(bytes: Buffer): void {
    if (bytes.length === 0) return
    if (this.#records === 1) this.#handler.envelope(bytes, !this.#chunked && bytes.length === this.#left)
    else this.#data.push(Buffer.from(bytes))
  }

  #recordEnded(): boolean {
    this.#continuing = this.#chunked
    if (this.#chunked) return true
    if (this.#records === 1 && this.#format !== 'none') {
      if (this.#dataLength === 0) this.#handler.envelope(nothing, true)
    } else if (this.#format !== 'none') {
      this.#handler.attachment(this.#attachment())
    }
    if (!this.#last) return true
    this.#within = false
    return this.#handler.messageEnded()
  }

  #attachment(): Attachment {
    const data = this.#data.length === 1 ? (this.#data[0] as Buffer) : Buffer.concat(this.#data)
    this.#data = []
    const typeFormat = this.#typeFormat as Exclude<Attachment['typeFormat'], undefined>
    return { id: this.#id, type: this.#type, typeFormat, data }
  }
}

const nothing = Buffer.alloc(0)

const versions = new Map<string, SoapVersion>([
  [envelopeNamespaces['1.1'], '1.1'],
  [envelopeNamespaces['1.2'], '1.2'],
])

function padded(length: number): number {
  return (length + 3) & ~3
}

function broken(what: string): Rejection {
  return new Rejection('framing', `DIME: ${what}`)
}
