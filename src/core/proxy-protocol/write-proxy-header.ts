import { plainAddress } from '../../admission/plain-address.ts'
import { invalidOption, knownOptions } from '../../options.ts'
import type { Address } from '../address.ts'
import { crc32c } from './crc32c.ts'
import { ipBytes, ipText } from './ip-bytes.ts'
import type { ProxySource } from './proxy-header.ts'
import { type ProxyTlv, tlvTypes, writeTlvs } from './tlv.ts'
import { commands, families, signature, unixPathLength } from './wire.ts'

/** How a header is written. */
export interface ProxyHeaderOptions {
  readonly version: 1 | 2
  /** Version 2 gets a checksum (CRC-32C). @default false */
  readonly checksum?: boolean
}

/** Reads an option that is a version, or more. Throws `XPS_INVALID_OPTION`. */
export function proxyHeaderOptions(
  name: string,
  given: 1 | 2 | ProxyHeaderOptions | undefined,
): ProxyHeaderOptions | undefined {
  if (given === undefined) return undefined
  const options = typeof given === 'number' ? { version: given } : given
  if (typeof options !== 'object' || options === null) throw invalidOption(name, given, expected)
  knownOptions(name, options, ['version', 'checksum'])
  const { version, checksum } = options as ProxyHeaderOptions
  if (version !== 1 && version !== 2) throw invalidOption(name, version, expected)
  if (checksum !== undefined && typeof checksum !== 'boolean') {
    throw invalidOption(`${name}.checksum`, checksum, 'true or false')
  }
  if (checksum === true && version === 1) throw invalidOption(`${name}.checksum`, true, 'false for version 1')
  return options
}

const expected = '1, 2 or { version: 2, checksum: true }'

/** The header that tells a server who the client is; without one, that there is none or he is not known. */
export function writeProxyHeader(from: ProxySource | undefined, options: ProxyHeaderOptions): Buffer {
  const ends = from === undefined ? undefined : ipEnds(from)
  if (options.version === 1) return writeLine(ends)
  const { proxy, local } = commands
  if (from !== undefined && ends !== undefined) {
    const family = ends.source.length === 4 ? families.tcp4 : families.tcp6
    const ports = Buffer.alloc(4)
    ports.writeUInt16BE(ends.from)
    ports.writeUInt16BE(ends.to, 2)
    const block = Buffer.concat([ends.source, ends.destination, ports])
    return writeBinary(proxy, family, block, from.tlvs, options.checksum)
  }
  const paths = from === undefined ? undefined : unixPaths(from)
  if (from !== undefined && paths !== undefined)
    return writeBinary(proxy, families.unix, paths, from.tlvs, options.checksum)
  // A family that is not said may be refused, and HAProxy does; a proxy that speaks for itself must be taken.
  return writeBinary(local, families.unspecified, none, [], options.checksum)
}

const none = Buffer.alloc(0)
/** What 16 bits can say. */
const longest = 65_535

/** Both ends by address and port, in one family. */
interface IpEnds {
  readonly source: Uint8Array
  readonly destination: Uint8Array
  readonly from: number
  readonly to: number
}

function writeLine(ends: IpEnds | undefined): Buffer {
  if (ends === undefined) return Buffer.from('PROXY UNKNOWN\r\n')
  const family = ends.source.length === 4 ? 'TCP4' : 'TCP6'
  return Buffer.from(`PROXY ${family} ${ipText(ends.source)} ${ipText(ends.destination)} ${ends.from} ${ends.to}\r\n`)
}

function writeBinary(
  command: number,
  family: number,
  block: Uint8Array,
  tlvs: readonly ProxyTlv[],
  checksum = false,
): Buffer {
  const sum: ProxyTlv = { type: tlvTypes.crc32c, value: new Uint8Array(4) }
  const values = fitting(tlvs, longest - block.length - (checksum ? 7 : 0))
  const rest = Buffer.concat([block, writeTlvs(checksum ? [...values, sum] : values)])
  const start = Buffer.from([0x20 | command, family, rest.length >> 8, rest.length & 0xff])
  const header = Buffer.concat([signature, start, rest])
  if (checksum) header.writeUInt32BE(crc32c(header), header.length - 4)
  return header
}

/** Those that there is room for. A checksum is another's: it was made of another header. */
function fitting(tlvs: readonly ProxyTlv[], room: number): ProxyTlv[] {
  let left = room
  return tlvs.filter(({ type, value }) => {
    if (type === tlvTypes.crc32c || type === tlvTypes.noop || value.length + 3 > left) return false
    left -= value.length + 3
    return true
  })
}

function ipEnds({ source, destination }: ProxySource): IpEnds | undefined {
  const [one, other] = [ipEnd(source), ipEnd(destination)]
  if (one === undefined || other === undefined) return undefined
  const [from, to] = [one.port, other.port]
  if (one.bytes.length === other.bytes.length) return { source: one.bytes, destination: other.bytes, from, to }
  // There is one family for both.
  return { source: wide(one.bytes), destination: wide(other.bytes), from, to }
}

function ipEnd(end: Address | undefined): { bytes: Uint8Array; port: number } | undefined {
  if (end === undefined || 'path' in end) return undefined
  const zone = end.host.indexOf('%')
  const bytes = ipBytes(plainAddress(zone < 0 ? end.host : end.host.slice(0, zone)) as string)
  return bytes === undefined ? undefined : { bytes, port: end.port }
}

/** An IPv4 address as IPv6 (RFC 4291, 2.5.5.2). */
function wide(bytes: Uint8Array): Uint8Array {
  if (bytes.length === 16) return bytes
  return Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...bytes])
}

/** Both paths, if one is known and none is too long. */
function unixPaths({ source, destination }: ProxySource): Uint8Array | undefined {
  const block = Buffer.alloc(2 * unixPathLength)
  let known = false
  for (const [index, end] of [source, destination].entries()) {
    if (end === undefined) continue
    if (!('path' in end) || Buffer.byteLength(end.path) > unixPathLength) return undefined
    block.write(end.path, index * unixPathLength)
    known = true
  }
  return known ? block : undefined
}
