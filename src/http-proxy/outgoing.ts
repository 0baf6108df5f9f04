import type { IncomingMessage } from 'node:http'
import type { Fields } from '../http/fields.ts'
import { fieldsOfRequest, setField } from './node-fields.ts'
import type { ProxyServerOptions } from './options.ts'
import type { Target } from './target.ts'

/** What is going to be sent to a target, before anybody has edited it. */
export interface Outgoing {
  readonly method: string
  readonly target: string
  readonly fields: Fields
}

/** Makes the request to a target of the request that came. Throws `XPS_INVALID_HEADER` for what cannot be sent. */
export function outgoingOf(
  req: IncomingMessage,
  options: ProxyServerOptions,
  target: Target,
  scheme: 'http' | 'ws' = 'http',
): Outgoing {
  const fields = fieldsOfRequest(req)
  const host = req.headers[':authority']
  if (typeof host === 'string' && !fields.has('host')) fields.set('Host', host)
  if (options.xfwd === true) addForwarded(fields, req, scheme)
  if (options.changeOrigin === true) fields.set('Host', target.host)
  for (const [name, value] of Object.entries(options.headers ?? {})) setField(fields, name, value)
  const auth = options.auth ?? target.auth
  if (typeof auth === 'string' && auth !== '' && !fields.has('authorization')) {
    fields.set('Authorization', `Basic ${Buffer.from(auth).toString('base64')}`)
  }
  return { method: options.method ?? req.method ?? 'GET', target: pathOf(req.url ?? '/', options, target), fields }
}

/** Whether the client's connection to us is encrypted. */
export function isEncrypted(req: IncomingMessage): boolean {
  return (req.socket as { encrypted?: boolean }).encrypted === true
}

function addForwarded(fields: Fields, req: IncomingMessage, scheme: string): void {
  const secure = isEncrypted(req)
  const host = fields.get('host') ?? ''
  const port = /:(\d+)$/.exec(host)?.[1] ?? (secure ? '443' : '80')
  append(fields, 'X-Forwarded-For', req.socket.remoteAddress)
  append(fields, 'X-Forwarded-Port', port)
  append(fields, 'X-Forwarded-Proto', secure ? `${scheme}s` : scheme)
  if (!fields.has('x-forwarded-host') && host !== '') fields.set('X-Forwarded-Host', host)
}

function append(fields: Fields, name: string, value: string | undefined): void {
  if (value === undefined) return
  const before = fields.get(name)
  fields.set(name, before === undefined || before === '' ? value : `${before},${value}`)
}

/** The path and query for the target: the target's own, the request's, or both. */
function pathOf(url: string, options: ProxyServerOptions, target: Target): string {
  const prepend = options.prependPath !== false
  const base = prepend ? target.path : ''
  if (options.ignorePath === true) return asTarget(`${base}${prepend ? target.query : ''}`)
  const asked = options.toProxy === true ? url : withoutOrigin(url)
  if (asked === '*' && (base === '' || base === '/')) return '*'
  // A proxy is asked by a whole URL, which nothing can be put in front of.
  if (!asked.startsWith('/') && /^[a-z][a-z\d+.-]*:/i.test(asked) && (base === '' || base === '/')) {
    return inAscii(asked)
  }
  const mark = asked.indexOf('?')
  const path = mark < 0 ? asked : asked.slice(0, mark)
  const query = mark < 0 ? '' : asked.slice(mark)
  const both = prepend && target.query.length > 1 ? `${target.query}${query === '' ? '' : `&${query.slice(1)}`}` : query
  return asTarget(`${joined(base, path)}${both}`)
}

/** With one slash between them. */
function joined(base: string, path: string): string {
  const rest = path.startsWith('/') ? path.slice(1) : path
  return base === '' ? `/${rest}` : `${base.endsWith('/') ? base.slice(0, -1) : base}/${rest}`
}

/** A request target in absolute form (RFC 9112, 3.2.2), without the origin that it names. */
function withoutOrigin(url: string): string {
  const absolute = /^[a-z][a-z\d+.-]*:\/\/[^/?#]*(.*)$/i.exec(url)
  return absolute === null ? url : (absolute[1] as string)
}

/** As a request line can have it. */
export function asTarget(path: string): string {
  return inAscii(path.startsWith('/') || path === '*' ? path : `/${path}`)
}

/** What a request line cannot have is percent-encoded; a fragment is for the client only. */
function inAscii(text: string): string {
  if (/^[\x21\x22\x24-\x7e]*$/.test(text)) return text
  const end = text.indexOf('#')
  // Node gives the bytes of a request line as Latin-1; all else can only come from a program.
  return (end < 0 ? text : text.slice(0, end)).replace(/[^\x21-\x7e]/gu, (character) => {
    const bytes = Buffer.from(character, character <= '\u00ff' ? 'latin1' : 'utf8')
    return [...bytes].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')
  })
}
