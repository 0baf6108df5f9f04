import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto'
import { invalidOption } from '../../options.ts'
import type { ByteString } from '../codec/byte-string.ts'

/** A key: 32 bytes, or 64 hexadecimal digits. */
export type EncryptionKey = Uint8Array | string

const algorithm = 'aes-256-gcm'
const version = 1
const nonceLength = 12
const tagLength = 16
const nameLength = 4
const headLength = 1 + nameLength + nonceLength

interface Key {
  readonly name: Buffer
  readonly bytes: Buffer
}

/**
 * Encrypts what a session holds, with a key of the session's own that is made of ours and its id.
 *
 * ```
 *   1 | name of the key (4) | nonce (12) | AES-256-GCM of the text | tag (16)
 * ```
 *
 * As each session has a key, nonces may be random for as long as there are sessions. The id is authenticated besides.
 */
export class SessionCipher {
  readonly #keys: readonly [Key, ...Key[]]

  /** The first key encrypts; all of them decrypt. Throws `XPS_INVALID_OPTION`. */
  constructor(given: readonly EncryptionKey[]) {
    const keys = Array.isArray(given) ? given.map(keyOf) : []
    const [first, ...others] = keys
    if (first === undefined)
      throw invalidOption('keys', given, 'a list of keys: 32 bytes or 64 hexadecimal digits each')
    const names = new Set(keys.map(({ name }) => name.toString('hex')))
    if (names.size < keys.length) throw invalidOption('keys', 'one twice', 'a list of keys that differ')
    this.#keys = [first, ...others]
  }

  encrypt(id: string, text: ByteString): ByteString {
    const [{ name, bytes }] = this.#keys
    const nonce = randomBytes(nonceLength)
    const cipher = createCipheriv(algorithm, keyFor(bytes, id), nonce, { authTagLength: tagLength })
    cipher.setAAD(Buffer.from(id, 'latin1'))
    const sealed = Buffer.concat([cipher.update(text, 'latin1'), cipher.final()])
    return Buffer.concat([Buffer.from([version]), name, nonce, sealed, cipher.getAuthTag()]).toString('latin1')
  }

  /** Throws an error that says why not. */
  decrypt(id: string, sealed: ByteString): ByteString {
    const bytes = Buffer.from(sealed, 'latin1')
    if (bytes.length < headLength + tagLength || bytes[0] !== version) throw new Error('it is no text of ours')
    const name = bytes.subarray(1, 1 + nameLength)
    const key = this.#keys.find((one) => one.name.equals(name))
    if (key === undefined) throw new Error('its key is not among the keys')
    const nonce = bytes.subarray(1 + nameLength, headLength)
    const decipher = createDecipheriv(algorithm, keyFor(key.bytes, id), nonce, { authTagLength: tagLength })
    decipher.setAAD(Buffer.from(id, 'latin1'))
    decipher.setAuthTag(bytes.subarray(-tagLength))
    const text = decipher.update(bytes.subarray(headLength, -tagLength), undefined, 'latin1')
    try {
      return text + decipher.final('latin1')
    } catch {
      throw new Error('it was changed, or is of another session')
    }
  }
}

function keyOf(given: EncryptionKey): Key {
  const isText = typeof given === 'string' && /^[0-9a-f]{64}$/i.test(given)
  if (!isText && !(given instanceof Uint8Array && given.length === 32)) {
    // What was given is not shown: it may be a key all the same.
    throw invalidOption('keys', 'something else', 'a list of keys: 32 bytes or 64 hexadecimal digits each')
  }
  const bytes = isText ? Buffer.from(given, 'hex') : Buffer.from(given as Uint8Array)
  return {
    name: createHmac('sha256', bytes).update('xps/state: name of a key').digest().subarray(0, nameLength),
    bytes,
  }
}

function keyFor(key: Buffer, id: string): Buffer {
  return createHmac('sha256', key).update(`xps/state: key of session ${id}`).digest()
}
