import { invalidOption } from '../../options.ts'
import type { ByteString } from '../codec/byte-string.ts'

// What the reference's commands can carry: a key is one word, a value the rest of a line, and both ends of a line are
// trimmed.

/** Whether a key can be said as one word. */
export function isPlainKey(key: ByteString): boolean {
  return !/[\s\0\v]/.test(key)
}

/** Whether a value can stand at the end of a line. */
export function isPlainValue(value: ByteString): boolean {
  return !/[\r\n]|[ \t\0\v]$/.test(value)
}

/** Refuses what a server that knows only the reference's commands cannot be told. */
export function mustBePlain(key: ByteString, value: ByteString = ''): void {
  if (!isPlainKey(key)) throw invalidOption('key', key, 'without blanks and line ends, for a server without mput')
  if (!isPlainValue(value)) {
    throw invalidOption('value', 'such a one', 'in one line and not end with a blank, for a server without mput')
  }
}
