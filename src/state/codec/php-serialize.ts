import { type ByteString, cutLoose } from './byte-string.ts'

/** A value that is no string in PHP: a number, a boolean, null or an array, kept as PHP's `serialize` writes it. */
export class PhpValue {
  readonly serialized: ByteString

  constructor(serialized: ByteString) {
    this.serialized = serialized
  }

  /** What PHP makes of it where it wants a string; undefined for an array, of which it can make none. */
  get text(): ByteString | undefined {
    const kind = this.serialized[0]
    if (kind === 'i' || kind === 'd') return this.serialized.slice(2, -1)
    if (kind === 'b') return this.serialized === 'b:1;' ? '1' : ''
    return kind === 'N' ? '' : undefined
  }
}

/** What a key of a shared session has. */
export type StateValue = ByteString | PhpValue

/** The data of a shared session, in the order in which its keys were first put. */
export type StateData = Map<ByteString, StateValue>

/** What is read at most. */
export interface PhpLimits {
  /** Arrays within arrays; the outermost is 1. @default 32 */
  depth?: number
  /** Entries of all arrays together. @default 100000 */
  items?: number
}

/** What was read, and where it ended. */
export interface PhpArray {
  data: StateData
  end: number
}

/**
 * Reads one array in the format of PHP's `serialize`: null, booleans, numbers, strings and arrays of these. Undefined if
 * it is none, or holds anything else (objects, references), or more than the limits allow.
 *
 * The length of a string counts bytes. One that only fits as a count of characters is taken for that, because the
 * reference counts Latin-1 bytes and sends UTF-8. What follows the array is left to the caller.
 */
export function readPhpArray(bytes: ByteString, limits: PhpLimits = {}): PhpArray | undefined {
  return new PhpReader(bytes, limits).read()
}

/** Writes data the way PHP's `serialize` does: keys that look like numbers are numbers. */
export function writePhpArray(data: ReadonlyMap<ByteString, StateValue>): ByteString {
  let text = `a:${data.size}:{`
  for (const [key, value] of data) {
    text += isNumber(key) ? `i:${key};` : `s:${key.length}:"${key}";`
    text += typeof value === 'string' ? `s:${value.length}:"${value}";` : value.serialized
  }
  return `${text}}`
}

const widest = 2n ** 63n

/** Whether PHP takes a key for a number: as it would write one, and within 64 bits. */
function isNumber(key: ByteString): boolean {
  const { length } = key
  const first = key.charCodeAt(0)
  if (length === 0 || length > 20 || (first !== 45 && (first < 48 || first > 57))) return false
  if (!/^(0|-?[1-9]\d*)$/.test(key)) return false
  if (length < 16) return true
  const number = BigInt(key)
  return number < widest && number >= -widest
}

const defaultLimits: Required<PhpLimits> = { depth: 32, items: 100_000 }

// What stands between the letter and the semicolon.
const integer = /^[+-]?\d{1,30}$/
const float = /^(?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:E[+-]?\d+)?|-?INF|NAN)$/i

class PhpReader {
  readonly #bytes: ByteString
  readonly #depth: number
  #items: number
  #at = 0

  constructor(bytes: ByteString, limits: PhpLimits) {
    this.#bytes = bytes
    this.#depth = limits.depth ?? defaultLimits.depth
    this.#items = limits.items ?? defaultLimits.items
  }

  read(): PhpArray | undefined {
    const data = this.#array(1)
    return data === undefined ? undefined : { data, end: this.#at }
  }

  /** `a:2:{key value key value}` */
  #array(depth: number): StateData | undefined {
    if (depth > this.#depth || !this.#skip('a:')) return undefined
    const count = this.#count('{')
    // An entry has six bytes at least; what announces more than there can be is not begun.
    if (count === undefined || count * 6 > this.#bytes.length - this.#at) return undefined
    this.#items -= count
    if (this.#items < 0) return undefined
    const data: StateData = new Map()
    for (let index = 0; index < count; index++) {
      const key = this.#key()
      const value = key === undefined ? undefined : this.#value(depth)
      if (key === undefined || value === undefined) return undefined
      data.set(key, value)
    }
    return this.#skip('}') ? data : undefined
  }

  #key(): ByteString | undefined {
    const kind = this.#bytes[this.#at]
    if (kind === 's') return this.#string()
    return kind === 'i' ? this.#integer() : undefined
  }

  #value(depth: number): StateValue | undefined {
    switch (this.#bytes.charAt(this.#at)) {
      case 's':
        return this.#string()
      case 'i': {
        const digits = this.#integer()
        return digits === undefined ? undefined : new PhpValue(`i:${digits};`)
      }
      case 'b':
        return this.#literal(['b:0;', 'b:1;'])
      case 'N':
        return this.#literal(['N;'])
      case 'd': {
        const digits = this.#scalar(float)
        return digits === undefined ? undefined : new PhpValue(`d:${digits};`)
      }
      case 'a': {
        const data = this.#array(depth + 1)
        return data === undefined ? undefined : new PhpValue(writePhpArray(data))
      }
      default:
        return undefined
    }
  }

  #literal(texts: readonly string[]): PhpValue | undefined {
    const text = texts.find((one) => this.#skip(one))
    return text === undefined ? undefined : new PhpValue(text)
  }

  /** `i:-5;` as PHP would write it, within 64 bits. */
  #integer(): ByteString | undefined {
    const digits = this.#scalar(integer)
    if (digits === undefined) return undefined
    const number = BigInt(digits)
    return number < widest && number >= -widest ? number.toString() : undefined
  }

  #scalar(form: RegExp): ByteString | undefined {
    const start = this.#at + 2
    const end = this.#bytes.indexOf(';', start)
    // No number is as long; without a bound a text without an end would be searched again and again.
    if (this.#bytes[this.#at + 1] !== ':' || end < 0 || end - start > 64) return undefined
    const text = this.#bytes.slice(start, end)
    if (!form.test(text)) return undefined
    this.#at = end + 1
    return cutLoose(text, this.#bytes)
  }

  /** `s:3:"abc";` */
  #string(): ByteString | undefined {
    if (!this.#skip('s:')) return undefined
    const length = this.#count('"')
    if (length === undefined) return undefined
    const start = this.#at
    const end = this.#ends(start + length) ? start + length : this.#afterCharacters(start, length)
    if (end === undefined) return undefined
    this.#at = end + 2
    return cutLoose(this.#bytes.slice(start, end), this.#bytes)
  }

  #ends(at: number): boolean {
    return this.#bytes.startsWith('";', at)
  }

  /** Where so many characters of UTF-8 end, if a string does there. */
  #afterCharacters(start: number, count: number): number | undefined {
    let at = start
    for (let left = count; left > 0; left--) {
      if (at >= this.#bytes.length) return undefined
      at++
      while ((this.#bytes.charCodeAt(at) & 0xc0) === 0x80) at++
    }
    return this.#ends(at) ? at : undefined
  }

  /** `3:` and the character that opens what was counted. */
  #count(open: string): number | undefined {
    let at = this.#at
    let count = 0
    for (; ; at++) {
      const digit = this.#bytes.charCodeAt(at) - 48
      if (!(digit >= 0 && digit <= 9)) break
      count = count * 10 + digit
      if (count > this.#bytes.length) return undefined
    }
    if (at === this.#at || !this.#bytes.startsWith(`:${open}`, at)) return undefined
    this.#at = at + 2
    return count
  }

  #skip(text: string): boolean {
    if (!this.#bytes.startsWith(text, this.#at)) return false
    this.#at += text.length
    return true
  }
}
