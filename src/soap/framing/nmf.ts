import type { SoapVersion } from '../names.ts'
import type { TextEncoding } from './framing.ts'

// .NET Message Framing, [MC-NMF]: what both of its sides have in common.

/** The first byte of each record. */
export const nmfRecords = {
  version: 0x00,
  mode: 0x01,
  via: 0x02,
  knownEncoding: 0x03,
  extensibleEncoding: 0x04,
  unsizedEnvelope: 0x05,
  sizedEnvelope: 0x06,
  end: 0x07,
  fault: 0x08,
  upgradeRequest: 0x09,
  upgradeResponse: 0x0a,
  preambleAck: 0x0b,
  preambleEnd: 0x0c,
} as const

/** What all text faults begin with. */
export const nmfFaultPrefix = 'http://schemas.microsoft.com/ws/2006/05/framing/faults/'

/** The faults that this library sends. */
export type NmfFault =
  | 'EndpointNotFound'
  | 'UnsupportedVersion'
  | 'UnsupportedMode'
  | 'ContentTypeInvalid'
  | 'ContentTypeTooLong'
  | 'ViaTooLong'
  | 'UpgradeInvalid'
  | 'MaxMessageSizeExceededFault'

/** How a connection was agreed upon: the version and encoding of all its envelopes. */
export interface NmfEncoding {
  readonly code: number
  readonly version: SoapVersion
  readonly text: TextEncoding
}

/** The text encodings by their code. Code 1 and 4 are UTF-16 in any order, and are written with the high byte first. */
export const nmfEncodings: readonly NmfEncoding[] = [
  { code: 0, version: '1.1', text: 'utf-8' },
  { code: 1, version: '1.1', text: 'utf-16be' },
  { code: 2, version: '1.1', text: 'utf-16le' },
  { code: 3, version: '1.2', text: 'utf-8' },
  { code: 4, version: '1.2', text: 'utf-16be' },
  { code: 5, version: '1.2', text: 'utf-16le' },
]

/** The encoding that our own clients ask for. */
export function nmfEncodingFor(version: SoapVersion): NmfEncoding {
  return nmfEncodings[version === '1.1' ? 0 : 3] as NmfEncoding
}
