import { invalidOption } from '../../options.ts'
import type { PathRewrite } from './path-rewrite.ts'
import type { PublicSide } from './provenance.ts'

/** What becomes of URLs in a response by which an upstream names itself. */
export interface RedirectRewrite {
  /** The host that takes the upstream's place: the one that the client asked for, a given one, or no other. @default 'client' */
  host?: 'client' | 'leave' | (string & {})
  /** The same for the scheme. @default 'client' */
  scheme?: 'client' | 'leave' | 'http' | 'https'
}

/** Rewrites `Location`, `Content-Location` and `Refresh` of an upstream for its client. */
export class Redirects {
  readonly #host: string
  readonly #scheme: string
  readonly #paths: PathRewrite

  /** Throws `XPS_INVALID_OPTION`. */
  constructor(options: RedirectRewrite, paths: PathRewrite, name = 'redirects') {
    const { host = 'client', scheme = 'client' } = options
    if (typeof host !== 'string' || !/^(?:\[[\da-f:.]+\]|[\w.-]+)(?::\d{1,5})?$/i.test(host)) {
      throw invalidOption(`${name}.host`, host, "'client', 'leave' or a host such as 'app.test'")
    }
    if (!['client', 'leave', 'http', 'https'].includes(scheme)) {
      throw invalidOption(`${name}.scheme`, scheme, "'client', 'leave', 'http' or 'https'")
    }
    this.#host = host
    this.#scheme = scheme
    this.#paths = paths
  }

  /**
   * A URL as the client has to have it. `own` are hosts (with their ports) that the upstream may call itself by, and
   * `prefix` is that of the route. URLs of others, and relative ones, stay as they are.
   */
  url(url: string, own: readonly string[], client: PublicSide, prefix: string): string {
    const absolute = /^(?:(https?):)?\/\/([^/?#]+)(.*)$/i.exec(url)
    if (absolute === null) return url.startsWith('/') && !url.startsWith('//') ? this.#paths.reverse(url, prefix) : url
    const [, scheme, authority = '', path = ''] = absolute
    const assumed = scheme?.toLowerCase() ?? (client.secure ? 'https' : 'http')
    const named = withoutDefaultPort(authority, assumed)
    const reversed = path.startsWith('/') ? this.#paths.reverse(path, prefix) : path
    if (client.authority !== '' && named === withoutDefaultPort(client.authority, assumed)) {
      return `${scheme === undefined ? '' : `${scheme}:`}//${authority}${reversed}`
    }
    if (!own.some((one) => withoutDefaultPort(one, assumed) === named)) return url
    const host = this.#host === 'client' ? client.authority : this.#host === 'leave' ? authority : this.#host
    const chosen = this.#scheme === 'client' ? (client.secure ? 'https' : 'http') : this.#scheme
    const shown = scheme === undefined ? '' : `${chosen === 'leave' ? assumed : chosen}:`
    return host === '' ? url : `${shown}//${host}${reversed}`
  }

  /** The same for the URL in a `Refresh`: `5; url=http://…`. */
  refresh(value: string, own: readonly string[], client: PublicSide, prefix: string): string {
    const match = /^([\d.]+\s*[;,]\s*url\s*=\s*)(["']?)(.*)$/i.exec(value)
    if (match === null) return value
    const [, before = '', quote = '', rest = ''] = match
    const end = quote !== '' && rest.endsWith(quote) ? quote : ''
    return `${before}${quote}${this.url(rest.slice(0, rest.length - end.length), own, client, prefix)}${end}`
  }
}

function withoutDefaultPort(authority: string, scheme: string): string {
  return authority.toLowerCase().replace(scheme === 'https' ? /:(?:443)?$/ : /:(?:80)?$/, '')
}
