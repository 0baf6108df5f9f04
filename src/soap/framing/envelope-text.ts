import { isUtf8 } from 'node:buffer'
import { TextDecoder } from 'node:util'
import { Rejection } from '../rejection.ts'
import type { TextEncoding } from './framing.ts'

/** Makes text of the bytes of an envelope, as they come; what is not in the encoding is refused. */
export class EnvelopeText {
  readonly #encoding: TextEncoding
  #decoder: TextDecoder | undefined

  constructor(encoding: TextEncoding) {
    this.#encoding = encoding
  }

  decode(bytes: Buffer, last: boolean): string {
    if (this.#decoder === undefined && last && this.#encoding === 'utf-8') {
      if (!isUtf8(bytes)) throw notText(this.#encoding)
      return bytes.toString()
    }
    this.#decoder ??= new TextDecoder(this.#of(bytes), { fatal: true, ignoreBOM: true })
    const decoder = this.#decoder
    if (last) this.#decoder = undefined
    try {
      return decoder.decode(bytes, { stream: !last })
    } catch {
      throw notText(this.#encoding)
    }
  }

  /** A mark at the start may say that the low byte comes first. */
  #of(bytes: Buffer): string {
    return this.#encoding === 'utf-16be' && bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le' : this.#encoding
  }
}

function notText(encoding: TextEncoding): Rejection {
  return new Rejection('xml', `bytes that are not ${encoding}`)
}
