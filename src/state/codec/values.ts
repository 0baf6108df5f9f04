import type { ByteString } from './byte-string.ts'
import { PhpValue, type StateValue } from './php-serialize.ts'

/** What a value is where a string is wanted; of an array, what PHP's `serialize` makes of it. */
export function textOf(value: StateValue): ByteString {
  return typeof value === 'string' ? value : (value.text ?? value.serialized)
}

/** How many bytes a value counts. */
export function lengthOf(value: StateValue): number {
  return typeof value === 'string' ? value.length : value.serialized.length
}

/** Whether two values are the same. */
export function sameValue(one: StateValue | undefined, other: StateValue): boolean {
  if (one instanceof PhpValue && other instanceof PhpValue) return one.serialized === other.serialized
  return one === other
}
