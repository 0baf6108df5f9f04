import type { ReadyHead } from './client-stream.ts'
import { Fields, known } from './fields.ts'
import type { ResponseHead } from './messages.ts'

/** What the codec writes itself, and what no answer of ours has a say in. */
const written =
  (1 << known['content-length']) |
  (1 << known['transfer-encoding']) |
  (1 << known.connection) |
  (1 << known['keep-alive']) |
  (1 << known.upgrade)

let second = -1
let dateText = ''

/** The present moment as `Date` has it (RFC 9110, 5.6.7); made once a second. */
export function httpDate(): string {
  const now = Math.floor(Date.now() / 1000)
  if (now !== second) {
    second = now
    dateText = new Date(now * 1000).toUTCString()
  }
  return dateText
}

/** The head of an answer that is made here. */
export class OwnHead implements ReadyHead {
  readonly #head: ResponseHead

  constructor(head: ResponseHead) {
    this.#head = head
  }

  get status(): number {
    return this.#head.status
  }

  get reason(): string {
    return this.#head.reason
  }

  block(): string {
    const { headers } = this.#head
    const block = headers.serialize(written)
    return headers.has('date') ? block : `${block}date: ${httpDate()}\r\n`
  }

  pairs(pairs: string[]): string[] {
    const { headers } = this.#head
    headers.pairs(pairs, written)
    if (!headers.has('date')) pairs.push('date', httpDate())
    return pairs
  }

  /** Those who answer here have no trailers to send. */
  get trailed(): boolean {
    return false
  }

  fields(): Fields {
    const fields = new Fields()
    const { headers } = this.#head
    for (let index = 0; index < headers.size; index++) {
      if (((written >>> headers.kindAt(index)) & 1) === 1 && headers.kindAt(index) !== 0) continue
      fields.append(headers.nameAt(index), headers.valueAt(index))
    }
    if (!headers.has('date')) fields.append('date', httpDate())
    return fields
  }
}
