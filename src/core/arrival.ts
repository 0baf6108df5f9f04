import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { RefusalReason } from '../admission/stats.ts'
import type { Alarm, Clock } from '../clock.ts'
import { isXpsError, type TimeoutReason, XpsError } from '../errors.ts'
import { Lifetime } from '../lifetime/lifetime.ts'
import type { AwaitingHeader, ProxyAcceptor } from './proxy-protocol/accept-proxy.ts'
import type { ProxyHeader } from './proxy-protocol/proxy-header.ts'
import type { Handshaking, TlsAcceptor } from './tls/tls-acceptor.ts'
import { TlsState } from './tls/tls-state.ts'

/** What a listener does with those that have arrived, and with those that have not. */
export interface ArrivalHost {
  readonly clock: Clock
  readonly tls: TlsAcceptor | undefined
  /** It is known who the client is: false if there are too many of his address. */
  introduced(socket: Socket, header: ProxyHeader): boolean
  /** It can have its session now. */
  arrived(socket: Socket, header: ProxyHeader | undefined, tls: TlsState | undefined): void
  /** It has come to nothing; without a reason, as it should. */
  failed(reason: RefusalReason | undefined, error: XpsError, address: string | undefined): void
}

/**
 * An accepted socket on its way to its session: until the proxy before it has said who the client is, if there is one that
 * speaks for others, and then until the TLS handshake is done, if there is to be one. It has a place inside, as a session
 * has, and a deadline for each of the two.
 */
export class Arrival extends Lifetime implements AwaitingHeader, Handshaking {
  readonly #socket: Socket
  readonly #host: ArrivalHost
  readonly #proxy: ProxyAcceptor | undefined
  /** The peer's, and then that of whoever it has come for. */
  #address: string | undefined
  readonly #onClose: () => void
  #alarm: Alarm | undefined
  #header: ProxyHeader | undefined
  #stopReading: (() => void) | undefined

  /** `proxy` reads the header; undefined for a client who speaks for himself. */
  constructor(socket: Socket, host: ArrivalHost, proxy: ProxyAcceptor | undefined) {
    super()
    this.#socket = socket
    this.#host = host
    this.#proxy = proxy
    this.#address = socket.remoteAddress
    this.#onClose = () =>
      this.failed(new XpsError('XPS_RESET', 'the client left in the handshake', { origin: 'client' }))
  }

  /** Begins; ends by `arrived` or `failed` of its host. */
  begin(): void {
    const proxy = this.#proxy
    this.opened()
    this.hold() // Until the socket has closed, or is somebody else's.
    this.#socket.on('error', ignore) // TLS tells of it, and if not, the close does.
    if (proxy === undefined) return this.#encrypt()
    this.#limit(proxy.headerTimeout, 'proxy-header', 'the PROXY header')
    this.#stopReading = proxy.accept(this.#socket, this)
  }

  introduced(header: ProxyHeader): void {
    this.#stopReading = undefined
    this.#header = header
    if (header.source !== undefined && 'host' in header.source) this.#address = header.source.host
    if (!this.#host.introduced(this.#socket, header)) {
      return this.#fail(new XpsError('XPS_REFUSED', 'too many connections of one address'), 'per-ip')
    }
    this.#encrypt()
  }

  unannounced(error: XpsError): void {
    this.#stopReading = undefined
    this.#fail(error, isXpsError(error, 'XPS_CLOSED') ? undefined : 'proxy-header')
  }

  secured(socket: TLSSocket): void {
    if (this.phase !== 'open') {
      socket.destroy()
      return
    }
    this.#arrive(socket, new TlsState(socket))
  }

  failed(error: XpsError): void {
    this.#fail(error, 'tls')
  }

  /** Who is under way when the listener closes has no session yet that could finish anything. */
  protected override onDrain(): void {
    this.#fail(new XpsError('XPS_CLOSED', 'the listener is closing'), 'closing')
  }

  protected override onAbort(error: XpsError): void {
    this.#fail(error, 'closing')
  }

  #encrypt(): void {
    const { tls } = this.#host
    if (tls === undefined) return this.#arrive(this.#socket)
    this.#socket.once('close', this.#onClose)
    this.#limit(tls.rules.handshakeTimeout, 'handshake', 'the TLS handshake')
    tls.accept(this.#socket, this)
  }

  #limit(timeout: number, reason: TimeoutReason, what: string): void {
    this.#alarm?.cancel()
    this.#alarm = this.#host.clock.after(timeout, () => {
      const error = new XpsError('XPS_TIMEOUT', `${what} took longer than ${timeout} ms`, { origin: 'client', reason })
      this.#fail(error, reason === 'handshake' ? 'tls' : 'proxy-header')
    })
  }

  #arrive(socket: Socket, tls?: TlsState): void {
    this.#end()
    this.#host.arrived(socket, this.#header, tls)
    this.finish()
    this.release()
  }

  #fail(error: XpsError, reason: RefusalReason | undefined): void {
    if (this.phase === 'closed' || this.#alarm === undefined) return
    this.#end()
    this.#socket.destroy()
    this.#host.failed(reason, error, this.#address)
    this.finish(error)
    this.release()
  }

  #end(): void {
    this.#stopReading?.()
    this.#stopReading = undefined
    this.#alarm?.cancel()
    this.#alarm = undefined
    this.#socket.off('close', this.#onClose)
  }
}

function ignore(): void {}
