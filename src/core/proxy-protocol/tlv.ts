import { isUtf8 } from 'node:buffer'
import { crc32c } from './crc32c.ts'

/** A piece of what version 2 of the protocol can say besides addresses: a type, and bytes that mean what the type says. */
export interface ProxyTlv {
  /** One of {@link tlvTypes}, or any other from 0 to 255. */
  readonly type: number
  readonly value: Uint8Array
}

/** The types that the specification has (2.2). */
export const tlvTypes = {
  alpn: 0x01,
  authority: 0x02,
  crc32c: 0x03,
  noop: 0x04,
  uniqueId: 0x05,
  tls: 0x20,
  tlsVersion: 0x21,
  tlsCommonName: 0x22,
  tlsCipher: 0x23,
  tlsSignatureAlgorithm: 0x24,
  tlsKeyAlgorithm: 0x25,
  netns: 0x30,
} as const

/** What a proxy says of the TLS that its client speaks with it. */
export interface ProxyTls {
  /** `'TLSv1.3'` */
  readonly version?: string | undefined
  readonly cipher?: string | undefined
  /** The common name of the client's certificate. */
  readonly commonName?: string | undefined
  /** How the proxy's own certificate is signed: `'RSA-SHA256'`. */
  readonly signatureAlgorithm?: string | undefined
  /** The key of the proxy's own certificate: `'RSA2048'`. */
  readonly keyAlgorithm?: string | undefined
  /** The client showed a certificate: on this connection, or when its TLS session began. */
  readonly certificate?: 'connection' | 'session' | undefined
  /** It showed one, and that was found good. */
  readonly verified: boolean
}

/** Where a value lies in the bytes of a header. */
interface Place {
  readonly type: number
  readonly start: number
  readonly end: number
}

/** The longest unique id (2.2.5), in bytes. */
export const longestUniqueId = 128
const bits = { tls: 0x01, connection: 0x02, session: 0x04 }

/**
 * Checks what stands behind the addresses of a header, from `start` to its end, and finds out where each value is.
 * Returns what is wrong with it as text. No type that this program reads may be there twice: of two receivers one
 * would believe the first and the other the last.
 */
export function placesOf(header: Uint8Array, start: number): readonly Place[] | string {
  const places = walk(header, start, header.length, single)
  if (typeof places === 'string') return places
  for (const { type, start: from, end } of places) {
    const value = header.subarray(from, end)
    if (type === tlvTypes.uniqueId && value.length > longestUniqueId) return 'its unique id is too long'
    if ((type === tlvTypes.authority || type === tlvTypes.alpn) && !isUtf8(value)) return 'a name in it is not UTF-8'
    if (type === tlvTypes.tls) {
      if (value.length < 5) return 'what it says of TLS is too short'
      const parts = walk(value, 5, value.length, singleOfTls)
      if (typeof parts === 'string') return parts
    }
    if (type === tlvTypes.crc32c) {
      if (value.length !== 4) return 'its checksum has a wrong length'
      const sum = crc32c(header.subarray(0, from), zeros, header.subarray(end))
      if (sum !== Buffer.from(value).readUInt32BE()) return 'its checksum is wrong'
    }
  }
  return places
}

const single: ReadonlySet<number> = new Set([
  tlvTypes.alpn,
  tlvTypes.authority,
  tlvTypes.crc32c,
  tlvTypes.uniqueId,
  tlvTypes.tls,
  tlvTypes.netns,
])
const singleOfTls: ReadonlySet<number> = new Set([
  tlvTypes.tlsVersion,
  tlvTypes.tlsCommonName,
  tlvTypes.tlsCipher,
  tlvTypes.tlsSignatureAlgorithm,
  tlvTypes.tlsKeyAlgorithm,
])
const zeros = new Uint8Array(4)

function walk(bytes: Uint8Array, from: number, to: number, once: ReadonlySet<number>): Place[] | string {
  const places: Place[] = []
  for (let at = from; at < to; ) {
    const start = at + 3
    if (start > to) return 'it ends in the middle of a value'
    const type = bytes[at] as number
    const end = start + (((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number))
    if (end > to) return 'a value is longer than it'
    if (once.has(type) && places.some((place) => place.type === type)) return 'it says a thing twice'
    places.push({ type, start, end })
    at = end
  }
  return places
}

/** What the value of the TLS type says; undefined if the client does not speak TLS with the proxy. */
export function readTls(value: Uint8Array): ProxyTls | undefined {
  const client = value[0] as number
  if ((client & bits.tls) === 0) return undefined
  const places = walk(value, 5, value.length, singleOfTls)
  const text = (type: number): string | undefined => {
    const place = typeof places === 'string' ? undefined : places.find((one) => one.type === type)
    return place === undefined ? undefined : Buffer.from(value.subarray(place.start, place.end)).toString()
  }
  const certificate = client & bits.connection ? 'connection' : client & bits.session ? 'session' : undefined
  return {
    version: text(tlvTypes.tlsVersion),
    cipher: text(tlvTypes.tlsCipher),
    commonName: text(tlvTypes.tlsCommonName),
    signatureAlgorithm: text(tlvTypes.tlsSignatureAlgorithm),
    keyAlgorithm: text(tlvTypes.tlsKeyAlgorithm),
    certificate,
    verified: certificate !== undefined && value.subarray(1, 5).every((byte) => byte === 0),
  }
}

/** The value that says the same. */
export function writeTls(tls: ProxyTls): Uint8Array {
  const { certificate } = tls
  // Who showed a certificate on this connection did so in this TLS session.
  const shown = certificate === undefined ? 0 : bits.session | (certificate === 'connection' ? bits.connection : 0)
  const parts: ProxyTlv[] = []
  const add = (type: number, text: string | undefined): void => {
    if (text !== undefined) parts.push({ type, value: Buffer.from(text) })
  }
  add(tlvTypes.tlsVersion, tls.version)
  add(tlvTypes.tlsCommonName, tls.commonName)
  add(tlvTypes.tlsCipher, tls.cipher)
  add(tlvTypes.tlsSignatureAlgorithm, tls.signatureAlgorithm)
  add(tlvTypes.tlsKeyAlgorithm, tls.keyAlgorithm)
  return Buffer.concat([Buffer.from([bits.tls | shown, 0, 0, 0, tls.verified ? 0 : 1]), writeTlvs(parts)])
}

/** Type, length and value of each. A value has at most 65,535 bytes. */
export function writeTlvs(tlvs: readonly ProxyTlv[]): Buffer {
  return Buffer.concat(
    tlvs.flatMap(({ type, value }) => [Buffer.from([type, value.length >> 8, value.length & 0xff]), value]),
  )
}
