import type { Address } from '../address.ts'
import { type ProxyTls, type ProxyTlv, type placesOf, readTls, tlvTypes } from './tlv.ts'

/** What is said of a connection that is passed on: to the server behind, and by the proxy before. */
export interface ProxySource {
  /** Who the client is; undefined if that is not known. */
  readonly source: Address | undefined
  /** Where it was going to. */
  readonly destination: Address | undefined
  /** What version 2 says besides. */
  readonly tlvs: readonly ProxyTlv[]
}

/** What a {@link ProxyHeader} is made of. */
export interface ProxyHeaderParts {
  readonly version: 1 | 2
  readonly local?: boolean
  readonly source?: Address | undefined
  readonly destination?: Address | undefined
  /** The whole header, in memory of its own, and what of it are types, lengths and values. */
  readonly bytes?: Uint8Array
  readonly places?: Exclude<ReturnType<typeof placesOf>, string>
}

/** What a proxy has said of the client for whom it has connected. Its values are read when they are asked for. */
export class ProxyHeader implements ProxySource {
  readonly version: 1 | 2
  /** The proxy speaks for itself, as for a health check: there is no client behind it. */
  readonly local: boolean
  /** Who the client is; undefined if the proxy speaks for itself, or does not know. */
  readonly source: Address | undefined
  /** Where the client was going to. */
  readonly destination: Address | undefined
  readonly #bytes: Uint8Array | undefined
  readonly #places: NonNullable<ProxyHeaderParts['places']>
  #tlvs: readonly ProxyTlv[] | undefined

  /** @internal Made by a reader. */
  constructor(parts: ProxyHeaderParts) {
    this.version = parts.version
    this.local = parts.local ?? false
    this.source = parts.source
    this.destination = parts.destination
    this.#bytes = parts.bytes
    this.#places = parts.places ?? []
  }

  /** What version 2 says besides, as it came; types that this library does not know are among it. */
  get tlvs(): readonly ProxyTlv[] {
    this.#tlvs ??= this.#places.map(({ type, start, end }) => ({
      type,
      value: (this.#bytes as Uint8Array).subarray(start, end),
    }))
    return this.#tlvs
  }

  /** The protocol that the client and the proxy have agreed upon: `'h2'`. */
  get alpn(): string | undefined {
    return this.#text(tlvTypes.alpn)
  }

  /** The host that the client has named; with TLS, the server name. */
  get authority(): string | undefined {
    return this.#text(tlvTypes.authority)
  }

  /** What the proxy calls the connection, to find it again in the logs of all. At most 128 bytes. */
  get uniqueId(): Uint8Array | undefined {
    return this.#value(tlvTypes.uniqueId)
  }

  /** The TLS that the client speaks with the proxy; undefined if it speaks none. */
  get tls(): ProxyTls | undefined {
    const value = this.#value(tlvTypes.tls)
    return value === undefined ? undefined : readTls(value)
  }

  /** The network namespace that the connection came in at. */
  get netns(): string | undefined {
    return this.#text(tlvTypes.netns)
  }

  #value(type: number): Uint8Array | undefined {
    return this.tlvs.find((tlv) => tlv.type === type)?.value
  }

  #text(type: number): string | undefined {
    const value = this.#value(type)
    return value === undefined ? undefined : Buffer.from(value).toString()
  }
}
