import { readPhpArray, writePhpArray } from '../codec/php-serialize.ts'
import type { Stored } from '../container.ts'

// Created, expires, idle (not a number for none), then the keys and values as PHP's `serialize` writes them.
const head = 24

/** A session as it is kept. */
export function encodeStored({ data, created, expires, idle }: Stored): Buffer {
  const text = writePhpArray(data)
  const bytes = room(head + text.length)
  bytes.writeDoubleLE(created, 0)
  bytes.writeDoubleLE(expires, 8)
  bytes.writeDoubleLE(idle ?? Number.NaN, 16)
  bytes.write(text, head, 'latin1')
  return bytes
}

// Node's own pool is small: the engine asks for the address of every piece of memory, and each is work for the collector.
const slabSize = 256 * 1024
let slab = Buffer.alloc(0)
let used = 0

function room(size: number): Buffer {
  if (size > slabSize / 8) return Buffer.allocUnsafeSlow(size)
  if (used + size > slab.length) {
    slab = Buffer.allocUnsafeSlow(slabSize)
    used = 0
  }
  used += size
  return slab.subarray(used - size, used)
}

/** The reverse of {@link encodeStored}; throws for what it cannot have made. The bytes are not needed afterwards. */
export function decodeStored(bytes: Buffer): Stored {
  const array = readPhpArray(bytes.toString('latin1', head), { items: 1_000_000 })
  if (array === undefined) throw new Error('no serialized array')
  const [created, expires, idle] = [bytes.readDoubleLE(0), bytes.readDoubleLE(8), bytes.readDoubleLE(16)]
  return { data: array.data, created, expires, idle: Number.isNaN(idle) ? undefined : idle }
}

/** Whether another id has taken the place of the session in these bytes. */
export function isRetired(bytes: Buffer): boolean {
  return bytes.readDoubleLE(16) === -1
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
