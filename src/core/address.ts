import { isIPv6 } from 'node:net'
import { invalidOption } from '../options.ts'

/** Where a socket listens or is dialled: a host and port, or the path of a Unix-domain socket. */
export type Address = { host: string; port: number } | { path: string }

/**
 * Reads an address: `'127.0.0.1:3000'`, `'[::1]:3000'`, `'localhost:3000'`, `'unix:/run/app.sock'`, or an absolute
 * path. Where `host` is given, a port alone will do. Throws `XPS_INVALID_OPTION` with `name` in it.
 */
export function parseAddress(name: string, text: string, host?: string): Address {
  const expected =
    host === undefined ? "an address such as '127.0.0.1:3000' or 'unix:/path'" : "a 'port' or 'host:port'"
  if (text.startsWith('unix:') && text.length > 5) return { path: text.slice(5) }
  if (text.startsWith('/')) return { path: text }
  const match = /^(?:(\[[^\]]+\]|[^:[\]/\s]+):)?(\d{1,5})$/.exec(text)
  const port = Number(match?.[2])
  const named = match?.[1]
  const bare = named?.startsWith('[') ? named.slice(1, -1) : named
  if (match === null || port > 65_535 || (named?.startsWith('[') && !isIPv6(bare ?? ''))) {
    throw invalidOption(name, text, expected)
  }
  const chosen = bare ?? host
  if (chosen === undefined) throw invalidOption(name, text, expected)
  return { host: chosen, port }
}

/** The text of an address, as {@link parseAddress} reads it. */
export function formatAddress(address: Address): string {
  if ('path' in address) return `unix:${address.path}`
  return `${isIPv6(address.host) ? `[${address.host}]` : address.host}:${address.port}`
}
