import { createHash } from 'node:crypto'
import type { ByteString } from './codec/byte-string.ts'
import { type StateValue, writePhpArray } from './codec/php-serialize.ts'

/** What names the content of a session: the same for the same keys and values in the same order, and for nothing else. */
export function versionOf(data: ReadonlyMap<ByteString, StateValue>): string {
  return createHash('sha256').update(writePhpArray(data), 'latin1').digest('hex').slice(0, 32)
}
