import { type RuleOptions, ruleNames } from '../admission/rules.ts'
import type { Clock } from '../clock.ts'
import type { Protocol } from './client-session.ts'
import type { ProxyProtocolOptions } from './proxy-protocol/accept-proxy.ts'
import type { ListenerTlsOptions } from './tls/listener-tls.ts'

/** Options of a `Listener`; what limits and timeouts it is not given, it has from its core. */
export interface ListenerOptions extends RuleOptions {
  /** Makes the session of each connection. */
  protocol: Protocol
  /** Encrypts the connections; see `docs/tls.md`. @default plain text */
  tls?: ListenerTlsOptions
  /** Believes what proxies of ours say of their clients; see `docs/proxy-protocol.md`. @default nobody */
  proxyProtocol?: ProxyProtocolOptions
  /** How many connections the kernel keeps for us until we take them; the system may allow fewer. @default 511 */
  backlog?: number
  /** Whether small writes are sent at once (TCP_NODELAY). @default true */
  noDelay?: boolean
  /** See `ConnectionOptions`. @default 2000 */
  lingerTimeout?: number
  /** @default the machine's */
  clock?: Clock
}

/** The names of the options, for checks of what is given. */
export const listenerNames: readonly string[] = [
  'protocol',
  'tls',
  'proxyProtocol',
  'backlog',
  'noDelay',
  'lingerTimeout',
  'clock',
  ...ruleNames,
]
