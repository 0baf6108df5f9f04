import { isIP, Server } from 'node:net'
import type { Duplex } from 'node:stream'
import { defaultTimeouts } from '../admission/timeouts.ts'
import { type Clock, systemClock } from '../clock.ts'
import { durationOption, invalidOption, knownOptions } from '../options.ts'
import { type Address, formatAddress, parseAddress } from './address.ts'
import { Connection, defaultLingerTimeout } from './connection.ts'
import { memorySockets } from './memory-socket.ts'
import type { ProxySource } from './proxy-protocol/proxy-header.ts'
import { ownSource } from './proxy-protocol/proxy-source.ts'
import { type ProxyHeaderOptions, proxyHeaderOptions, writeProxyHeader } from './proxy-protocol/write-proxy-header.ts'
import type { DialTarget } from './socket/dial-plan.ts'
import { TlsDialler, type UpstreamTlsOptions } from './tls/upstream-tls.ts'

/**
 * One place to connect to: an address as text (`'127.0.0.1:3000'`, `'unix:/run/app.sock'`) or as an object, a server of
 * this process (`net.Server`, `http.Server`), or a function that takes a socket as such a server would.
 */
export type UpstreamTarget = string | Address | Server | ((socket: Duplex) => void)

/** Options of an {@link Upstream}. */
export interface UpstreamOptions {
  /** How long connecting may take in all, in milliseconds. @default 3000 */
  connectTimeout?: number
  /** With several targets, how long one may take before the next is tried, in milliseconds. @default 250 */
  attemptTimeout?: number
  /** Whether small writes are sent at once (TCP_NODELAY). @default true */
  noDelay?: boolean
  /** The address of this machine that connections come from. @default the system chooses */
  localAddress?: string
  /** Encrypts. Text such as `'tls://db.test:5432'` asks for it as `true` does. @default plain text */
  tls?: boolean | UpstreamTlsOptions
  /** Begins each connection by saying who the client is; see `docs/proxy-protocol.md`. @default nothing is said */
  proxyProtocol?: 1 | 2 | ProxyHeaderOptions
  /** See {@link ConnectionOptions}. @default 2000 */
  lingerTimeout?: number
  /** @default the machine's */
  clock?: Clock
}

/** See {@link Upstream.connect}. */
export interface ConnectDefaults extends Pick<UpstreamOptions, 'connectTimeout' | 'clock'> {
  alpn?: readonly string[] | undefined
  /** For whom it is, if the upstream is to be told. */
  source?: ProxySource | undefined
}

const optionNames = [
  'connectTimeout',
  'attemptTimeout',
  'noDelay',
  'localAddress',
  'tls',
  'proxyProtocol',
  'lingerTimeout',
  'clock',
]

/**
 * Somewhere that connections are dialled to.
 *
 * Several targets are tried in order; so are the addresses of a host name, the way Node does it (happy eyeballs).
 */
export class Upstream {
  /** What it is called in errors and logs: its addresses. */
  readonly address: string
  /** Whether connections to it are encrypted. */
  readonly secure: boolean
  /** Whether it is told who the clients are: then a connection is for one of them only. */
  readonly introduces: boolean
  readonly #targets: readonly DialTarget[]
  readonly #options: UpstreamOptions
  readonly #connectTimeout: number | undefined
  readonly #attemptTimeout: number
  readonly #lingerTimeout: number
  readonly #tls: TlsDialler | undefined
  readonly #proxyProtocol: ProxyHeaderOptions | undefined

  constructor(target: UpstreamTarget | readonly UpstreamTarget[], options: UpstreamOptions = {}) {
    knownOptions('upstream options', options, optionNames)
    const targets = Array.isArray(target) ? (target as readonly UpstreamTarget[]) : [target as UpstreamTarget]
    if (targets.length === 0) throw invalidOption('upstream', target, 'at least one address')
    const secure = targets.map((one) => typeof one === 'string' && one.startsWith('tls://'))
    if (secure.some((one) => one !== secure[0])) {
      throw invalidOption('upstream', targets.join(', '), 'encrypted at all of its addresses, or at none')
    }
    const tls = options.tls ?? secure[0] === true
    if (secure[0] === true && tls === false) throw invalidOption('upstream.tls', false, 'true for tls://')
    this.#tls = tls === false ? undefined : new TlsDialler(tls)
    const from = localEnd(options.localAddress)
    this.#targets = targets.map((one) => {
      const target = dialTarget(typeof one === 'string' ? one.replace(/^tls:\/\//, '') : one)
      return typeof target === 'function' || 'path' in target ? target : { ...target, ...from }
    })
    this.address = this.#targets
      .map((one) => (typeof one === 'function' ? 'in-process' : formatAddress(one)))
      .join(', ')
    this.secure = this.#tls !== undefined
    this.#proxyProtocol = proxyHeaderOptions('upstream.proxyProtocol', options.proxyProtocol)
    this.introduces = this.#proxyProtocol !== undefined
    this.#options = options
    this.#connectTimeout =
      options.connectTimeout === undefined
        ? undefined
        : durationOption('upstream.connectTimeout', options.connectTimeout, 0)
    this.#attemptTimeout = durationOption('upstream.attemptTimeout', options.attemptTimeout, 250)
    this.#lingerTimeout = durationOption('upstream.lingerTimeout', options.lingerTimeout, defaultLingerTimeout)
  }

  /**
   * Starts to connect. The connection is `opening` at first; how it went is told by its `open` or `close`.
   * `defaults` are for what the upstream itself was given no option for; `alpn` is offered instead of what its options say,
   * and whoever gives it takes the socket over when it is open, or reads on as from any connection.
   */
  connect(defaults: ConnectDefaults = {}): Connection {
    return Connection.dial({
      side: 'upstream',
      address: this.address,
      targets: this.#targets,
      connectTimeout: this.#connectTimeout ?? defaults.connectTimeout ?? defaultTimeouts.connectTimeout,
      attemptTimeout: this.#attemptTimeout,
      lingerTimeout: this.#lingerTimeout,
      noDelay: this.#options.noDelay ?? true,
      encryption: this.#tls,
      introduce: this.#introduction(defaults.source),
      alpn: defaults.alpn,
      clock: this.#options.clock ?? defaults.clock ?? systemClock,
    })
  }

  #introduction(source: ProxySource | undefined): ((socket: Duplex) => Uint8Array) | undefined {
    const options = this.#proxyProtocol
    if (options === undefined) return undefined
    // Version 1 has no word for a connection of our own, so that it is said from where to where it goes.
    return (socket) => writeProxyHeader(source ?? (options.version === 1 ? ownSource(socket) : undefined), options)
  }
}

function dialTarget(target: UpstreamTarget): DialTarget {
  if (typeof target === 'string') return checkPort(parseAddress('upstream', target))
  if (target instanceof Server) return inProcess((socket) => target.emit('connection', socket))
  if (typeof target === 'function') return inProcess(target)
  if (typeof target === 'object' && target !== null && ('path' in target || 'port' in target)) return checkPort(target)
  throw invalidOption('upstream', target, 'an address, a server or a function that takes a socket')
}

/** What Node is told of where a connection comes from: of the host's addresses only those of its kind will do. */
function localEnd(localAddress: string | undefined): object {
  if (localAddress === undefined) return {}
  const family = typeof localAddress === 'string' ? isIP(localAddress) : 0
  if (family !== 0) return { localAddress, family }
  throw invalidOption('upstream.localAddress', localAddress, "an address of this machine such as '10.0.0.5'")
}

function checkPort(address: Address): Address {
  if ('path' in address) return address
  const { host, port } = address
  if (typeof host !== 'string' || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw invalidOption('upstream', `${host}:${port}`, 'an address with a port from 1 to 65535')
  }
  return address
}

function inProcess(accept: (socket: Duplex) => void): () => Duplex {
  return () => {
    const [near, far] = memorySockets()
    try {
      accept(far)
    } catch (error) {
      // Refused, and told as a socket would tell it: by an error before it is connected.
      far.on('error', () => {})
      near.destroy(error as Error)
    }
    return near
  }
}
