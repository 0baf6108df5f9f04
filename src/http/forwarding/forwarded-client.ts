import { plainAddress } from '../../admission/plain-address.ts'

/** What a proxy knows of whoever sent it a request. */
export interface ForwardedClientOptions {
  /** The address that the connection comes from; leave it out for a Unix-domain socket. */
  address?: string | undefined
  port?: number | undefined
  /** Whether the client speaks TLS with us. @default false */
  secure?: boolean
  /** The certificate that the client has shown and that is trusted, as DER. */
  certificate?: Uint8Array | undefined
}

/**
 * A client for whom requests are forwarded. There is one for each connection: what is said of the client is made once
 * and used for all its requests.
 */
export class ForwardedClient {
  /** Without the interface of a link-local address; IPv4 as IPv4. `''` for a Unix-domain socket. */
  readonly address: string
  readonly port: number | undefined
  readonly secure: boolean
  /** The trusted certificate that it has shown, as `Client-Cert` says it (RFC 9440, 2.1). */
  readonly certificate: string | undefined
  /** @internal Kept by the {@link Provenance} that was asked last. */
  note: ClientNote | undefined

  constructor(options: ForwardedClientOptions = {}) {
    const { address = '', port, secure = false, certificate } = options
    const zone = address.indexOf('%')
    this.address = plainAddress(zone < 0 ? address : address.slice(0, zone)) as string
    this.port = port
    this.secure = secure
    this.certificate = certificate && `:${Buffer.from(certificate).toString('base64')}:`
  }
}

/** What somebody remembers of a client. */
export interface ClientNote {
  readonly by: object
  readonly trusted: boolean
  /** Of the last request. */
  authority: string
  version: string
  /** The fields that were written for it: name, value, name, value; and as text. */
  pairs: readonly string[]
  text: string
}
