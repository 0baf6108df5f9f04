import { XpsError } from '../../errors.ts'
import { checkAuthority } from '../authority.ts'
import { Fields } from '../fields.ts'
import { RequestHead } from '../messages.ts'
import { CR, LF, pathBytes, queryBytes, SP, tokenBytes } from './grammar.ts'
import { HeadReader, incomplete, longestMethod } from './head-reader.ts'

/** Reads heads of requests. */
export class RequestReader extends HeadReader {
  head: RequestHead = noRequest
  /** The client waits for a 100 before it sends the body. */
  expectsContinue = false
  /** The last Host that was found good. */
  #goodHost = ''

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
    const target = bytes.toString('latin1', targetStart, targetEnd)
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
    if (this.hosts === 1) {
      if (this.hostValue === this.#goodHost && this.#goodHost !== '') return this.hostValue
      if (!checkAuthority(this.hostValue)) return this.#badHost()
      this.#goodHost = this.hostValue
      return this.hostValue
    }
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

const noRequest = new RequestHead('', '', '1.1', new Fields(), '')

function methodOf(bytes: Buffer, start: number, end: number): string {
  if (end - start === 3 && bytes[start] === 0x47 && bytes[start + 1] === 0x45 && bytes[start + 2] === 0x54) return 'GET'
  return bytes.toString('latin1', start, end)
}

/** Whether a `Host` says what the target of CONNECT does; clients leave the port out. */
function isHostOf(target: string, host: string): boolean {
  const wanted = target.toLowerCase()
  const given = host.toLowerCase()
  return given === wanted || given === wanted.slice(0, wanted.lastIndexOf(':'))
}
