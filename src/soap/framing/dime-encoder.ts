import { envelopeNamespaces, type SoapVersion } from '../names.ts'
import type { Attachment } from './framing.ts'

/** Bits of the first byte of a record: version 1, and what it is in its message. */
export const dimeFlags = { version: 0x08, first: 0x04, last: 0x02, chunked: 0x01 } as const

/** Codes of the type formats, as they stand in the upper half of the second byte. */
export const dimeFormats = { unchanged: 0, 'media-type': 1, uri: 2, unknown: 3, none: 4 } as const

/** One record, as {@link encodeDimeRecord} writes it. */
export interface DimeRecord {
  /** A sum of {@link dimeFlags}, without the version. */
  readonly flags: number
  readonly format: keyof typeof dimeFormats
  readonly type?: string
  readonly id?: Uint8Array
  readonly data?: Uint8Array
}

const nothing = new Uint8Array(0)

/** Writes one record of any kind. */
export function encodeDimeRecord(record: DimeRecord): Buffer {
  const id = record.id ?? nothing
  const type = Buffer.from(record.type ?? '')
  const data = record.data ?? nothing
  const bytes = Buffer.alloc(12 + padded(id.length) + padded(type.length) + padded(data.length))
  bytes[0] = dimeFlags.version | record.flags
  bytes[1] = dimeFormats[record.format] << 4
  bytes.writeUInt16BE(id.length, 4)
  bytes.writeUInt16BE(type.length, 6)
  bytes.writeUInt32BE(data.length, 8)
  bytes.set(id, 12)
  bytes.set(type, 12 + padded(id.length))
  bytes.set(data, 12 + padded(id.length) + padded(type.length))
  return bytes
}

/** What stands before the data of a record that is a whole message, but for the length of the data. */
const heads: Readonly<Record<SoapVersion, Buffer>> = {
  '1.1': encodeDimeRecord({ flags: dimeFlags.first | dimeFlags.last, format: 'uri', type: envelopeNamespaces['1.1'] }),
  '1.2': encodeDimeRecord({ flags: dimeFlags.first | dimeFlags.last, format: 'uri', type: envelopeNamespaces['1.2'] }),
}

/** Writes a message: its envelope in one record, and one more for each attachment. */
export function encodeDime(version: SoapVersion, envelope: string, attachments: readonly Attachment[] = []): Buffer {
  const head = heads[version]
  const length = Buffer.byteLength(envelope)
  const end = head.length + length
  const bytes = Buffer.allocUnsafe(padded(end))
  head.copy(bytes)
  bytes.writeUInt32BE(length, 8)
  bytes.write(envelope, head.length)
  bytes.fill(0, end)
  if (attachments.length === 0) return bytes
  bytes[0] = dimeFlags.version | dimeFlags.first
  const records = attachments.map(({ id, type, typeFormat, data }, index) =>
    encodeDimeRecord({
      flags: index === attachments.length - 1 ? dimeFlags.last : 0,
      format: typeFormat ?? (type === '' ? 'unknown' : 'media-type'),
      type,
      id: Buffer.from(id),
      data,
    }),
  )
  return Buffer.concat([bytes, ...records])
}

function padded(length: number): number {
  return (length + 3) & ~3
}
