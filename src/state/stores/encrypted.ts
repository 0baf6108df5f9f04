import { asXpsError, reasonOf, type XpsError } from '../../errors.ts'
import { invalidOption, knownOptions } from '../../options.ts'
import { after } from '../ask.ts'
import type { ByteString } from '../codec/byte-string.ts'
import { readPhpArray, type StateData, type StateValue, writePhpArray } from '../codec/php-serialize.ts'
import type { Container, Stored } from '../container.ts'
import { Undecipherable } from '../undecipherable.ts'
import { type EncryptionKey, SessionCipher } from './session-cipher.ts'

/** Options of {@link encrypted}. */
export interface EncryptedOptions {
  /** Keys, 32 bytes or 64 hexadecimal digits each: the first is written with, and all of them are read with. */
  keys: readonly EncryptionKey[]
  /** Whether sessions that are not encrypted are read too: while those expire that were there before. @default false */
  plain?: boolean
}

/** The one key that an encrypted session has in its container. */
const only: ByteString = '\0xps encrypted'

/**
 * A container that keeps what sessions hold in another one, encrypted: AES-256-GCM over all keys and values of a session
 * together, bound to its id. Ids, times and about how much there is stay readable. Every commit writes the session as a
 * whole. Who has no fitting key, or finds a text that was changed, is told `XPS_READ`.
 *
 * ```ts
 * new SharedSessions(encrypted(new FileStore('sessions'), { keys: [key] }))
 * ```
 */
export function encrypted(container: Container, options: EncryptedOptions): Container {
  knownOptions('encrypted options', options, ['keys', 'plain'])
  const { keys, plain = false } = options
  if (typeof container !== 'object' || container === null || typeof container.read !== 'function') {
    throw invalidOption('container', container, 'a container, such as new FileStore()')
  }
  if (typeof plain !== 'boolean') throw invalidOption('plain', plain, 'true or false')
  const cipher = new SessionCipher(keys)
  const decrypt = (id: string, stored: Stored | undefined): Stored | undefined => {
    if (stored === undefined) return undefined
    const sealed = stored.data.get(only)
    if (typeof sealed === 'string') return { ...stored, data: opened(cipher, id, sealed, stored) }
    if (plain) return stored
    throw failure('it is not encrypted', stored)
  }
  const { lock, sweep, open, close, expiresAlone } = container
  return {
    name: container.name,
    read: (id) => after(container.read(id), (stored) => decrypt(id, stored)),
    commit(id, stored, commit) {
      const data = new Map<ByteString, StateValue>([[only, cipher.encrypt(id, writePhpArray(stored.data))]])
      return container.commit(id, { ...stored, data }, { ...commit, changes: { cleared: true, keys: data } })
    },
    destroy: (id, fence) => container.destroy(id, fence),
    touch: (id, expires, fence) => container.touch(id, expires, fence),
    list: () => container.list(),
    // What a container does not have, this one has not either: it is asked for that.
    ...(open === undefined ? {} : { open: open.bind(container) }),
    ...(close === undefined ? {} : { close: close.bind(container) }),
    ...(sweep === undefined ? {} : { sweep: sweep.bind(container) }),
    ...(lock === undefined ? {} : { lock: lock.bind(container) }),
    ...(expiresAlone === undefined ? {} : { expiresAlone }),
  }
}

function opened(cipher: SessionCipher, id: string, sealed: ByteString, stored: Stored): StateData {
  try {
    const array = readPhpArray(cipher.decrypt(id, sealed), { items: Number.POSITIVE_INFINITY })
    if (array === undefined) throw new Error('it is no serialized array')
    return array.data
  } catch (error) {
    throw failure(reasonOf(error), stored)
  }
}

function failure(reason: string, { expires }: Stored): XpsError {
  return asXpsError(new Undecipherable(reason, expires), 'XPS_READ', 'a session cannot be decrypted')
}
