import { createServer, type Server, type Socket } from 'node:net'
import { Admission } from '../admission/admission.ts'
import { Door } from '../admission/door.ts'
import { checkPatch, defaultRules, type RuleOptions, type Rules, ruleOptions, withRules } from '../admission/rules.ts'
import type { RefusalReason, Stats } from '../admission/stats.ts'
import { type Clock, systemClock } from '../clock.ts'
import { isXpsError, XpsError } from '../errors.ts'
import type { Lifetime } from '../lifetime/lifetime.ts'
import { Wheel } from '../lifetime/wheel.ts'
import { integerOption, invalidOption, knownOptions } from '../options.ts'
import { type Address, formatAddress } from './address.ts'
import { Arrival, type ArrivalHost } from './arrival.ts'
import { ClientSession } from './client-session.ts'
import { type CloseOptions, closeBy, followClosing } from './close-by.ts'
import { Connection } from './connection.ts'
import type { ConnectionOptions, Entrance } from './connection-options.ts'
import { evictIdle } from './evict.ts'
import { explainListening, type ListenAddress, placeToListen } from './listen-address.ts'
import { type ListenerOptions, listenerNames } from './listener-options.ts'
import { Living } from './living.ts'
import { log } from './log.ts'
import { ProxyAcceptor } from './proxy-protocol/accept-proxy.ts'
import { SessionMaker } from './session-maker.ts'
import type { ListenerTlsOptions } from './tls/listener-tls.ts'
import { TlsAcceptor } from './tls/tls-acceptor.ts'

/** What happens to a {@link Listener}. */
export interface ListenerEvents {
  /** It listens; its port is known. */
  open: []
  /** A connection was accepted and is a session now. Told before any of its bytes move. */
  session: [session: ClientSession]
  /** A connection was closed without being served. The address is undefined if it was not asked for. */
  refused: [reason: RefusalReason, address: string | undefined]
  /** It is to be drained, or no longer. */
  drain: [draining: boolean]
  /** While it closes: how many sessions are left of how many there were, at first and whenever one has ended. */
  progress: [left: number, of: number]
  /** Told once and last, after all its sessions have closed. */
  close: [error: XpsError | undefined]
}

/** What the listeners of a core share. */
export interface ListenerScope {
  readonly admission: Admission
  readonly rules: Rules
  /** The sessions of all of them. */
  readonly sessions: ClientSession[]
}

const debug = log('listener')

/**
 * Accepts connections on one address, and makes a session of each by its protocol.
 *
 * `close()` stops to listen and lets the sessions finish; `abort()` ends them.
 */
export class Listener extends Living<ListenerEvents> implements Entrance {
  readonly #where: Address | { port: number }
  readonly #options: ListenerOptions
  readonly #scope: ListenerScope
  readonly #server: Server
  readonly #door: Door<Socket>
  readonly #proxy: ProxyAcceptor | undefined
  readonly #tls: TlsAcceptor | undefined
  readonly #maker: SessionMaker
  /** What becomes of those who are not sessions at once. */
  readonly #arrivals: ArrivalHost
  #own: RuleOptions
  /** The same for all, so that a connection costs no object of options. */
  #clientOptions: ConnectionOptions
  #address: string
  #port: number
  #listening = false
  #draining = false

  constructor(where: ListenAddress, options: ListenerOptions, scope?: ListenerScope) {
    super()
    const asked = placeToListen(where)
    knownOptions('listener options', options, listenerNames)
    const { protocol } = options
    if (typeof protocol !== 'function') throw invalidOption('protocol', protocol, 'a function')
    this.#where = protocol.listensOn === undefined ? asked : placeToListen(protocol.listensOn(asked))
    integerOption('backlog', options.backlog, 511, { min: 1, max: 65_535 })
    this.#options = options
    this.#own = ruleOptions(options)
    this.#scope = scope ?? this.#scopeOfItsOwn(options.clock ?? systemClock)
    const rules = withRules(this.#scope.rules, this.#own)
    this.#clientOptions = this.#optionsOfClients(rules)
    this.#port = 'port' in this.#where ? this.#where.port : 0
    this.#address = this.#everywhere ? `*:${this.#port}` : formatAddress(this.#where as Address)
    this.#server = createServer({
      allowHalfOpen: true,
      // Nothing is read before there is a session that wants it.
      pauseOnConnect: true,
      noDelay: options.noDelay ?? true,
    })
    this.#proxy = options.proxyProtocol === undefined ? undefined : new ProxyAcceptor(options.proxyProtocol)
    this.#tls = options.tls === undefined ? undefined : this.#makeTls(options.tls)
    this.#maker = new SessionMaker(options, {
      adopt: (child) => this.adopt(child),
      fault: (error) => this.fault(error),
    })
    this.#arrivals = this.#makeArrivals()
    this.#door = new Door<Socket>(this.#scope.admission, rules.limits, this.#own.maxConnections ?? 0, {
      comesForOthers: (socket) => this.#proxyOf(socket) !== undefined,
      serve: (socket) => this.#serve(socket),
      refused: (socket, reason) => this.#refused(reason, socket),
      // There is no way to make Node leave connections in the kernel; this makes it close them with the least effort.
      full: (full) => {
        this.#server.maxConnections = full ? 1 : Number.POSITIVE_INFINITY
      },
      evict: (everywhere) => this.#evict(everywhere),
    })
  }

  /** The port that it listens on; 0 for a Unix-domain socket. */
  get port(): number {
    return this.#port
  }

  /** `127.0.0.1:8001`, `*:8001` or `unix:/run/xps.sock`. */
  get address(): string {
    return this.#address
  }

  /** The sessions that are alive, oldest first. */
  get sessions(): ClientSession[] {
    return this.children().filter((child) => child instanceof ClientSession)
  }

  /** Whether its sessions are asked to come to an end. */
  get draining(): boolean {
    return this.#draining
  }

  /** The numbers of this listener. */
  stats(): Stats {
    const { gate, queued, counters } = this.#door
    let [bytesIn, bytesOut] = [0, 0]
    for (const client of this.clients) {
      bytesIn += client.bytesIn
      bytesOut += client.bytesOut
    }
    return counters.snapshot({ queued, active: gate.inside, peak: gate.peak, bytesIn, bytesOut })
  }

  /**
   * Changes limits and timeouts while it runs. Limits hold from now on, timeouts for sessions that begin from now on.
   * An invalid patch throws `XPS_INVALID_OPTION` and changes nothing.
   */
  patch(patch: RuleOptions): void {
    checkPatch(patch)
    const own = { ...this.#own, ...ruleOptions(patch) }
    this.#apply(withRules(this.#scope.rules, own), own)
  }

  /** Asks its sessions to come to an end when it suits them, and goes on to take new ones; `false` takes it back. */
  drain(draining = true): void {
    if (this.#draining === draining || this.phase === 'closed') return
    this.#draining = draining
    for (const session of this.sessions) session.tellDraining(draining)
    this.emit('drain', draining)
  }

  /** Starts to listen; resolves when it does, rejects with `XPS_LISTEN` when it cannot. */
  open(): Promise<this> {
    const server = this.#server
    return new Promise((resolve, reject) => {
      if (this.phase !== 'opening' || this.#listening) {
        reject(new XpsError('XPS_CLOSED', `${this.#address}: opened already`))
        return
      }
      this.#listening = true
      this.hold()
      const failed = (cause: Error): void => {
        const error = new XpsError('XPS_LISTEN', `cannot listen on ${this.#address}: ${explainListening(cause)}`, {
          cause,
        })
        this.finish(error)
        this.release()
        reject(error)
      }
      server.once('error', failed)
      server.listen({ ...this.#where, backlog: this.#options.backlog ?? 511 }, () => {
        server.off('error', failed)
        server.on('error', (cause) => this.#broken(cause))
        server.on('connection', (socket) => this.#accept(socket))
        server.on('drop', () => this.#dropped())
        server.once('close', () => this.release())
        this.#learnAddress()
        if (!this.opened()) {
          // It was closed while it was about to listen.
          server.close()
          reject(new XpsError('XPS_CLOSED', `${this.#address}: closed before it listened`))
          return
        }
        this.#tls?.open()
        if (debug.enabled) debug('listening on %s', this.#address)
        this.emit('open')
        resolve(this)
      })
    })
  }

  /** Stops to listen and resolves when the last session has closed; after the deadline they are aborted. */
  override close(options: CloseOptions = {}): Promise<XpsError | undefined> {
    return closeBy(this, () => super.close(), options, this.#scope.admission.clock)
  }

  /**
   * Reads the certificates again and uses them for new connections; those that there are go on. Throws
   * `XPS_INVALID_OPTION`, and goes on with the ones that it has, if they cannot be used.
   */
  reloadCertificates(): void {
    this.#tls?.reload()
  }

  protected override onDrain(): void {
    const tellStart = followClosing(this.sessions, (left, of) => this.emit('progress', left, of))
    this.#stop()
    this.drain()
    this.finishWithChildren()
    tellStart()
  }

  protected override onAbort(): void {
    this.#stop()
  }

  protected override onChildOpen(child: Lifetime): void {
    if (child instanceof ClientSession) this.emit('session', child)
  }

  protected override onClosed(error: XpsError | undefined): void {
    this.#door.shut()
    if (debug.enabled) debug('closed %s', this.#address)
    this.emit('close', error)
  }

  /** @internal The core's rules have changed. */
  rebase(): void {
    this.#apply(withRules(this.#scope.rules, this.#own), this.#own)
  }

  /** @internal Accepted connections that are alive, whether or not they have a session. */
  get clients(): Connection[] {
    // A connection that no session took is a child of ours.
    return this.children().flatMap((child) => {
      if (child instanceof ClientSession) return [child.client]
      return child instanceof Connection ? [child] : []
    })
  }

  #optionsOfClients({ timeouts }: Rules): ConnectionOptions {
    const { lingerTimeout } = this.#options
    const { admission } = this.#scope
    const options = { entrance: this, timeouts, account: admission.account, clock: admission.clock }
    return lingerTimeout === undefined ? options : { ...options, lingerTimeout }
  }

  /** @internal */
  countZombie(): void {
    this.#door.count((counters) => counters.zombies++)
  }

  protected override onChildClosed(child: Lifetime): void {
    // A connection here never had a session of its own.
    if (!(child instanceof ClientSession || child instanceof Connection)) return
    const { error } = child
    const client = child instanceof Connection ? child : child.client
    const evicted = isXpsError(error, 'XPS_EVICTED')
    this.#door.count((counters) => {
      counters.bytesIn += client.bytesIn
      counters.bytesOut += client.bytesOut
      if (evicted) counters.evicted++
      if (error?.code === 'XPS_TIMEOUT') counters.countTimeout(error.reason)
    })
    if (evicted) this.#scope.admission.evicting--
    this.#door.left(evicted)
  }

  #apply(rules: Rules, own: RuleOptions): void {
    this.#own = own
    this.#clientOptions = this.#optionsOfClients(rules)
    this.#door.tune(rules.limits, own.maxConnections ?? 0)
  }

  #accept(socket: Socket): void {
    // The peer has reset the connection already, and what it has sent could still be read: nobody could tell whether it is
    // one that is let in, counted or trusted.
    if ('port' in this.#where && socket.remoteAddress === undefined) {
      return this.#door.vanished(socket, this.#proxy === undefined)
    }
    this.#door.offer(socket)
  }

  #serve(socket: Socket): void {
    const proxy = this.#proxyOf(socket)
    if (proxy === undefined && this.#tls === undefined)
      return this.#maker.begin(new Connection(socket, this.#clientOptions))
    const arrival = new Arrival(socket, this.#arrivals, proxy)
    this.adopt(arrival)
    arrival.begin()
  }

  /** What reads the header, of a socket that comes from a proxy that is trusted. */
  #proxyOf(socket: Socket): ProxyAcceptor | undefined {
    return this.#proxy?.trusts(socket.remoteAddress) === true ? this.#proxy : undefined
  }

  #makeTls(tls: ListenerTlsOptions): TlsAcceptor {
    const { protocol } = this.#options
    return new TlsAcceptor(tls, {
      clock: this.#scope.admission.clock,
      alpn: protocol.alpn,
      fault: (error) => this.fault(error),
    })
  }

  #makeArrivals(): ArrivalHost {
    return {
      clock: this.#scope.admission.clock,
      tls: this.#tls,
      introduced: (socket, { source }) =>
        source === undefined || 'path' in source || this.#door.introduce(socket, source.host),
      arrived: (socket, proxied, tls) => {
        const options: ConnectionOptions = { ...this.#clientOptions }
        if (proxied !== undefined) options.proxied = proxied
        if (tls !== undefined) options.tls = tls
        this.#maker.begin(new Connection(socket, options))
      },
      failed: (reason, error, address) => {
        if (debug.enabled) debug('%s: %s from %s', this.#address, error.message, address)
        this.#door.lost(reason)
        if (reason !== undefined) this.emit('refused', reason, address)
      },
    }
  }

  #refused(reason: RefusalReason, socket?: Socket): void {
    if (debug.enabled) debug('%s refused a connection: %s', this.#address, reason)
    this.emit('refused', reason, socket?.remoteAddress)
  }

  #dropped(): void {
    this.#door.dropped()
    this.#refused('queue-full')
  }

  #evict(everywhere: boolean): void {
    if (this.#draining) return
    const { admission } = this.#scope
    const { limit } = everywhere ? admission.gate : this.#door.gate
    const sessions = everywhere ? this.#scope.sessions : this.sessions
    const waiting = admission.queued - admission.evicting
    admission.evicting += evictIdle(sessions, Math.max(1, Math.min(waiting, Math.floor(limit / 100))))
  }

  /** Without a core a listener's limits are its own, and the whole there is. */
  #scopeOfItsOwn(clock: Clock): ListenerScope {
    const { limits } = withRules(defaultRules, this.#own)
    const admission = new Admission(new Wheel(clock), { ...limits, maxConnections: 0 }, 0)
    const own = this
    return {
      admission,
      rules: defaultRules,
      get sessions() {
        return own.sessions
      },
    }
  }

  get #everywhere(): boolean {
    return 'port' in this.#where && !('host' in this.#where)
  }

  #learnAddress(): void {
    const bound = this.#server.address()
    if (bound === null || typeof bound === 'string') return
    this.#port = bound.port
    this.#address = this.#everywhere ? `*:${bound.port}` : formatAddress({ host: bound.address, port: bound.port })
  }

  #stop(): void {
    this.#door.shut()
    this.#tls?.close()
    if (this.#server.listening) this.#server.close()
  }

  /** Accepting failed (out of descriptors, say): the listener goes on, and the host hears of it. */
  #broken(cause: Error): void {
    this.fault(new XpsError('XPS_LISTEN', `${this.#address}: ${explainListening(cause)}`, { cause }))
  }
}
