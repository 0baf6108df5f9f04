import { readPhpArray, writePhpArray } from '../codec/php-serialize.ts'
import type { Stored } from '../container.ts'

// Created, expires, idle (not a number for none), then the keys and values as PHP's `serialize` writes them.
const head = 24

/** A session as it is kept. */
export function encodeStored({ data, created, expires, idle }: Stored): Buffer {
  const text = writePhpArray(data)
  const bytes = Buffer.allocUnsafe(head + text.length)
  bytes.writeDoubleLE(created, 0)
  bytes.writeDoubleLE(expires, 8)
  bytes.writeDoubleLE(idle ?? Number.NaN, 16)
  bytes.write(text, head, 'latin1')
  return bytes
}

/** The reverse of {@link encodeStored}; throws for what it cannot have made. The bytes are not needed afterwards. */
export function decodeStored(bytes: Buffer): Stored {
  const array = readPhpArray(bytes.toString('latin1', head), { items: 1_000_000 })
  if (array === undefined) throw new Error('no serialized array')
  const [created, expires, idle] = [bytes.readDoubleLE(0), bytes.readDoubleLE(8), bytes.readDoubleLE(16)]
  return { data: array.data, created, expires, idle: Number.isNaN(idle) ? undefined : idle }
}

/** A moment in milliseconds since 1970, or never, as it is kept. */
export function encodeTime(moment: number): Buffer {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeDoubleLE(moment)
  return bytes
}

/** The reverse of {@link encodeTime}. */
export function decodeTime(bytes: Buffer): number {
  return bytes.readDoubleLE(0)
}
