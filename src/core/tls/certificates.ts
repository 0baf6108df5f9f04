import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { type BigIntStats, statSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'
import { invalidOption } from '../../options.ts'
import type { CertificateOptions, ListenerTlsOptions } from './listener-tls.ts'
import { isPath, type Pem, readPem, readPems } from './pem.ts'

/** The certificates of a listener: one by default, others by the name that a client asks for. */
export class Certificates {
  readonly #tls: ListenerTlsOptions
  readonly #sessionTimeout: number
  readonly #files: readonly string[]
  #default: SecureContextOptions
  #byName = new Map<string, SecureContext>()
  /** How the files looked when they were last read, or read in vain. */
  #seen: string

  /** Reads all of them. Throws `XPS_INVALID_OPTION` for one that is none, or whose key is another's. */
  constructor(tls: ListenerTlsOptions, sessionTimeout: number) {
    this.#tls = tls
    this.#sessionTimeout = sessionTimeout
    this.#files = filesOf(tls)
    // Before they are read, so that a change while they are is not missed.
    this.#seen = this.#files.map(lookNow).join(' ')
    this.#default = this.#read()
  }

  /** Whether there is anything to look at. */
  get hasFiles(): boolean {
    return this.#files.length > 0
  }

  /** What a server needs for those who ask for no name, or for one that is unknown. */
  get default(): SecureContextOptions {
    return this.#default
  }

  /** The certificate of a name; undefined if there is none for it. */
  of(name: string): SecureContext | undefined {
    const lower = name.toLowerCase()
    const exact = this.#byName.get(lower)
    if (exact !== undefined) return exact
    const dot = lower.indexOf('.')
    return dot < 0 ? undefined : this.#byName.get(`*${lower.slice(dot)}`)
  }

  /** Reads them again; nothing changes if that fails. Throws as the constructor does. */
  reload(): void {
    this.#default = this.#read()
  }

  /** Whether a file has changed since they were read at first, or since this was last asked. */
  async changed(): Promise<boolean> {
    const before = this.#seen
    const looks = await Promise.all(this.#files.map(lookOf))
    this.#seen = looks.join(' ')
    return before !== this.#seen
  }

  #read(): SecureContextOptions {
    const fallback = this.#options('tls', this.#tls)
    makeContext('tls', fallback)
    const byName = new Map<string, SecureContext>()
    for (const [name, certificate] of Object.entries(this.#tls.names ?? {})) {
      const option = `tls.names['${name}']`
      byName.set(name, makeContext(option, this.#options(option, certificate)))
    }
    this.#byName = byName
    return fallback
  }

  #options(name: string, certificate: CertificateOptions): SecureContextOptions {
    const { ca, ciphers, minVersion = 'TLSv1.2', maxVersion } = this.#tls
    return {
      cert: readPem(`${name}.cert`, certificate.cert),
      key: readPem(`${name}.key`, certificate.key),
      passphrase: certificate.passphrase,
      ca: ca === undefined ? undefined : readPems('tls.ca', ca),
      ciphers,
      minVersion,
      maxVersion,
      sessionTimeout: this.#sessionTimeout,
      // Tickets are valid for this listener only, also when the program has others.
      sessionIdContext,
    }
  }
}

const sessionIdContext = createHash('sha256').update('xps').digest('hex').slice(0, 32)

function makeContext(name: string, options: SecureContextOptions): SecureContext {
  try {
    const context = createSecureContext(options)
    // OpenSSL compares the two only if they are of the same kind.
    if (!isPair(options)) throw new Error('the key is that of another certificate')
    return context
  } catch (error) {
    throw invalidOption(name, 'what was given', `a certificate with its key (${(error as Error).message})`)
  }
}

function isPair({ cert, key, passphrase }: SecureContextOptions): boolean {
  const secret = createPrivateKey({ key: key as Buffer, passphrase })
  return new X509Certificate(cert as Buffer).checkPrivateKey(secret)
}

function filesOf(tls: ListenerTlsOptions): string[] {
  const all = [tls, ...Object.values(tls.names ?? {})].flatMap(({ cert, key }) => [cert, key])
  const ca = tls.ca === undefined ? [] : Array.isArray(tls.ca) ? (tls.ca as readonly Pem[]) : [tls.ca as Pem]
  return [...new Set([...all, ...ca].filter(isPath))]
}

async function lookOf(file: string): Promise<string> {
  return stat(file, { bigint: true }).then(look, () => away)
}

function lookNow(file: string): string {
  try {
    return look(statSync(file, { bigint: true }))
  } catch {
    return away
  }
}

/** What changes with a file. */
function look({ mtimeNs, size, ino }: BigIntStats): string {
  return `${mtimeNs}/${size}/${ino}`
}

/** A file that is away for a moment, while it is replaced. */
const away = '-'
