import { isIP } from 'node:net'
import { createSecureContext, type ConnectionOptions as NodeTlsOptions, type SecureVersion } from 'node:tls'
import { invalidOption, knownOptions } from '../../options.ts'
import { checkAlpn } from './listener-tls.ts'
import { type Pem, readBytes, readPem, readPems } from './pem.ts'

/** How connections to an upstream are encrypted. */
export interface UpstreamTlsOptions {
  /** Whose signature on the upstream's certificate is trusted. @default the authorities that Node knows */
  ca?: Pem | readonly Pem[]
  /** The certificate that we show if we are asked for one, and its key. */
  cert?: Pem
  key?: Pem
  /** The two in one file (PKCS #12), in their place: its path, or its bytes. */
  pfx?: string | Uint8Array
  /** What the key, or the file with both, is encrypted with. */
  passphrase?: string
  /** The name that is asked for, and that the certificate must be for. @default the host that is dialled */
  servername?: string
  /** Whether the certificate must be trusted and be for the name. Without it, anybody can answer. @default true */
  verify?: boolean
  /** What is offered to speak, best first (ALPN). @default nothing */
  alpn?: readonly string[]
  /** @default 'TLSv1.2' */
  minVersion?: SecureVersion
  /** @default 'TLSv1.3' */
  maxVersion?: SecureVersion
  /** OpenSSL's names of the ciphers that may be used. @default those of Node */
  ciphers?: string
}

const optionNames = [
  'ca',
  'cert',
  'key',
  'pfx',
  'passphrase',
  'servername',
  'verify',
  'alpn',
  'minVersion',
  'maxVersion',
  'ciphers',
]
/** For how many names and protocols a session is kept, to be resumed. */
const mostSessions = 64

/** The client's side of TLS for one upstream. */
export class TlsDialler {
  readonly #tls: UpstreamTlsOptions
  readonly #common: NodeTlsOptions
  /** The last session of each name and protocol, by which the next handshake is cheaper. */
  readonly #sessions = new Map<string, Buffer>()

  /** Throws `XPS_INVALID_OPTION` for what cannot be, certificates included. */
  constructor(given: true | UpstreamTlsOptions) {
    const tls = given === true ? {} : given
    if (typeof tls !== 'object' || tls === null) throw invalidOption('upstream.tls', given, 'true or an object')
    knownOptions('upstream.tls', tls, optionNames)
    checkAlpn('upstream.tls.alpn', tls.alpn)
    if ((tls.cert === undefined) !== (tls.key === undefined)) {
      throw invalidOption('upstream.tls', 'one of them', 'without cert and key, or with both')
    }
    if (tls.pfx !== undefined && (tls.cert !== undefined || tls.key !== undefined)) {
      throw invalidOption('upstream.tls', 'both', 'with cert and key, or with pfx')
    }
    const { verify = true, servername } = tls
    if (typeof verify !== 'boolean') throw invalidOption('upstream.tls.verify', verify, 'true or false')
    if (servername !== undefined && (typeof servername !== 'string' || servername === '' || isIP(servername) !== 0)) {
      throw invalidOption('upstream.tls.servername', servername, 'the name of a host')
    }
    this.#tls = tls
    const pfx = tls.pfx === undefined ? undefined : readBytes('upstream.tls.pfx', tls.pfx)
    try {
      this.#common = {
        secureContext: createSecureContext({
          ca: tls.ca === undefined ? undefined : readPems('upstream.tls.ca', tls.ca),
          cert: tls.cert === undefined ? undefined : readPem('upstream.tls.cert', tls.cert),
          key: tls.key === undefined ? undefined : readPem('upstream.tls.key', tls.key),
          pfx,
          passphrase: tls.passphrase,
          ciphers: tls.ciphers,
          minVersion: tls.minVersion ?? 'TLSv1.2',
          maxVersion: tls.maxVersion,
        }),
        rejectUnauthorized: verify,
      }
    } catch (error) {
      throw invalidOption(
        'upstream.tls',
        'what was given',
        `certificates that can be used (${(error as Error).message})`,
      )
    }
  }

  /** What `tls.connect` needs besides where; `key` is for {@link remember}. */
  options(host: string, alpn: readonly string[] | undefined): { options: NodeTlsOptions; key: string } {
    const offered = alpn ?? this.#tls.alpn
    const servername = this.#tls.servername ?? (isIP(host) === 0 ? host : undefined)
    const key = `${servername ?? host} ${offered?.join(' ') ?? ''}`
    const session = this.#sessions.get(key)
    const options: NodeTlsOptions = { ...this.#common }
    // Without a name Node checks the certificate against the address.
    if (servername !== undefined) options.servername = servername
    if (offered !== undefined) options.ALPNProtocols = [...offered]
    if (session !== undefined) options.session = session
    return { options, key }
  }

  /** Keeps a session for the next handshake. */
  remember(key: string, session: Buffer): void {
    this.#sessions.delete(key)
    this.#sessions.set(key, session)
    if (this.#sessions.size <= mostSessions) return
    for (const oldest of this.#sessions.keys()) {
      this.#sessions.delete(oldest)
      return
    }
  }
}
