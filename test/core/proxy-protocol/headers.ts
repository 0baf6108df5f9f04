import type { ProxyHeader } from '../../../src/core/proxy-protocol/proxy-header.ts'
import { ProxyHeaderReader } from '../../../src/core/proxy-protocol/proxy-header-reader.ts'

/** What a header says, as plain values. */
export interface Said {
  version: 1 | 2
  local: boolean
  source: unknown
  destination: unknown
  tlvs: string[]
}

/** Reads pieces as they come, and returns the header with all that is behind it; without the former if it is not whole. */
export function read(pieces: readonly Uint8Array[], maxLength?: number): { said: Said | undefined; rest: Buffer } {
  const reader = new ProxyHeaderReader(maxLength)
  const rest: Uint8Array[] = []
  for (const piece of pieces) {
    // The memory of a piece is another's as soon as it was read.
    const borrowed = Uint8Array.from(piece)
    const used = reader.read(borrowed)
    rest.push(piece.subarray(used))
    borrowed.fill(0x58)
  }
  return { said: reader.header === undefined ? undefined : said(reader.header), rest: Buffer.concat(rest) }
}

export function said(header: ProxyHeader): Said {
  const { version, local, source, destination } = header
  const tlvs = header.tlvs.map(({ type, value }) => `${type.toString(16)}:${Buffer.from(value).toString('latin1')}`)
  return { version, local, source, destination, tlvs }
}

/** A header of version 2: version and command, family, and what stands behind the length. */
export function binary(start: string, rest = '', length: number = hex(rest).length): Buffer {
  const size = Buffer.alloc(2)
  size.writeUInt16BE(length)
  return Buffer.concat([hex('0d0a0d0a000d0a515549540a'), hex(start), size, hex(rest)])
}

/** Bytes in hexadecimal, with blanks wherever they help. */
export function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex')
}

/** Type, length and value in hexadecimal. */
export function tlv(type: string, value: string | Buffer): string {
  const bytes = Buffer.from(value)
  return `${type}${bytes.length.toString(16).padStart(4, '0')}${bytes.toString('hex')}`
}
