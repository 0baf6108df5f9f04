import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { systemCode } from '../../errors.ts'

/** What the handshake of an encrypted connection has come to. */
export class TlsState {
  /** `TLSv1.3` or `TLSv1.2`. */
  readonly version: string
  /** The cipher suite's standard name, such as `TLS_AES_256_GCM_SHA384`. */
  readonly cipher: string
  /** What both sides agreed to speak (ALPN), such as `h2`; undefined if nothing was agreed. */
  readonly alpn: string | undefined
  /** The name that the client asked for (SNI); undefined if it named none. */
  readonly servername: string | undefined
  /** It goes on with the keys of an earlier connection. */
  readonly reused: boolean
  /** The peer showed a certificate that is trusted. */
  readonly authorized: boolean
  /** Why it is not, where one was asked for: a code such as `DEPTH_ZERO_SELF_SIGNED_CERT`. */
  readonly authorizationError: string | undefined
  readonly #socket: TLSSocket
  #certificate: X509Certificate | undefined

  constructor(socket: TLSSocket) {
    this.#socket = socket
    this.version = socket.getProtocol() ?? 'unknown'
    this.cipher = socket.getCipher()?.standardName ?? 'unknown'
    this.alpn = socket.alpnProtocol || undefined
    this.servername = nameOf(socket)
    this.reused = socket.isSessionReused()
    this.authorized = socket.authorized
    // Node's types call it an Error; on a server's side it is the code itself.
    const why: unknown = socket.authorizationError
    this.authorizationError = typeof why === 'string' ? why : systemCode(why)
  }

  /** The peer's certificate; undefined if it showed none. To be asked for while the connection is open. */
  get certificate(): X509Certificate | undefined {
    this.#certificate ??= this.#socket.getPeerX509Certificate()
    return this.#certificate
  }
}

function nameOf(socket: TLSSocket): string | undefined {
  const { servername } = socket as { servername?: string | false | null }
  return servername === false || servername === null || servername === '' ? undefined : servername
}
