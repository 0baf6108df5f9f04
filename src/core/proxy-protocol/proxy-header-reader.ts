import { XpsError } from '../../errors.ts'
import type { Address } from '../address.ts'
import { ipBytes, ipText } from './ip-bytes.ts'
import { ProxyHeader } from './proxy-header.ts'
import { placesOf } from './tlv.ts'
import { addressLengths, commands, families, fixedLength, longestLine, signature, unixPathLength } from './wire.ts'

/** How long a header of version 2 may be by default, in bytes. Few have more than some hundred. */
export const defaultMaxLength = 4_096

const [cr, lf] = [0x0d, 0x0a]
const lineStart = Buffer.from('PROXY ')
const nothing = Buffer.alloc(0)

/**
 * Reads a header of the PROXY protocol, version 1 or 2, from bytes that come in pieces of any size. What is no such
 * header is refused with `XPS_BAD_PROXY_HEADER`, at the first byte that cannot be of one.
 */
export class ProxyHeaderReader {
  readonly #maxLength: number
  #version: 1 | 2 | undefined
  /** What has come, in memory as long as what is waited for. */
  #bytes: Buffer = nothing
  #length = 0
  #header: ProxyHeader | undefined

  /** `maxLength` is the longest header of version 2 that is taken, in bytes. */
  constructor(maxLength: number = defaultMaxLength) {
    this.#maxLength = maxLength
  }

  /** The header, once it is whole. */
  get header(): ProxyHeader | undefined {
    return this.#header
  }

  /** Whether something of it has come. */
  get begun(): boolean {
    return this.#length > 0
  }

  /** Takes what has come, and returns how many bytes of it are the header's. The others belong to what follows. */
  read(chunk: Uint8Array): number {
    if (this.#header !== undefined || chunk.length === 0) return 0
    if (this.#version === undefined) {
      this.#version = chunk[0] === lineStart[0] ? 1 : 2
      this.#bytes = Buffer.allocUnsafe(this.#version === 1 ? longestLine : fixedLength)
    }
    return this.#version === 1 ? this.#readLine(chunk) : this.#readBinary(chunk)
  }

  #readLine(chunk: Uint8Array): number {
    for (const [index, byte] of chunk.entries()) {
      const at = this.#length
      if (at < lineStart.length && byte !== lineStart[at]) throw malformed('it begins as none does')
      if ((byte === lf) !== (at > 0 && this.#bytes[at - 1] === cr)) throw malformed('its line break is none')
      if (at === longestLine) throw malformed(`its line is longer than ${longestLine} bytes`)
      this.#bytes[at] = byte
      this.#length++
      if (byte === lf) {
        this.#header = parseLine(this.#bytes.toString('latin1', 0, at - 1))
        return index + 1
      }
    }
    return chunk.length
  }

  #readBinary(chunk: Uint8Array): number {
    let used = 0
    while (this.#header === undefined && used < chunk.length) {
      const before = this.#length
      const part = chunk.subarray(used, used + this.#bytes.length - before)
      this.#bytes.set(part, before)
      this.#length += part.length
      used += part.length
      if (before < fixedLength) this.#checkStart(before)
      if (this.#length < this.#bytes.length) break
      if (this.#length === fixedLength && this.#bytes.length === fixedLength) this.#makeRoom()
      if (this.#length === this.#bytes.length) this.#header = parseBinary(this.#bytes)
    }
    return used
  }

  /** Looks at what has come of the first 16 bytes since. */
  #checkStart(from: number): void {
    const bytes = this.#bytes
    for (let at = from; at < this.#length; at++) {
      const byte = bytes[at] as number
      if (at < signature.length && byte !== signature[at]) throw malformed('it begins as none does')
      if (at === 12 && byte >> 4 !== 2) throw malformed('its version is neither 1 nor 2')
      if (at === 12 && (byte & 15) > commands.proxy) throw malformed('its command is unknown')
      if (at === 13 && isProxy(bytes) && (byte >> 4 > 3 || (byte & 15) > 2)) throw malformed('its family is unknown')
    }
  }

  /** The length is known. */
  #makeRoom(): void {
    const bytes = this.#bytes
    const total = fixedLength + bytes.readUInt16BE(14)
    if (total > this.#maxLength) throw malformed(`it is longer than ${this.#maxLength} bytes (${total})`)
    if (isProxy(bytes) && total < fixedLength + addressLength(bytes))
      throw malformed('it is too short for its addresses')
    this.#bytes = Buffer.allocUnsafeSlow(total)
    this.#bytes.set(bytes)
  }
}

function isProxy(bytes: Uint8Array): boolean {
  return ((bytes[12] as number) & 15) === commands.proxy
}

/** Bytes of both addresses; 0 for what is not connected as we are, or not at all. */
function addressLength(bytes: Uint8Array): number {
  return addressLengths[bytes[13] as number] ?? 0
}

/** Version 1, without the line break (2.1). */
function parseLine(line: string): ProxyHeader {
  if (/^PROXY UNKNOWN(?: |$)/.test(line)) return new ProxyHeader({ version: 1 })
  const [, family, source = '', destination = '', from = '', to = '', ...more] = line.split(' ')
  const bytes = family === 'TCP4' ? 4 : 16
  if ((family !== 'TCP4' && family !== 'TCP6') || more.length > 0) throw malformed('its line is none')
  return new ProxyHeader({
    version: 1,
    source: { host: hostIn(source, bytes), port: portIn(from) },
    destination: { host: hostIn(destination, bytes), port: portIn(to) },
  })
}

/** Written the one way in which it is written elsewhere, so that an address is one client's whoever writes it. */
function hostIn(text: string, length: number): string {
  const bytes = ipBytes(text)
  if (bytes?.length !== length) throw malformed('an address is none')
  return ipText(bytes)
}

function portIn(text: string): number {
  const port = Number(text)
  if (!/^(?:0|[1-9]\d{0,4})$/.test(text) || port > 65_535) throw malformed('a port is none')
  return port
}

/** Version 2, whole (2.2). */
function parseBinary(bytes: Buffer): ProxyHeader {
  // What stands behind LOCAL is of no meaning, whatever it is.
  if (!isProxy(bytes)) return new ProxyHeader({ version: 2, local: true })
  const length = addressLength(bytes)
  // Nor can be told what stands behind a family that is not said: addresses of an unknown length, or none.
  if (length === 0) return new ProxyHeader({ version: 2 })
  const places = placesOf(bytes, fixedLength + length)
  if (typeof places === 'string') throw malformed(places)
  return new ProxyHeader({ version: 2, ...endsIn(bytes.subarray(fixedLength, fixedLength + length)), bytes, places })
}

function endsIn(block: Buffer): { source: Address | undefined; destination: Address | undefined } {
  if (block.length === addressLengths[families.unix]) {
    return { source: pathIn(block, 0), destination: pathIn(block, unixPathLength) }
  }
  const hosts = block.length - 4
  const [middle, ports] = [hosts / 2, hosts]
  return {
    source: { host: ipText(block.subarray(0, middle)), port: block.readUInt16BE(ports) },
    destination: { host: ipText(block.subarray(middle, hosts)), port: block.readUInt16BE(ports + 2) },
  }
}

/** A socket without a name has none here either. */
function pathIn(block: Buffer, start: number): Address | undefined {
  const bytes = block.subarray(start, start + unixPathLength)
  // A name that begins with a zero is one of Linux's abstract sockets, which ends with the last byte that is not zero.
  const end = bytes[0] === 0 ? bytes.findLastIndex((byte) => byte !== 0) + 1 : bytes.indexOf(0)
  return end === 0 ? undefined : { path: bytes.toString('utf8', 0, end < 0 ? unixPathLength : end) }
}

function malformed(what: string): XpsError {
  return new XpsError('XPS_BAD_PROXY_HEADER', `the PROXY header is not one: ${what}`, { origin: 'client' })
}
