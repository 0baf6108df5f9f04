import { XpsError } from '../../errors.ts'
import type { Fields } from '../fields.ts'
import { type HeadLimits, HeadReader, incomplete } from './head-reader.ts'

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
