import { systemCode } from '../errors.ts'
import { integerOption, invalidOption } from '../options.ts'
import type { Address } from './address.ts'
import type { ListenPlace } from './client-session.ts'

/** Where to listen: a port (0 for a free one), on all addresses or on one, or the path of a Unix-domain socket. */
export type ListenAddress = number | ListenPlace

/** The place that an address means. Throws `XPS_INVALID_OPTION` for one that is none. */
export function placeToListen(where: ListenAddress): Address | { port: number } {
  const address = typeof where === 'number' ? { port: where } : where
  if (typeof address !== 'object' || address === null) throw invalidOption('listen', where, 'a port or an address')
  if ('path' in address) {
    if (typeof address.path !== 'string' || address.path === '') throw invalidOption('path', address.path, 'a path')
    return { path: address.path }
  }
  if (address.port === undefined) throw invalidOption('listen', where, 'a port, or an address with a port or a path')
  const port = integerOption('port', address.port, 0, { min: 0, max: 65_535 })
  if (address.host === undefined) return { port }
  if (typeof address.host !== 'string' || address.host === '') throw invalidOption('host', address.host, 'a host')
  return { port, host: address.host }
}

/** Why the system does not let us listen, in words. */
export function explainListening(cause: Error): string {
  const code = systemCode(cause)
  if (code === 'EADDRINUSE') return 'the address is in use'
  if (code === 'EACCES') return 'permission denied'
  if (code === 'EADDRNOTAVAIL') return 'this machine does not have the address'
  if (code === 'ENOTFOUND') return 'the host name is unknown'
  return cause.message
}
