import type { Answer } from '../messages.ts'
import { codings } from './codings.ts'
import type { FileState } from './disk.ts'
import type { Validators } from './preconditions.ts'

/** What a {@link Representation} is made of. */
export interface RepresentationInit {
  /** The file whose bytes are sent, or compressed. */
  readonly file: string
  /** The number of its coding in {@link codings}. */
  readonly coding: number
  /** It is compressed by us, when it is sent: its bytes are not those of the file. */
  readonly compressed: boolean
  readonly state: FileState
  readonly contentType: string
  readonly cacheControl: string | undefined
  /** Clients that accept other codings get another one. */
  readonly negotiated: boolean
  readonly extraHeaders: Readonly<Record<string, string>>
}

/** A file in one coding, in one state: what an answer is about, with its validators. */
export class Representation implements Validators {
  readonly file: string
  readonly coding: number
  readonly compressed: boolean
  readonly contentType: string
  readonly state: FileState
  readonly etag: string
  readonly lastModified: number
  /** All of it, once it is in memory. */
  body: Buffer | undefined
  /** While it is being read: whoever else needs it waits for the same. */
  loading: Promise<Representation> | undefined
  readonly #init: RepresentationInit
  #plain: Heads | undefined
  #fallback: Heads | undefined

  constructor(init: RepresentationInit) {
    this.#init = init
    this.file = init.file
    this.coding = init.coding
    this.compressed = init.compressed
    this.contentType = init.contentType
    this.state = init.state
    const tag = `"${init.state.size.toString(36)}-${Math.abs(init.state.modified).toString(36)}`
    // The same file compressed by another version of the library may be other bytes: a weak tag.
    if (init.coding === 0) this.etag = `${tag}"`
    else this.etag = `${init.compressed ? 'W/' : ''}${tag}-${codings[init.coding] as string}"`
    // RFC 9110, 8.8.2.1: never later than the answer.
    this.lastModified = Math.floor(Math.min(init.state.modified, Date.now()) / 1000) * 1000
  }

  /** How long it is; undefined as long as nobody has compressed it. */
  get length(): number | undefined {
    return this.compressed ? this.body?.length : this.state.size
  }

  /** Its heads, as what was asked for, or in place of what is not there. */
  heads(fallback: boolean): Heads {
    if (fallback) {
      this.#fallback ??= new Heads(this.#fields(true), this)
      return this.#fallback
    }
    this.#plain ??= new Heads(this.#fields(false), this)
    return this.#plain
  }

  /** Whether another one, made of this, would be the same. */
  isLike(init: RepresentationInit): boolean {
    const mine = this.#init
    return (
      mine.state.version === init.state.version &&
      mine.compressed === init.compressed &&
      mine.negotiated === init.negotiated
    )
  }

  /** The same file in another state. */
  changed(state: FileState): Representation {
    return new Representation({ ...this.#init, state })
  }

  #fields(fallback: boolean): Record<string, string> {
    const { cacheControl, negotiated, extraHeaders } = this.#init
    const fields: Record<string, string> = { 'content-type': this.contentType }
    if (this.coding !== 0) fields['content-encoding'] = codings[this.coding] as string
    fields['etag'] = this.etag
    fields['last-modified'] = new Date(this.lastModified).toUTCString()
    if (!this.compressed) fields['accept-ranges'] = 'bytes'
    if (cacheControl !== undefined) fields['cache-control'] = cacheControl
    const vary = [...(fallback ? ['accept'] : []), ...(negotiated ? ['accept-encoding'] : [])]
    if (vary.length > 0) fields['vary'] = vary.join(', ')
    return { ...fields, ...extraHeaders }
  }
}

/** The answers about a representation that are always the same, made when they are first needed. */
export class Heads {
  readonly fields: Readonly<Record<string, string>>
  /** All of it, from memory: the same frozen object each time; undefined while its bytes are not in memory. */
  whole: Answer | undefined
  readonly #of: Representation
  #head: Answer | undefined
  #notModified: Answer | undefined

  constructor(fields: Record<string, string>, of: Representation) {
    this.fields = Object.freeze(fields)
    this.#of = of
  }

  /** What HEAD gets. */
  get head(): Answer {
    const length = this.#of.length
    // The length of what is compressed is known once somebody has: a head that says it is not the one that does not.
    if (length === undefined) return { status: 200, headers: this.fields }
    this.#head ??= frozen({ status: 200, headers: Object.freeze({ ...this.fields, 'content-length': String(length) }) })
    return this.#head
  }

  /** RFC 9110, 15.4.5: what helps to keep the copy that the client has, and no more. */
  get notModified(): Answer {
    if (this.#notModified === undefined) {
      const { 'content-type': _type, 'content-encoding': _coding, 'accept-ranges': _ranges, ...fields } = this.fields
      this.#notModified = frozen({ status: 304, headers: Object.freeze(fields) })
    }
    return this.#notModified
  }

  /** Makes {@link whole}, of the bytes in memory. */
  keep(body: Buffer): Answer {
    this.whole ??= frozen({ status: 200, headers: this.fields, body })
    return this.whole
  }
}

function frozen(answer: Answer): Answer {
  return Object.freeze(answer)
}
