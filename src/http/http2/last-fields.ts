import { FieldBlock } from '../field-block.ts'
import { marksPerField } from '../fields.ts'

/** Characters of the fields that are kept. */
const mostKept = 4 * 1024
/** So many requests in a row whose fields are unlike those before, and none are kept any more. */
const mostMisses = 8

/** What has been read of the fields of a request, and found good: each has its kind, and there is a bit for each that is there. */
export interface ListedFields {
  readonly list: readonly string[]
  readonly kinds: readonly number[]
  readonly present: number
  /** As limits count. */
  readonly bytes: number
}

/**
 * The fields of the last request of a connection of HTTP/2. Browsers, and programs all the more, say the same with one request
 * after the other: what is equal to what was read, name by name and value by value, need not be read again, and what
 * is made of it for an upstream not made again.
 */
export class LastFields {
  #raw: readonly string[] | undefined
  /** Where the fields begin, behind the pseudo-fields. */
  #from = 0
  #authority = ''
  #bytes = 0
  /** Made when they have come twice. */
  #block: FieldBlock | undefined
  #again = false
  #misses = -1

  /** How many bytes the fields are that were found to be repeated last. */
  get bytes(): number {
    return this.#bytes
  }

  /** The fields of the last request, if those of this one are the same; they begin at `from`. */
  repeated(raw: readonly string[], from: number, authority: string | undefined): FieldBlock | undefined {
    const last = this.#raw
    this.#again = false
    if (last === undefined || authority !== this.#authority || raw.length - from !== last.length - this.#from) {
      return undefined
    }
    for (let at = from, old = this.#from; at < raw.length; at++, old++) if (raw[at] !== last[old]) return undefined
    this.#misses = 0
    this.#again = this.#block === undefined
    return this.#block
  }

  /**
   * Keeps what was read, in the place of what was kept. It must not depend on anything but the fields, and the authority; the
   * lists may change later.
   */
  keep(raw: readonly string[], from: number, authority: string, listed: ListedFields): void {
    if (this.#again) {
      this.#again = false
      this.#block = blockOf(listed)
      return
    }
    if (this.#misses >= mostMisses || listed.bytes > mostKept) return this.forget()
    this.#misses++
    this.#raw = raw
    this.#from = from
    this.#authority = authority
    this.#bytes = listed.bytes
    this.#block = undefined
  }

  /** Lets go of what was kept. */
  forget(): void {
    this.#raw = this.#block = undefined
    this.#again = false
  }
}

/** The fields as HTTP/1 would have sent them. */
function blockOf({ list, kinds, present }: ListedFields): FieldBlock {
  const marks: number[] = new Array((list.length / 2) * marksPerField)
  let text = ''
  for (let at = 0, mark = 0; at < list.length; at += 2, mark += marksPerField) {
    const name = list[at] as string
    const value = list[at + 1] as string
    const start = text.length
    text += `${name}: ${value}\r\n`
    marks[mark] = start
    marks[mark + 1] = start + name.length
    marks[mark + 2] = start + name.length + 2
    marks[mark + 3] = start + name.length + 2 + value.length
    marks[mark + 4] = kinds[at / 2] as number
  }
  // In memory of its own, and in one piece: it is sent, and looked at, often.
  const block = new FieldBlock(Buffer.from(text, 'latin1').toString('latin1'), marks, present)
  block.repeated = true
  return block
}
