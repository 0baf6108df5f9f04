import { createServer, type Server, type Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import { systemCode, XpsError } from '../errors.ts'
import type { Lifetime } from '../lifetime/lifetime.ts'
import { integerOption, invalidOption, knownOptions } from '../options.ts'
import { type Address, formatAddress } from './address.ts'
import { ClientSession, type Protocol } from './client-session.ts'
import { type CloseOptions, closeBy } from './close-by.ts'
import { Connection, type Entrance } from './connection.ts'
import { Living } from './living.ts'
import { log } from './log.ts'

/** Where to listen: a port (0 for a free one), on all addresses or on one, or the path of a Unix-domain socket. */
export type ListenAddress = number | { port: number; host?: string } | { path: string }

/** Options of a {@link Listener}. */
export interface ListenerOptions {
  /** Makes the session of each connection. */
  protocol: Protocol
  /** How many connections the kernel keeps for us until we take them; the system may allow fewer. @default 511 */
  backlog?: number
  /** Whether small writes are sent at once (TCP_NODELAY). @default true */
  noDelay?: boolean
  /** See {@link ConnectionOptions}. @default 2000 */
  lingerTimeout?: number
  /** @default the machine's */
  clock?: Clock
}

/** What happens to a {@link Listener}. */
export interface ListenerEvents {
  /** It listens; its port is known. */
  open: []
  /** A connection was accepted and is a session now. Told before any of its bytes move. */
  session: [session: ClientSession]
  /** Told once and last, after all its sessions have closed. */
  close: [error: XpsError | undefined]
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
  readonly #clock: Clock | undefined
  readonly #server: Server
  #address: string
  #port: number
  #listening = false

  constructor(where: ListenAddress, options: ListenerOptions) {
    super()
    this.#where = checkAddress(where)
    knownOptions('listener options', options, ['protocol', 'backlog', 'noDelay', 'lingerTimeout', 'clock'])
    if (typeof options.protocol !== 'function') throw invalidOption('protocol', options.protocol, 'a function')
    integerOption('backlog', options.backlog, 511, { min: 1, max: 65_535 })
    this.#options = options
    this.#clock = options.clock
    this.#port = 'port' in this.#where ? this.#where.port : 0
    this.#address = 'port' in this.#where && !('host' in this.#where) ? `*:${this.#port}` : formatAddress(this.#where as Address)
    this.#server = createServer({
      allowHalfOpen: true,
      // Nothing is read before there is a session that wants it.
      pauseOnConnect: true,
      noDelay: options.noDelay ?? true,
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
        const error = new XpsError('XPS_LISTEN', `cannot listen on ${this.#address}: ${explain(cause)}`, { cause })
        this.finish(error)
        this.release()
        reject(error)
      }
      server.once('error', failed)
      server.listen({ ...this.#where, backlog: this.#options.backlog ?? 511 }, () => {
        server.off('error', failed)
        server.on('error', (cause) => this.#broken(cause))
        server.on('connection', (socket) => this.#accept(socket))
        server.once('close', () => this.release())
        this.#learnAddress()
        if (debug.enabled) debug('listening on %s', this.#address)
        if (this.opened()) this.emit('open')
        resolve(this)
      })
    })
  }

  /** Stops to listen and resolves when the last session has closed; after the deadline they are aborted. */
  override close(options: CloseOptions = {}): Promise<XpsError | undefined> {
    return closeBy(this, () => super.close(), options, this.#clock)
  }

  protected override onDrain(): void {
    this.#stop()
    this.finishWithChildren()
  }

  protected override onAbort(): void {
    this.#stop()
  }

  protected override onChildOpen(child: Lifetime): void {
    this.emit('session', child)
  }

  protected override onClosed(error: XpsError | undefined): void {
    if (debug.enabled) debug('closed %s', this.#address)
    this.emit('close', error)
  }

  #accept(socket: Socket): void {
    const { lingerTimeout } = this.#options
    const client = new Connection(socket, {
      entrance: this,
      ...(lingerTimeout === undefined ? {} : { lingerTimeout }),
      ...(this.#clock === undefined ? {} : { clock: this.#clock }),
    })
    if (this.phase !== 'open') {
      client.abort(new XpsError('XPS_CLOSED', `${this.#address} is closing`))
      return
    }
    try {
      const session = this.#options.protocol(client)
      this.adopt(session)
      session.open()
    } catch (error) {
      this.fault(error)
      client.abort(new XpsError('XPS_FAULT', 'the protocol failed', { cause: error }))
    }
  }

  #learnAddress(): void {
    const bound = this.#server.address()
    if (bound === null || typeof bound === 'string') return
    this.#port = bound.port
    const everywhere = 'port' in this.#where && !('host' in this.#where)
    this.#address = everywhere ? `*:${bound.port}` : formatAddress({ host: bound.address, port: bound.port })
  }

  #stop(): void {
    if (this.#server.listening) this.#server.close()
  }

  /** Accepting failed (out of descriptors, say): the listener goes on, and the host hears of it. */
  #broken(cause: Error): void {
    this.fault(new XpsError('XPS_LISTEN', `${this.#address}: ${explain(cause)}`, { cause }))
  }
}

function explain(cause: Error): string {
  const code = systemCode(cause)
  if (code === 'EADDRINUSE') return 'the address is in use'
  if (code === 'EACCES') return 'permission denied'
  if (code === 'EADDRNOTAVAIL') return 'this machine does not have the address'
  if (code === 'ENOTFOUND') return 'the host name is unknown'
  return cause.message
}

function checkAddress(where: ListenAddress): Address | { port: number } {
  const address = typeof where === 'number' ? { port: where } : where
  if (typeof address !== 'object' || address === null) throw invalidOption('listen', where, 'a port or an address')
  if ('path' in address) {
    if (typeof address.path !== 'string' || address.path === '') throw invalidOption('path', address.path, 'a path')
    return { path: address.path }
  }
  const port = integerOption('port', address.port ?? Number.NaN, 0, { min: 0, max: 65_535 })
  if (address.host === undefined) return { port }
  if (typeof address.host !== 'string' || address.host === '') throw invalidOption('host', address.host, 'a host')
  return { port, host: address.host }
}
