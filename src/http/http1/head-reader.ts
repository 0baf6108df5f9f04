import type { XpsError } from '../../errors.ts'
import { FieldBlock } from '../field-block.ts'
import { Fields, known, marksPerField, underscores, withoutBlanks } from '../fields.ts'
import type { HttpVersion } from '../messages.ts'
import { COLON, CR, HTAB, LF, SP, tokenBytes, valueBytes } from './grammar.ts'
import { knownField } from './known-field.ts'
import { LastBlock } from './last-block.ts'

/** How large a head may be. */
export interface HeadLimits {
  /** Bytes of the whole head. */
  readonly headBytes: number
  /** Bytes of a request's target. */
  readonly targetBytes: number
  /** How many fields. */
  readonly fields: number
}

/** What holds where nothing else is said. */
export const defaultHeadLimits: HeadLimits = { headBytes: 32 * 1024, targetBytes: 8 * 1024, fields: 100 }

/** The body is sent in chunks. */
export const chunked = -1
/** The body of a response lasts until its connection ends. */
export const untilClose = -2

/** What {@link HeadReader.read} returns when the head is not complete yet. */
export const incomplete = -1

/**
 * Reads heads of requests or responses from bytes that come in pieces (RFC 9112, sections 2 to 6).
 *
 * Strict: what two parsers could read differently is an error, thrown as an `XpsError` whose `status` is what a client
 * is told. After an error the reader is not used again.
 *
 * A head that comes in one piece, as most do, is read in one pass where it lies. One that comes in several is gathered
 * first, and each byte of it is looked at once while it is.
 */
export abstract class HeadReader {
  readonly limits: HeadLimits
  /** How long the body is: bytes (0 for none), {@link chunked} or {@link untilClose}. */
  length = 0
  /** Whether another message may come on the connection. */
  keepAlive = true
  /** The value of `Upgrade`, if `Connection` names it. */
  upgrade: string | undefined
  /** `Connection` names fields, besides what it usually says. */
  nominates = false
  protected fields: Fields = noFields
  protected version: HttpVersion = '1.1'
  /** What the known fields of the head said. */
  protected hosts = 0
  protected hostValue = ''
  protected lengths = 0
  protected lengthValue = ''
  protected codings = 0
  protected codingValue = ''
  protected expectation = ''
  /** The last length that was found good, and what it says. */
  #goodLength = ''
  #goodLengthValue = 0
  /** The fields as text, up to the empty line. */
  #text = ''
  #connection = ''
  #upgradeValue: string | undefined
  readonly #last = new LastBlock()
  /** What has come of a head that did not come whole, and how much that is. */
  #partial: Buffer | undefined
  #gathered = 0
  /** Where the search for its end stands, and what it has found. */
  #found: 'more' | 'start line' | 'end' | 'a bare LF' | 'a bare CR' | 'a control character' = 'more'
  #previous = 0
  #lineLength = 0
  #firstLine = true
  #blank = 0

  constructor(limits: HeadLimits) {
    this.limits = limits
  }

  /** Nothing of a head has come yet. */
  get empty(): boolean {
    return this.#gathered === 0
  }

  /**
   * Reads from `at` on. Returns where the head ends, or {@link incomplete} if it took all there is and needs more.
   */
  read(chunk: Buffer, at: number): number {
    if (this.#gathered > 0) return this.#gather(chunk, at)
    const start = chunk[at] === CR || this.#blank > 0 ? this.skipBlank(chunk, at) : at
    if (start >= chunk.length) return incomplete
    const end = this.parse(chunk, start, Math.min(chunk.length, start + this.limits.headBytes))
    if (end !== incomplete) return end
    return this.#gather(chunk, start)
  }

  /** Lets go of what it has kept of the last head, since the next one may be long in coming. */
  forget(): void {
    this.#last.forget()
  }

  /** Reads the start line and what follows; {@link incomplete} if `end` comes first. */
  protected abstract parse(bytes: Buffer, start: number, end: number): number

  /** The error of a message that cannot be. */
  protected abstract bad(what: string): XpsError

  protected abstract tooLarge(what: 'head' | 'target' | 'fields'): XpsError

  /** An empty line before a start line is skipped (RFC 9112, 2.2), but not many of them. */
  protected skipBlank(chunk: Buffer, from: number): number {
    let at = from
    while (at < chunk.length) {
      const byte = chunk[at]
      if (this.#blank % 2 === 1) {
        if (byte !== LF) throw this.bad('a bare CR')
      } else if (byte !== CR || this.#blank >= mostBlank) break
      this.#blank++
      at++
    }
    if (at < chunk.length) this.#blank = 0
    return at
  }

  /** What stands before the fields: a start line, but not in trailers. */
  protected get hasStartLine(): boolean {
    return true
  }

  /**
   * Gathers a head that comes in pieces. It is parsed when it is complete, and before that at the end of its start line
   * and where it cannot go on; so whatever the pieces are, the first error in it is the one that is thrown.
   */
  #gather(chunk: Buffer, from: number): number {
    if (this.#gathered === 0) {
      this.#previous = this.#lineLength = 0
      this.#firstLine = this.hasStartLine
    }
    let at = from
    for (;;) {
      const room = this.limits.headBytes - this.#gathered
      const stop = this.#seek(chunk, at, Math.min(chunk.length, at + room))
      this.#append(chunk, at, stop)
      at = stop
      const length = this.#gathered
      const partial = this.#partial as unknown as Buffer
      if (this.#found === 'end') {
        this.#partial = undefined
        this.#gathered = 0
        if (this.parse(partial, 0, length) !== length) throw this.bad('a line that is no field')
        return at
      }
      if (this.#found === 'more' && length < this.limits.headBytes) return incomplete
      if (this.parse(partial, 0, length) !== incomplete) throw this.bad('a line that is no field')
      if (this.#found !== 'more' && this.#found !== 'start line') throw this.bad(this.#found)
    }
  }

  #append(chunk: Buffer, from: number, to: number): void {
    const former = this.#partial
    const length = this.#gathered + to - from
    if (former === undefined || length > former.length) {
      const size = Math.min(Math.max(length, 1024, (former?.length ?? 0) * 2), this.limits.headBytes)
      this.#partial = Buffer.allocUnsafe(size)
      former?.copy(this.#partial, 0, 0, this.#gathered)
    }
    chunk.copy(this.#partial as unknown as Buffer, this.#gathered, from, to)
    this.#gathered = length
  }

  /** Looks for the empty line that ends it, and for what must not be in any head. Returns where it stopped. */
  #seek(chunk: Buffer, from: number, end: number): number {
    // A method and a version stand beside the target.
    const longestLine = this.limits.targetBytes + longestMethod + 16
    let previous = this.#previous
    let length = this.#lineLength
    let at = from
    this.#found = 'more'
    while (at < end && this.#found === 'more') {
      const byte = chunk[at++] as number
      if (byte === LF) {
        if (previous !== CR) this.#found = 'a bare LF'
        else if (this.#firstLine) this.#found = 'start line'
        else if (length === 1) this.#found = 'end'
        this.#firstLine = false
        length = 0
      } else {
        if (previous === CR) this.#found = 'a bare CR'
        else if (byte !== CR && valueBytes[byte] === 0) this.#found = 'a control character'
        else if (++length === longestLine && this.#firstLine) this.#found = 'start line'
      }
      previous = byte
    }
    this.#previous = previous
    this.#lineLength = length
    return at
  }

  /** Reads the fields up to the empty line, and notes those that matter here. */
  protected parseFields(bytes: Buffer, base: number, from: number, end: number): number {
    // All that the block says is what the one before said, and still stands in the fields of this reader.
    const same = this.#last.repeated(bytes, from, end)
    if (same !== undefined) {
      this.fields = Fields.parsed(same)
      return from + same.text.length + 2
    }
    const most = this.limits.fields * marksPerField
    this.hosts = this.lengths = this.codings = 0
    this.expectation = this.#connection = ''
    this.#upgradeValue = undefined
    let at = from
    let count = 0
    let noted = 0
    for (;;) {
      if (at >= end) return this.#short(base, end)
      const start = at
      let classes = 0
      for (; at < end; at++) {
        const kind = tokenBytes[bytes[at] as number] as number
        if (kind === 0) break
        classes |= kind
      }
      if (at >= end) return this.#short(base, end)
      const byte = bytes[at]
      if (at === start) {
        if (byte !== CR) throw this.bad(byte === SP || byte === HTAB ? 'a folded line' : 'a line that is no field')
        if (at + 1 >= end) return this.#short(base, end)
        if (bytes[at + 1] !== LF) throw this.bad('a bare CR')
        break
      }
      if (byte !== COLON) throw this.bad('a field name with a character that it cannot have')
      const nameEnd = at++
      while (at < end && (bytes[at] === SP || bytes[at] === HTAB)) at++
      const valueStart = at
      while (at < end && valueBytes[bytes[at] as number] === 1) at++
      if (at + 1 >= end) return this.#short(base, end)
      if (bytes[at] !== CR || bytes[at + 1] !== LF) throw this.bad('a field value with a control character')
      let valueEnd = at
      while (valueEnd > valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)) valueEnd--
      at += 2
      if (count >= most) throw this.tooLarge('fields')
      const kind = knownField(bytes, start, nameEnd)
      if (kind !== 0) noted |= 1 << kind
      // A server behind may take such a name for the same with a hyphen.
      else if (classes !== 1) noted |= underscores
      scratch[count] = start - from
      scratch[count + 1] = nameEnd - from
      scratch[count + 2] = valueStart - from
      scratch[count + 3] = valueEnd - from
      scratch[count + 4] = kind
      count += marksPerField
    }
    // Without the empty line: the last field ends where the text does.
    this.#text = bytes.toString('latin1', from, at)
    if (count === 0) this.fields = new Fields()
    else {
      const block = new FieldBlock(this.#text, scratch.slice(0, count), noted)
      this.fields = Fields.parsed(block)
      if ((noted & framingKinds) !== 0) this.#note(count)
      this.#last.keep(block)
    }
    return at + 2
  }

  /** It is incomplete, or it is too large. */
  #short(base: number, end: number): number {
    if (end - base >= this.limits.headBytes) throw this.tooLarge('head')
    return incomplete
  }

  /** Looks at the fields that say how the message is framed and where it goes. */
  #note(count: number): void {
    for (let at = 0; at < count; at += marksPerField) {
      const kind = scratch[at + 4] as number
      if (((framingKinds >>> kind) & 1) === 0) continue
      const value = this.#text.slice(scratch[at + 2], scratch[at + 3])
      switch (kind) {
        case known.host:
          this.hosts++
          this.hostValue = value
          break
        case known['content-length']:
          this.lengths++
          this.lengthValue = value
          this.#refuseTabs(at)
          break
        case known['transfer-encoding']:
          this.codings++
          this.codingValue = value
          this.#refuseTabs(at)
          break
        case known.connection:
          this.#connection += `,${value}`
          break
        case known.upgrade:
          this.#upgradeValue = this.#upgradeValue === undefined ? value : `${this.#upgradeValue}, ${value}`
          break
        case known.expect:
          this.expectation = this.expectation === '' ? value : `${this.expectation}, ${value}`
          break
      }
    }
  }

  /**
   * Tabs around a value are blanks (RFC 9110, 5.6.3), but not to every parser: llhttp does not know a `chunked` with one
   * behind it. Where they decide on the framing, they are refused.
   */
  #refuseTabs(mark: number): void {
    const text = this.#text
    const start = scratch[mark + 2] as number
    let at = (scratch[mark + 1] as number) + 1
    let tabs = 0
    for (; at < start; at++) if (text.charCodeAt(at) === HTAB) tabs++
    for (at = scratch[mark + 3] as number; text.charCodeAt(at) !== CR; at++) if (text.charCodeAt(at) === HTAB) tabs++
    if (tabs > 0) throw this.bad('a tab beside what frames its body')
  }

  /** What `Connection` says of the next message (RFC 9112, 9.3) and of an upgrade. */
  protected readConnection(): void {
    const given = this.#connection
    this.upgrade = undefined
    this.nominates = false
    // The most frequent ones without a look at each word.
    if (given === '' || given === ',keep-alive') {
      this.keepAlive = this.version === '1.1' || given !== ''
      return
    }
    this.nominates = true
    const words = given.toLowerCase().split(',').map(withoutBlanks)
    this.keepAlive = !words.includes('close') && (this.version === '1.1' || words.includes('keep-alive'))
    // RFC 9110, 7.8: in HTTP/1.0 there is none.
    if (this.version === '1.1' && words.includes('upgrade')) this.upgrade = this.#upgradeValue || undefined
  }

  /** How the body is framed, or `none` if nothing says (RFC 9112, 6.3). What is ambiguous is refused. */
  protected readFraming(none: number): void {
    if (this.codings > 0) {
      if (this.lengths > 0) throw this.bad('both a length and a transfer coding')
      if (this.version === '1.0') throw this.bad('a transfer coding in HTTP/1.0')
      if (this.codings > 1 || this.codingValue.toLowerCase() !== 'chunked') throw this.bad('an unknown transfer coding')
      this.length = chunked
    } else if (this.lengths > 0) {
      if (this.lengths > 1) throw this.bad('a length that is none')
      if (this.lengthValue !== this.#goodLength || this.lengthValue === '') this.#checkLength(this.lengthValue)
      this.length = this.#goodLengthValue
    } else this.length = none
  }

  #checkLength(value: string): void {
    // Fifteen digits are a petabyte, and exact in a number.
    if (!/^\d{1,15}$/.test(value)) throw this.bad('a length that is none')
    this.#goodLength = value
    this.#goodLengthValue = Number(value)
  }

  /** Reads `HTTP/1.x`; the byte after it is at `at + 8`. */
  protected readVersion(bytes: Buffer, at: number): void {
    // 'HTTP/1.' and a digit, two numbers at a time.
    const name = bytes.readUInt32BE(at)
    const number = bytes.readUInt32BE(at + 4)
    if (name === 0x48545450 && number === 0x2f312e31) this.version = '1.1'
    else if (name === 0x48545450 && number === 0x2f312e30) this.version = '1.0'
    else throw this.badVersion(bytes.toString('latin1', at, at + 8))
  }

  protected badVersion(given: string): XpsError {
    return this.bad(`no HTTP/1 version (${JSON.stringify(given)})`)
  }
}

/** Bytes of a method. */
export const longestMethod: number = 32
/** Bytes of empty lines before a start line. */
const mostBlank = 4
/** The known fields that a reader itself looks at, a bit for each. */
const framingKinds =
  (1 << known.host) |
  (1 << known['content-length']) |
  (1 << known['transfer-encoding']) |
  (1 << known.connection) |
  (1 << known.upgrade) |
  (1 << known.expect)
/** Marks of the head that is being read; copied when it is complete. */
const scratch: number[] = []

const noFields = new Fields()
