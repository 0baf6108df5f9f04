import type { Pem } from '../core/tls/pem.ts'
import type { UpstreamTlsOptions } from '../core/tls/upstream-tls.ts'
import { invalidOption } from '../options.ts'
import type { ProxyServerOptions } from './options.ts'
import type { Target } from './target.ts'

/** What of a target's parts is about TLS, and is taken as it is. */
const taken = ['cert', 'key', 'pfx', 'passphrase', 'ciphers', 'servername'] as const
/**
 * How a target is encrypted to, as http-proxy's options say it: `secure`, `ca`, and what stands beside the host of a target
 * that was given in parts. Undefined for one in plain text. Throws `XPS_INVALID_OPTION`.
 */
export function targetTls(target: Target, options: ProxyServerOptions): UpstreamTlsOptions | undefined {
  if (!target.secure) return undefined
  const { secure = true } = options
  if (typeof secure !== 'boolean') throw invalidOption('secure', secure, 'true or false')
  const tls: UpstreamTlsOptions = { verify: secure }
  const parts = target.url instanceof URL ? {} : target.url
  const ca = (options.ca ?? parts['ca']) as Pem | readonly Pem[] | null | undefined
  if (ca !== undefined && ca !== null) tls.ca = ca
  for (const name of taken) {
    const given = parts[name] as string | null | undefined
    if (given !== undefined && given !== null) tls[name] = given
  }
  const { secureProtocol } = parts
  if (secureProtocol !== undefined && secureProtocol !== null) {
    throw invalidOption('target.secureProtocol', secureProtocol, 'left out: TLS 1.2 and 1.3 are spoken')
  }
  return tls
}

/** The same text for what says the same. */
export function keyOfTls(tls: UpstreamTlsOptions): string {
  return JSON.stringify(tls, (_name, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value,
  )
}
