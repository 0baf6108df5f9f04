import { AsyncLocalStorage } from 'node:async_hooks'
import type { Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import type { Alarm, Clock } from '../../clock.ts'
import { systemCode, XpsError } from '../../errors.ts'
import { Certificates } from './certificates.ts'
import { checkListenerTls, type ListenerTlsOptions, type TlsRules } from './listener-tls.ts'

/** Who waits for a handshake. */
export interface Handshaking {
  secured(socket: TLSSocket): void
  /** It failed; the socket is about to close. */
  failed(error: XpsError): void
}

/** What TLS on a listener needs from it. */
export interface TlsAcceptorScope {
  readonly clock: Clock
  /** What the listener's protocol can speak, best first. */
  readonly alpn: readonly string[] | undefined
  fault(error: XpsError): void
}

/**
 * Makes encrypted sockets of plain ones, as a server: one `tls.Server` that is handed the sockets, so that sessions are
 * resumed and clients' certificates are checked the way Node does it.
 */
export class TlsAcceptor {
  readonly rules: TlsRules
  readonly #scope: TlsAcceptorScope
  readonly #certificates: Certificates
  readonly #server: Server
  /** Those whose handshake is under way, by the client's address. */
  readonly #waiting = new Map<string, Handshaking>()
  /** For sockets whose peers have no address: the server tells which socket is ready, but not which one it was before. */
  readonly #nameless = new AsyncLocalStorage<Handshaking>()
  #alarm: Alarm | undefined
  #closed = false

  /** Throws `XPS_INVALID_OPTION` for what cannot be, certificates included. */
  constructor(tls: ListenerTlsOptions, scope: TlsAcceptorScope) {
    this.rules = checkListenerTls(tls)
    this.#scope = scope
    this.#certificates = new Certificates(tls, this.rules.sessionTimeout)
    const { clientCertificate, unknownName } = tls
    const alpn = tls.alpn ?? scope.alpn
    this.#server = createServer({
      ...this.#certificates.default,
      ...(alpn === undefined ? {} : { ALPNProtocols: [...alpn] }),
      requestCert: clientCertificate !== undefined,
      rejectUnauthorized: clientCertificate === 'require',
      SNICallback: (name, tell) => {
        const found = this.#certificates.of(name)
        if (found === undefined && unknownName === 'refuse') tell(new Error(`no certificate for '${name}'`))
        else tell(null, found)
      },
      // Ours is kept by the listener's clock.
      handshakeTimeout: Math.max(this.rules.handshakeTimeout, 120_000),
    })
    this.#server.on('secureConnection', (socket) => {
      socket.allowHalfOpen = true
      const waiting = this.#take(socket)
      if (waiting === undefined) socket.destroy()
      else waiting.secured(socket)
    })
    this.#server.on('tlsClientError', (cause, socket) => this.#take(socket)?.failed(handshakeError(cause)))
    this.#server.on('error', () => {}) // A socket that is broken already when it is handed in.
  }

  /** Starts to look at the files, if there are any. */
  open(): void {
    if (this.rules.reloadInterval === 0 || !this.#certificates.hasFiles) return
    this.#lookLater()
  }

  close(): void {
    this.#closed = true
    this.#alarm?.cancel()
    this.#alarm = undefined
  }

  /** Starts the handshake on a socket that has been accepted. */
  accept(socket: Socket, handshaking: Handshaking): void {
    // Whoever ends in the middle of a handshake cannot finish it: it fails then, and not at its deadline.
    socket.allowHalfOpen = false
    const name = nameOf(socket)
    if (name === undefined) {
      this.#nameless.run(handshaking, () => this.#server.emit('connection', socket))
      return
    }
    this.#waiting.set(name, handshaking)
    socket.once('close', () => {
      if (this.#waiting.get(name) === handshaking) this.#waiting.delete(name)
    })
    this.#server.emit('connection', socket)
  }

  /**
   * Reads the certificates again and uses them from now on; connections that there are go on as they are, and sessions
   * can be resumed. Throws `XPS_INVALID_OPTION`, and goes on with those that it has, if they cannot be used.
   */
  reload(): void {
    this.#certificates.reload()
    const keys = this.#server.getTicketKeys()
    this.#server.setSecureContext(this.#certificates.default)
    this.#server.setTicketKeys(keys)
  }

  #take(socket: TLSSocket): Handshaking | undefined {
    const name = nameOf(socket)
    if (name === undefined) return this.#nameless.getStore()
    const waiting = this.#waiting.get(name)
    this.#waiting.delete(name)
    return waiting
  }

  #lookLater(): void {
    this.#alarm = this.#scope.clock.after(this.rules.reloadInterval, () => void this.#look())
  }

  async #look(): Promise<void> {
    const changed = await this.#certificates.changed()
    if (this.#closed) return
    if (changed) {
      try {
        this.reload()
      } catch (error) {
        // A certificate is often replaced before its key is: the next look sees that too.
        this.#scope.fault(
          new XpsError('XPS_TLS', `certificates have changed and cannot be used: ${(error as Error).message}`, {
            cause: error,
          }),
        )
      }
    }
    this.#lookLater()
  }
}

/** The two ends of a connection, which no other has at the time. */
function nameOf(socket: Socket): string | undefined {
  const { remoteAddress, remotePort, localAddress, localPort } = socket
  if (remoteAddress === undefined || remotePort === undefined) return undefined
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
}

function handshakeError(cause: Error): XpsError {
  return new XpsError('XPS_TLS', `the TLS handshake failed (${systemCode(cause) ?? cause.message})`, {
    origin: 'client',
    cause,
  })
}
