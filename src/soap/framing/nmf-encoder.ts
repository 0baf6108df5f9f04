import type { TextEncoding } from './framing.ts'
import { type NmfEncoding, type NmfFault, nmfFaultPrefix, nmfRecords } from './nmf.ts'

/** What a client says first: duplex, where it wants to go, and how it speaks. */
export function encodeNmfPreamble(via: string, encoding: NmfEncoding): Buffer {
  const address = Buffer.from(via)
  return Buffer.concat([
    Buffer.from([nmfRecords.version, 1, 0, nmfRecords.mode, 2, nmfRecords.via, ...sizeBytes(address.length)]),
    address,
    Buffer.from([nmfRecords.knownEncoding, encoding.code, nmfRecords.preambleEnd]),
  ])
}

/** That the preamble is accepted. */
export const nmfPreambleAck: Buffer = Buffer.from([nmfRecords.preambleAck])

/** That nothing more is sent. */
export const nmfEnd: Buffer = Buffer.from([nmfRecords.end])

/** Why the connection is over. */
export function encodeNmfFault(fault: NmfFault): Buffer {
  const text = Buffer.from(`${nmfFaultPrefix}${fault}`)
  return Buffer.concat([Buffer.from([nmfRecords.fault, ...sizeBytes(text.length)]), text])
}

/** Writes a message. */
export function encodeNmf(envelope: string, encoding: TextEncoding): Buffer {
  const bom = encoding === 'utf-16be' ? 2 : 0
  const length = encoding === 'utf-8' ? Buffer.byteLength(envelope) : envelope.length * 2 + bom
  const size = sizeBytes(length)
  const at = 1 + size.length
  const bytes = Buffer.allocUnsafe(at + length)
  bytes[0] = nmfRecords.sizedEnvelope
  bytes.set(size, 1)
  if (encoding === 'utf-8') bytes.write(envelope, at)
  else bytes.write(envelope, at + bom, 'utf16le')
  if (encoding === 'utf-16be') {
    bytes.writeUInt16LE(0xfeff, at)
    bytes.subarray(at).swap16()
  }
  return bytes
}

function sizeBytes(size: number): number[] {
  const bytes: number[] = []
  let left = size
  while (left >= 0x80) {
    bytes.push((left & 0x7f) | 0x80)
    left >>>= 7
  }
  bytes.push(left)
  return bytes
}
