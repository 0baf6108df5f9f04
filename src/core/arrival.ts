import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Alarm, Clock } from '../clock.ts'
import { XpsError } from '../errors.ts'
import { Lifetime } from '../lifetime/lifetime.ts'
import type { Handshaking, TlsAcceptor } from './tls/tls-acceptor.ts'

/** What a listener does with those that have arrived, and with those that have not. */
export interface ArrivalHost {
  readonly clock: Clock
  readonly tls: TlsAcceptor
  /** It can have its session now. */
  arrived(socket: TLSSocket): void
  failed(error: XpsError, address: string | undefined): void
}

/**
 * An accepted socket on its way to its session: until the TLS handshake is done. It has a place inside, as a session has, and
 * a deadline.
 */
export class Arrival extends Lifetime implements Handshaking {
  readonly #socket: Socket
  readonly #host: ArrivalHost
  readonly #address: string | undefined
  readonly #onClose: () => void
  #alarm: Alarm | undefined

  constructor(socket: Socket, host: ArrivalHost) {
    super()
    this.#socket = socket
    this.#host = host
    this.#address = socket.remoteAddress
    this.#onClose = () =>
      this.failed(new XpsError('XPS_RESET', 'the client left in the handshake', { origin: 'client' }))
  }

  /** Begins; ends by `arrived` or `failed` of its host. */
  begin(): void {
    const { clock, tls } = this.#host
    const { handshakeTimeout } = tls.rules
    this.opened()
    this.hold() // Until the socket has closed, or is somebody else's.
    this.#socket.on('error', ignore) // TLS tells of it, and if not, the close does.
    this.#socket.once('close', this.#onClose)
    this.#alarm = clock.after(handshakeTimeout, () => {
      const message = `the TLS handshake took longer than ${handshakeTimeout} ms`
      this.failed(new XpsError('XPS_TIMEOUT', message, { origin: 'client', reason: 'handshake' }))
    })
    tls.accept(this.#socket, this)
  }

  secured(socket: TLSSocket): void {
    if (this.phase !== 'open') {
      socket.destroy()
      return
    }
    this.#end()
    this.#host.arrived(socket)
    this.finish()
    this.release()
  }

  failed(error: XpsError): void {
    if (this.phase === 'closed' || this.#alarm === undefined) return
    this.#end()
    this.#socket.destroy()
    this.#host.failed(error, this.#address)
    this.finish(error)
    this.release()
  }

  /** A handshake that is under way when the listener closes has no session yet that could finish anything. */
  protected override onDrain(): void {
    this.failed(new XpsError('XPS_CLOSED', 'the listener is closing'))
  }

  protected override onAbort(error: XpsError): void {
    this.failed(error)
  }

  #end(): void {
    this.#alarm?.cancel()
    this.#alarm = undefined
    this.#socket.off('close', this.#onClose)
  }
}

function ignore(): void {}
