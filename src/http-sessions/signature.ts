import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'
import { invalidOption } from '../options.ts'

/** As long as what SHA-256 gives (RFC 2104, 3): a shorter key is easier to guess than the signature is. */
const shortestKey = 32
const mostKeys = 16

/** Signs texts with the newest key, and knows what any of the keys has signed (HMAC-SHA-256). */
export class Signer {
  readonly #keys: readonly KeyObject[]

  /** Throws `XPS_INVALID_OPTION`, with `name` in it and never a key. */
  constructor(name: string, keys: readonly (string | Uint8Array)[]) {
    if (!Array.isArray(keys) || keys.length === 0 || keys.length > mostKeys) {
      throw invalidOption(
        name,
        Array.isArray(keys) ? `${keys.length}` : 'something else',
        `a list of 1 to ${mostKeys} keys, the newest first`,
      )
    }
    this.#keys = keys.map((key, index) => secretKey(`${name}[${index}]`, key as string | Uint8Array))
  }

  /** The signature by the newest key: 43 characters of base64url. */
  sign(text: string): string {
    return signatureOf(this.#keys[0] as KeyObject, text)
  }

  /** Which key has signed the text, 0 for the newest; less if none has. Takes as long whatever the signature says. */
  signedBy(text: string, signature: string): number {
    const given = Buffer.from(signature, 'latin1')
    let found = -1
    for (let index = this.#keys.length - 1; index >= 0; index--) {
      const expected = Buffer.from(signatureOf(this.#keys[index] as KeyObject, text), 'latin1')
      if (given.length === expected.length && timingSafeEqual(given, expected)) found = index
    }
    return found
  }
}

/** A key for HMAC, of 32 bytes or more. Throws `XPS_INVALID_OPTION`. */
export function secretKey(name: string, key: string | Uint8Array): KeyObject {
  const bytes = typeof key === 'string' ? Buffer.from(key) : key
  if (!(bytes instanceof Uint8Array) || bytes.length < shortestKey) {
    const given = bytes instanceof Uint8Array ? `${bytes.length} bytes` : 'something else'
    throw invalidOption(name, given, `text or bytes, ${shortestKey} bytes or more`)
  }
  return createSecretKey(bytes)
}

/** HMAC-SHA-256 of a text, as base64url. */
export function signatureOf(key: KeyObject, text: string): string {
  return createHmac('sha256', key).update(text).digest('base64url')
}
