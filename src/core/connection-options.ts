import type { Timeouts } from '../admission/timeouts.ts'
import type { Clock } from '../clock.ts'
import type { PipeAccount } from '../pipe/pipe.ts'
import type { ProxyHeader } from './proxy-protocol/proxy-header.ts'
import type { DialPlan } from './socket/dial-plan.ts'
import type { TlsState } from './tls/tls-state.ts'

/** Where an accepted connection came in. */
export interface Entrance {
  /** The port; 0 for a Unix-domain socket. */
  readonly port: number
  /** `127.0.0.1:8001` or `unix:/run/xps.sock`. */
  readonly address: string
  /** Sessions are asked to come to an end when it suits them; new ones are still taken. */
  readonly draining?: boolean
}

/** Options of a `Connection`. */
export interface ConnectionOptions {
  /** Which side it is, for errors. @default 'client' */
  side?: 'client' | 'upstream'
  /** The listener that accepted it. */
  entrance?: Entrance
  /** What the peer is called, if its socket cannot tell. */
  address?: string
  /** What the proxy that is connected has said of its client. */
  proxied?: ProxyHeader
  /** What the handshake of its socket has come to, if that is encrypted. */
  tls?: TlsState
  /**
   * How long `close()` waits for the peer's end after our own, in milliseconds; meanwhile what the peer sends is
   * thrown away. Without it the kernel would reset the connection, and the peer could lose our last bytes.
   * @default 2000
   */
  lingerTimeout?: number
  /** What the session of this connection may take. @default those of `docs/admission.md` */
  timeouts?: Timeouts
  /** Where it is added up what the pipes of its session hold. */
  account?: PipeAccount
  /** @default the machine's */
  clock?: Clock
}

/** How a connection is dialled. */
export interface DialOptions extends ConnectionOptions, DialPlan {
  /** The name of it all, for errors. */
  address: string
}
