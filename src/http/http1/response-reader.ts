import { XpsError } from '../../errors.ts'
import { Fields } from '../fields.ts'
import { ResponseHead } from '../messages.ts'
import { CR, LF, SP, valueBytes } from './grammar.ts'
import { chunked, HeadReader, incomplete, untilClose } from './head-reader.ts'

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
    const reason = phraseOf(bytes, start + 13, at)
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

const noResponse = new ResponseHead(0, '', '1.1', new Fields())

/** Three digits, the first from 1 to 9; 0 if they are not. */
function statusOf(bytes: Buffer, at: number): number {
  const first = (bytes[at] as number) - 0x30
  const second = (bytes[at + 1] as number) - 0x30
  const third = (bytes[at + 2] as number) - 0x30
  if (first < 1 || first > 9 || second < 0 || second > 9 || third < 0 || third > 9) return 0
  return first * 100 + second * 10 + third
}

function phraseOf(bytes: Buffer, start: number, end: number): string {
  if (end - start === 2 && bytes[start] === 0x4f && bytes[start + 1] === 0x4b) return 'OK'
  return start < end ? bytes.toString('latin1', start, end) : ''
}
