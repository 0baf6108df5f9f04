import type { Timeouts } from '../admission/timeouts.ts'
import type { Clock } from '../clock.ts'
import type { TlsState } from '../core/tls/tls-state.ts'
import type { PipeAccount } from '../pipe/pipe.ts'
import type { ForwardedClient } from './forwarding/forwarded-client.ts'
import type { HookScope, Hooks } from './hooks.ts'
import type { PoolClient } from './pool/client-origins.ts'
import type { Slot } from './slots.ts'

/** A client's connection that speaks HTTP, as hooks and transactions see it. */
export interface HttpSession {
  /** Unique in the process. */
  readonly id: string
  /** How many transactions it has begun. */
  readonly transactions: number
  /** The client's IP address; undefined for a Unix-domain or in-process socket. */
  readonly remoteAddress: string | undefined
  /** The port that the client came in on; 0 for a Unix-domain socket. */
  readonly port: number
  /** Whether the client's connection is encrypted. */
  readonly secure: boolean
  /** What the client's TLS handshake has come to, its certificate among it; undefined in plain text. */
  readonly tls: TlsState | undefined
  /** Adds hooks for this session and its transactions. */
  hook(hooks: Hooks): void
  /** What the session has in a slot; it lasts as long as the session. */
  get<T>(slot: Slot<T>): T | undefined
  set<T>(slot: Slot<T>, value: T): void
  /** @internal */
  readonly hooks: HookScope
  /** @internal */
  readonly clock: Clock
  /** @internal */
  readonly timeouts: Timeouts
  /** @internal */
  readonly account: PipeAccount | undefined
  /** @internal Who the client is to those behind. */
  readonly forwardedClient: ForwardedClient
  /** @internal Whom servers are told of that want to know at the start of a connection; undefined if that is nobody. */
  readonly poolClient: PoolClient | undefined
  /** @internal How long connecting for it may take. */
  readonly connectTimeout: number
  /** @internal The time, as cheap as it can be had. */
  time(): number
}
