import type { Duplex } from 'node:stream'
import type { Address } from '../address.ts'
import type { TlsDialler } from '../tls/upstream-tls.ts'

/** One place to dial: an address, or a function that gives a socket of this process. */
export type DialTarget = Address | (() => Duplex)

/** Where to dial, in order of preference, and how long it may take. */
export interface DialPlan {
  readonly targets: readonly DialTarget[]
  /** For all attempts together, in milliseconds. */
  readonly connectTimeout: number
  /** For each attempt but the last, in milliseconds. */
  readonly attemptTimeout: number
  readonly noDelay: boolean
  /** Makes what is sent before all else, encrypted or not. */
  readonly introduce?: ((socket: Duplex) => Uint8Array) | undefined
  /** Encrypts; undefined for plain text. */
  readonly encryption?: TlsDialler | undefined
  /** What is offered to speak instead of what the upstream's options say (ALPN); who gives it takes the socket over. */
  readonly alpn?: readonly string[] | undefined
}
