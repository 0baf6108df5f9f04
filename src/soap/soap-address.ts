import { invalidOption } from '../options.ts'

/** The port of `soap.tcp:` where none is named. */
export const defaultSoapPort = 8081

/** A `soap.tcp:` address, taken apart. */
export interface SoapAddress {
  readonly host: string
  readonly port: number
  /** Begins with a slash. */
  readonly path: string
  readonly href: string
}

/** Reads `soap.tcp://host[:port][/path]`, or `net.tcp://`. Throws `XPS_INVALID_OPTION` with `name` in it. */
export function parseSoapAddress(name: string, text: string): SoapAddress {
  const address = readSoapAddress(text)
  if (address === undefined) throw invalidOption(name, text, "an address such as 'soap.tcp://host:8081/path'")
  return address
}

/** As {@link parseSoapAddress}; undefined for what is no such address. */
export function readSoapAddress(text: string): SoapAddress | undefined {
  const match = /^(?:soap|net)\.tcp:\/\/(\[[\da-f:.]+\]|[^:[\]/?#\s@]+)(?::(\d{1,5}))?(\/[^?#\s]*)?$/i.exec(text)
  if (match === null) return undefined
  const [, named = '', digits, path = '/'] = match
  const port = digits === undefined ? defaultSoapPort : Number(digits)
  if (port > 65_535) return undefined
  const host = named.startsWith('[') ? named.slice(1, -1) : named
  return { host, port, path, href: text }
}

/** The path that an address ends with; undefined for what is no address of ours. */
export function pathOf(text: string): string | undefined {
  return readSoapAddress(text)?.path
}

/** Whether two paths are the same: a slash at the end is of no meaning. */
export function samePath(one: string, other: string): boolean {
  return one.replace(/\/+$/, '') === other.replace(/\/+$/, '')
}
