import { XpsError } from '../../errors.ts'
import { Fields, known, marksPerField, underscores } from '../fields.ts'
import { type HttpVersion, RequestHead, ResponseHead } from '../messages.ts'
import { COLON, CR, HTAB, LF, pathBytes, queryBytes, SP, tokenBytes, valueBytes } from './grammar.ts'
import { knownField } from './known-field.ts'

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
abstract class HeadReader {
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
  /** The head as text, up to its empty line. */
  protected text = ''
  #connection = ''
  #upgradeValue: string | undefined
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
      scratch[count] = start - base
      scratch[count + 1] = nameEnd - base
      scratch[count + 2] = valueStart - base
      scratch[count + 3] = valueEnd - base
      scratch[count + 4] = kind
      count += marksPerField
    }
    // Without the empty line: the last field ends where the text does.
    this.text = bytes.toString('latin1', base, at)
    this.fields = count === 0 ? new Fields() : Fields.parsed(this.text, scratch.slice(0, count), noted)
    if ((noted & framingKinds) !== 0) this.#note(count)
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
      const value = this.text.slice(scratch[at + 2], scratch[at + 3])
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
    const { text } = this
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
    const words = given.toLowerCase().split(',').map(trimmed)
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
      // Fifteen digits are a petabyte, and exact in a number.
      if (this.lengths > 1 || !/^\d{1,15}$/.test(this.lengthValue)) throw this.bad('a length that is none')
      this.length = Number(this.lengthValue)
    } else this.length = none
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

/** Reads heads of requests. */
export class RequestReader extends HeadReader {
  head: RequestHead = noRequest
  /** The client waits for a 100 before it sends the body. */
  expectsContinue = false

  protected override bad(what: string): XpsError {
    return new XpsError('XPS_BAD_REQUEST', `the request has ${what}`, { origin: 'client', status: 400 })
  }

  protected override badVersion(given: string): XpsError {
    if (!/^HTTP\/\d\.\d$/.test(given) || given[5] === '1') return super.badVersion(given)
    return new XpsError('XPS_BAD_REQUEST', `${given} is not spoken here`, { origin: 'client', status: 505 })
  }

  protected override tooLarge(what: 'head' | 'target' | 'fields'): XpsError {
    return new XpsError(
      'XPS_TOO_LARGE',
      `the request has a ${what === 'fields' ? 'head with too many fields' : `${what} that is too long`}`,
      {
        origin: 'client',
        status: what === 'target' ? 414 : 431,
      },
    )
  }

  protected override parse(bytes: Buffer, start: number, end: number): number {
    let at = start
    while (at < end && tokenBytes[bytes[at] as number] !== 0) at++
    if (at - start > longestMethod) throw this.bad('a method that is too long')
    if (at >= end) return this.#shortLine(bytes, start, end)
    if (at === start || bytes[at] !== SP) throw this.bad('no method')
    const methodEnd = at
    const targetStart = at + 1
    const targetEnd = this.#skipTarget(bytes, targetStart, end)
    if (targetEnd - targetStart > this.limits.targetBytes) throw this.tooLarge('target')
    // SP and version, and then CR and LF: each is looked at as soon as it is there.
    if (targetEnd >= end) return this.#shortLine(bytes, start, end)
    if (targetEnd === targetStart || bytes[targetEnd] !== SP) throw this.bad('an invalid target')
    if (targetEnd + 9 > end) return this.#shortLine(bytes, start, end)
    this.readVersion(bytes, targetEnd + 1)
    at = targetEnd + 9
    if (at + 2 > end) return this.#shortLine(bytes, start, end)
    if (bytes[at] !== CR || bytes[at + 1] !== LF) throw this.bad('a start line that does not end in CRLF')
    const headEnd = this.parseFields(bytes, start, at + 2, end)
    if (headEnd === incomplete) return incomplete
    const method = methodOf(bytes, start, methodEnd)
    const target = this.text.slice(targetStart - start, targetEnd - start)
    this.readFraming(0)
    this.readConnection()
    // What follows the head would be the body to some, and the other protocol to others (Node). Upgrades may be ignored.
    if (this.length !== 0) this.upgrade = undefined
    this.expectsContinue = this.expectation !== '' && this.#readExpectation()
    const authority = this.#authority()
    this.head = new RequestHead(method, target, this.version, this.fields, authority)
    if (target.charCodeAt(0) !== 0x2f || method === 'CONNECT') this.#readForm(method, target)
    return headEnd
  }

  #skipTarget(bytes: Buffer, from: number, end: number): number {
    let at = from
    while (at < end && pathBytes[bytes[at] as number] === 1) at++
    if (bytes[at] === 0x3f) while (at < end && queryBytes[bytes[at] as number] === 1) at++
    return at
  }

  /** The start line is incomplete, unless it is over. */
  #shortLine(bytes: Buffer, start: number, end: number): number {
    if (end - start >= this.limits.headBytes) throw this.tooLarge('head')
    if (bytes[end - 1] === LF) throw this.bad('no HTTP/1 version')
    return incomplete
  }

  #readExpectation(): boolean {
    if (this.expectation.toLowerCase() !== '100-continue') {
      const message = `the client expects what is unknown here (${JSON.stringify(this.expectation.slice(0, 40))})`
      throw new XpsError('XPS_EXPECTATION', message, { origin: 'client', status: 417 })
    }
    return this.version === '1.1'
  }

  /** RFC 9112, 3.2: one Host, and a valid one; HTTP/1.0 may do without. */
  #authority(): string {
    if (this.hosts === 1) return checkAuthority(this.hostValue) ? this.hostValue : this.#badHost()
    if (this.hosts > 1 || this.version === '1.1') return this.#badHost()
    return ''
  }

  #badHost(): never {
    throw this.bad(this.hosts === 0 ? 'no Host' : this.hosts === 1 ? 'an invalid Host' : 'more than one Host')
  }

  /** The other forms of a target (RFC 9112, 3.2.2 to 3.2.4). */
  #readForm(method: string, target: string): void {
    const { head } = this
    if (method === 'CONNECT') {
      // RFC 9110, 9.3.6: it has no content. To some parsers the tunnel begins behind the head nevertheless.
      if (this.length !== 0) throw this.bad('a body where there can be none')
      if (!/[^:]:\d{1,5}$/.test(target) || !checkAuthority(target)) throw this.bad('an invalid target')
      if (this.hosts === 1 && !isHostOf(target, this.hostValue))
        throw this.bad('a Host that is not the one of its target')
      head.authority = target
      return
    }
    if (target === '*') {
      if (method !== 'OPTIONS') throw this.bad('an invalid target')
      return
    }
    const match = /^https?:\/\/([^/?]+)(.*)$/i.exec(target)
    const authority = match?.[1]
    if (authority === undefined || !checkAuthority(authority)) throw this.bad('an invalid target')
    if (this.hosts === 1 && authority.toLowerCase() !== this.hostValue.toLowerCase()) {
      throw this.bad('a Host that is not the one of its target')
    }
    const rest = match?.[2] ?? ''
    head.authority = authority
    // RFC 9112, 3.2.4: what was a question about the server still is one.
    head.target = rest === '' && method === 'OPTIONS' ? '*' : rest.startsWith('/') ? rest : `/${rest}`
  }
}

/** Reads heads of responses. Whoever uses it says first what the request was. */
export class ResponseReader extends HeadReader {
  head: ResponseHead = noResponse
  /** The response to a HEAD request has no body, whatever its fields say. */
  forHead = false
  /** How long the body would be where there is none (HEAD, 304); less than 0 if the head does not say. */
  declared = 0

  protected override bad(what: string): XpsError {
    return new XpsError('XPS_BAD_RESPONSE', `the upstream's response has ${what}`, { origin: 'upstream', status: 502 })
  }

  protected override tooLarge(what: 'head' | 'target' | 'fields'): XpsError {
    return this.bad(what === 'fields' ? 'too many fields' : 'a head that is too long')
  }

  /** An empty line that nobody asked for may be the rest of something else. */
  protected override skipBlank(_chunk: Buffer, from: number): number {
    return from
  }

  protected override parse(bytes: Buffer, start: number, end: number): number {
    if (end - start < 13) return this.#shortLine(bytes, start, end)
    this.readVersion(bytes, start)
    const status = statusOf(bytes, start + 9)
    if (bytes[start + 8] !== SP || status === 0) throw this.bad('no status')
    let at = start + 12
    // The reason phrase may be missing, and with it the space before it (as some servers do).
    if (bytes[at] === SP) {
      at++
      while (at < end && valueBytes[bytes[at] as number] === 1) at++
    }
    if (at + 1 >= end) return this.#shortLine(bytes, start, end)
    if (bytes[at] !== CR || bytes[at + 1] !== LF) throw this.bad('a start line with a control character')
    const reasonEnd = at
    const headEnd = this.parseFields(bytes, start, at + 2, end)
    if (headEnd === incomplete) return incomplete
    this.readFraming(untilClose)
    this.readConnection()
    this.declared = this.length
    if (status < 200 || status === 204) {
      // RFC 9110, 8.6 and RFC 9112, 6.1: nothing may say how long the body is that it cannot have. Some say it of a 204;
      // its peer may think that a body follows, so nothing else is read from there.
      if (this.length > 0 || this.length === chunked) {
        if (status !== 204) throw this.bad('a body where there can be none')
        this.keepAlive = false
      }
      this.declared = untilClose
      this.length = 0
    } else if (this.forHead || status === 304) this.length = 0
    else if (this.length === untilClose) this.keepAlive = false
    const reason = this.text.slice(13, Math.max(13, reasonEnd - start))
    this.head = new ResponseHead(status, reason, this.version, this.fields)
    return headEnd
  }

  #shortLine(bytes: Buffer, start: number, end: number): number {
    if (end - start >= this.limits.headBytes) throw this.tooLarge('head')
    // What cannot become a response is known at its first bytes.
    const most = Math.min(end - start, 7)
    for (let index = 0; index < most; index++) {
      if (bytes[start + index] !== 'HTTP/1.'.charCodeAt(index)) throw this.bad('no HTTP/1 version')
    }
    if (bytes[end - 1] === LF) throw this.bad('no status')
    return incomplete
  }
}

const longestMethod = 32
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
const noRequest = new RequestHead('', '', '1.1', noFields, '')
const noResponse = new ResponseHead(0, '', '1.1', noFields)

/** Without the blanks around it; `trim` would take a no-break space as well, which is text here. */
function trimmed(word: string): string {
  return word.replace(/^[\t ]+|[\t ]+$/g, '')
}

function methodOf(bytes: Buffer, start: number, end: number): string {
  if (end - start === 3 && bytes[start] === 0x47 && bytes[start + 1] === 0x45 && bytes[start + 2] === 0x54) return 'GET'
  return bytes.toString('latin1', start, end)
}

/** Three digits, the first from 1 to 9; 0 if they are not. */
function statusOf(bytes: Buffer, at: number): number {
  const first = (bytes[at] as number) - 0x30
  const second = (bytes[at + 1] as number) - 0x30
  const third = (bytes[at + 2] as number) - 0x30
  if (first < 1 || first > 9 || second < 0 || second > 9 || third < 0 || third > 9) return 0
  return first * 100 + second * 10 + third
}

let lastAuthority = ''

/** Whether it is a host with or without a port. The last good one is remembered: the same come again and again. */
function checkAuthority(given: string): boolean {
  if (given === lastAuthority) return true
  const match = given.length > 255 + 6 ? null : hostAndPort.exec(given)
  if (match === null || Number(match[2] ?? 0) > 65_535) return false
  if (match[1] !== undefined && !URL.canParse(`http://${match[1]}/`)) return false
  lastAuthority = given
  return true
}

/** An IPv6 address or a name, and a port; or nothing, which says that there is no name (RFC 9110, 7.2). */
const hostAndPort = /^(?:(?:(\[[\dA-Fa-f:.]{2,45}\])|(?:[\w.~-]|%[\dA-Fa-f]{2})+)(?::(\d{1,5}))?)?$/

/** Whether a `Host` says what the target of CONNECT does; clients leave the port out. */
function isHostOf(target: string, host: string): boolean {
  const wanted = target.toLowerCase()
  const given = host.toLowerCase()
  return given === wanted || given === wanted.slice(0, wanted.lastIndexOf(':'))
}

/** Reads the trailer section of a chunked body, which is fields and an empty line. */
export class TrailerReader extends HeadReader {
  readonly #of: 'request' | 'response'

  constructor(of: 'request' | 'response', limits: HeadLimits) {
    super(limits)
    this.#of = of
  }

  get trailers(): Fields {
    return this.fields
  }

  /** The empty line is its end, also at once. */
  protected override skipBlank(_chunk: Buffer, from: number): number {
    return from
  }

  protected override get hasStartLine(): boolean {
    return false
  }

  protected override bad(what: string): XpsError {
    const code = this.#of === 'request' ? 'XPS_BAD_REQUEST' : 'XPS_BAD_RESPONSE'
    const origin = this.#of === 'request' ? 'client' : 'upstream'
    return new XpsError(code, `the ${this.#of}'s trailers have ${what}`, {
      origin,
      status: this.#of === 'request' ? 400 : 502,
    })
  }

  protected override tooLarge(): XpsError {
    return this.bad('too many bytes or fields')
  }

  protected override parse(bytes: Buffer, start: number, end: number): number {
    const sectionEnd = this.parseFields(bytes, start, start, end)
    // RFC 9110, 6.5.1: what frames or routes a message has no place after it.
    if (sectionEnd !== incomplete && this.hosts + this.lengths + this.codings > 0) {
      throw this.bad('fields that belong into a head')
    }
    return sectionEnd
  }
}
