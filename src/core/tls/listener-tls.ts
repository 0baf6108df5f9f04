import type { SecureVersion } from 'node:tls'
import { durationOption, invalidOption, knownOptions } from '../../options.ts'
import type { Pem } from './pem.ts'

/** A certificate with its key. */
export interface CertificateOptions {
  /** The certificate, with those between it and its authority behind it. */
  cert: Pem
  key: Pem
  /** What the key is encrypted with. */
  passphrase?: string
}

/** How a listener encrypts. Files that are named by their paths are looked at again, and used anew when they change. */
export interface ListenerTlsOptions extends CertificateOptions {
  /**
   * Other certificates, by the name that a client asks for: `'app.test'`, or `'*.app.test'` for one label in front.
   * Names that are not here get the certificate above.
   */
  names?: Readonly<Record<string, CertificateOptions>>
  /** What becomes of a client that asks for a name of none of `names`. @default 'default' */
  unknownName?: 'default' | 'refuse'
  /** Whether clients are asked for a certificate; with `'require'` one that is not trusted ends the handshake. */
  clientCertificate?: 'ask' | 'require'
  /** Whose signature on clients' certificates is trusted. @default the authorities that Node knows */
  ca?: Pem | readonly Pem[]
  /** What is offered to speak, best first (ALPN). @default what the listener's protocol can speak */
  alpn?: readonly string[]
  /** @default 'TLSv1.2' */
  minVersion?: SecureVersion
  /** @default 'TLSv1.3' */
  maxVersion?: SecureVersion
  /** OpenSSL's names of the ciphers that may be used. @default those of Node */
  ciphers?: string
  /** How long a client may take for the handshake, in milliseconds. @default 10000 */
  handshakeTimeout?: number
  /** How long a client may come back to its session without a full handshake, in seconds; 0 for never. @default 3600 */
  sessionTimeout?: number
  /** How often the files are looked at, in milliseconds; 0 for never. @default 10000 */
  reloadInterval?: number
}

const certificateNames = ['cert', 'key', 'passphrase']
const optionNames = [
  ...certificateNames,
  'names',
  'unknownName',
  'clientCertificate',
  'ca',
  'alpn',
  'minVersion',
  'maxVersion',
  'ciphers',
  'handshakeTimeout',
  'sessionTimeout',
  'reloadInterval',
]
const versions: readonly unknown[] = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3']
/** A name of a host, or one with a star for its first label. */
const nameShape = /^(?:\*\.)?(?!-)[a-z0-9-]+(?:\.[a-z0-9-]+)*$/

/** The options that have defaults, with them. */
export interface TlsRules {
  readonly handshakeTimeout: number
  readonly sessionTimeout: number
  readonly reloadInterval: number
}

/** Throws `XPS_INVALID_OPTION` for options that cannot be; certificates are not read here. */
export function checkListenerTls(tls: ListenerTlsOptions): TlsRules {
  if (typeof tls !== 'object' || tls === null) throw invalidOption('tls', tls, 'an object with cert and key')
  knownOptions('tls', tls, optionNames)
  for (const [name, certificate] of Object.entries(tls.names ?? {})) {
    if (!nameShape.test(name)) throw invalidOption('tls.names', name, 'names of hosts in lower case')
    knownOptions(`tls.names['${name}']`, certificate, certificateNames)
  }
  oneOf('tls.unknownName', tls.unknownName, ['default', 'refuse'])
  oneOf('tls.clientCertificate', tls.clientCertificate, ['ask', 'require'])
  oneOf('tls.minVersion', tls.minVersion, versions)
  oneOf('tls.maxVersion', tls.maxVersion, versions)
  checkAlpn('tls.alpn', tls.alpn)
  const { sessionTimeout = 3_600 } = tls
  if (!Number.isInteger(sessionTimeout) || sessionTimeout < 0 || sessionTimeout > 604_800) {
    throw invalidOption('tls.sessionTimeout', sessionTimeout, 'seconds from 0 to 604800')
  }
  return {
    handshakeTimeout: durationOption('tls.handshakeTimeout', tls.handshakeTimeout, 10_000),
    sessionTimeout,
    reloadInterval: durationOption('tls.reloadInterval', tls.reloadInterval, 10_000, true),
  }
}

/** Throws `XPS_INVALID_OPTION` for what is no list of protocols' names. */
export function checkAlpn(name: string, given: readonly string[] | undefined): void {
  if (given === undefined) return
  const isList =
    Array.isArray(given) && given.every((one) => typeof one === 'string' && /^[\x21-\x7e]{1,255}$/.test(one))
  if (!isList) throw invalidOption(name, given, "a list of names such as ['h2', 'http/1.1']")
}

function oneOf(name: string, given: unknown, allowed: readonly unknown[]): void {
  if (given !== undefined && !allowed.includes(given)) throw invalidOption(name, given, `one of ${allowed.join(', ')}`)
}
