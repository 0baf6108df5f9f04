import type { Fields } from '../http/fields.ts'
import { CookieAttribute, type CookieRewrite } from '../http/forwarding/cookies.ts'
import { invalidOption } from '../options.ts'
import type { ProxyCookieRewrite, ProxyServerOptions } from './options.ts'
import type { Target } from './target.ts'

const redirects: ReadonlySet<number> = new Set([201, 301, 302, 303, 307, 308])

/** Rewrites redirects and cookies of a response, as the options say. `clientHost` is what the client asked for. */
export function rewriteResponse(
  fields: Fields,
  status: number,
  options: ProxyServerOptions,
  target: Target,
  clientHost: string | undefined,
): void {
  const { hostRewrite, autoRewrite, protocolRewrite } = options
  const host = given(hostRewrite) ?? (autoRewrite === true ? given(clientHost) : undefined)
  const scheme = given(protocolRewrite)?.replace(/:$/, '')
  if ((host !== undefined || scheme !== undefined) && redirects.has(status)) {
    const location = fields.get('location')
    if (location !== undefined) fields.set('location', redirected(location, target, host, scheme))
  }
  rewriteCookies(fields, 'domain', options.cookieDomainRewrite)
  rewriteCookies(fields, 'path', options.cookiePathRewrite)
}

function given(text: string | null | undefined): string | undefined {
  return text === null || text === '' ? undefined : text
}

/** A location in which the target names itself, by its host and port; any other stays as it is. */
function redirected(location: string, target: Target, host: string | undefined, scheme: string | undefined): string {
  const absolute = /^(?:(https?):)?\/\/([^/?#]*)(.*)$/i.exec(location)
  if (absolute === null) return location
  const [, before, authority = '', rest = ''] = absolute
  const { secure } = target
  if (withoutDefaultPort(authority, secure) !== withoutDefaultPort(target.host, secure)) return location
  const shown = scheme ?? before
  return `${shown === undefined ? '' : `${shown}:`}//${host ?? authority}${rest === '' ? '/' : rest}`
}

function withoutDefaultPort(authority: string, secure: boolean): string {
  return authority
    .slice(authority.lastIndexOf('@') + 1)
    .toLowerCase()
    .replace(secure ? /:(?:443)?$/ : /:(?:80)?$/, '')
}

function rewriteCookies(fields: Fields, attribute: 'domain' | 'path', rewrite: ProxyCookieRewrite | undefined): void {
  if (rewrite === undefined || rewrite === false || rewrite === null) return
  const cookies = fields.getAll('set-cookie')
  if (cookies.length === 0) return
  const rewriter = cookieAttribute(attribute, rewrite)
  fields.delete('set-cookie')
  for (const cookie of cookies) fields.append('Set-Cookie', rewriter?.rewrite(cookie) ?? cookie)
}

/** What rewrites an attribute of cookies, if anything does. Throws `XPS_INVALID_OPTION`. */
export function cookieAttribute(
  attribute: 'domain' | 'path',
  rewrite: ProxyCookieRewrite | undefined,
): CookieAttribute | undefined {
  if (rewrite === undefined || rewrite === false || rewrite === null) return undefined
  const option = attribute === 'domain' ? 'cookieDomainRewrite' : 'cookiePathRewrite'
  return new CookieAttribute(option, attribute, withoutNull(option, rewrite))
}

/** `null` takes an attribute away, as `''` does. */
function withoutNull(option: string, rewrite: Exclude<ProxyCookieRewrite, false>): CookieRewrite {
  if (typeof rewrite === 'string') return rewrite
  if (typeof rewrite !== 'object') throw invalidOption(option, rewrite, 'false, a text or an object')
  return Object.fromEntries(Object.entries(rewrite).map(([from, to]) => [from, to ?? '']))
}
