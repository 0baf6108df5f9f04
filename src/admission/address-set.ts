import { BlockList, isIP } from 'node:net'
import { invalidOption } from '../options.ts'
import { plainAddress } from './plain-address.ts'

/**
 * Addresses that belong together: of networks (`'10.0.0.0/8'`, `'2001:db8::/32'`), alone (`'192.0.2.1'`, `'::1'`), or
 * by name: `'loopback'` (127.0.0.0/8 and ::1), `'private'` (loopback, RFC 1918 and the unique local addresses of
 * RFC 4193) and `'unix'` (who comes by a Unix-domain socket and has no address).
 *
 * An IPv4 address is the same in its IPv6 form (`::ffff:192.0.2.1`).
 */
export class AddressSet {
  readonly #list: BlockList
  #unix = false
  /** Answers for the addresses that were asked for last; a look at a `BlockList` costs a microsecond. */
  readonly #known: Map<string, boolean> | undefined

  /** Throws `XPS_INVALID_OPTION` with the name of the option that the entries are from. */
  constructor(name: string, entries: readonly string[] | BlockList) {
    if (entries instanceof BlockList) {
      // Whoever has it may add to it at any time, so no answer is kept.
      this.#list = entries
      return
    }
    this.#known = new Map()
    this.#list = new BlockList()
    if (!Array.isArray(entries)) throw invalidOption(name, entries, 'a list of addresses or a net.BlockList')
    for (const entry of entries as readonly unknown[]) this.#add(name, entry)
  }

  /** Whether the address belongs to the set. No address is that of a Unix-domain socket. */
  has(address: string | undefined): boolean {
    if (address === undefined || address === '') return this.#unix
    const known = this.#known
    const kept = known?.get(address)
    if (kept !== undefined) return kept
    const found = this.#look(address)
    if (known === undefined) return found
    if (known.size >= mostKnown) known.clear()
    known.set(address, found)
    return found
  }

  #look(given: string): boolean {
    // A link-local address may come with the name of its interface.
    const zone = given.indexOf('%')
    const address = plainAddress(zone < 0 ? given : given.slice(0, zone)) as string
    const family = isIP(address)
    return family !== 0 && this.#list.check(address, family === 6 ? 'ipv6' : 'ipv4')
  }

  #add(name: string, entry: unknown): void {
    if (entry === 'unix') {
      this.#unix = true
      return
    }
    const preset = typeof entry === 'string' && Object.hasOwn(presets, entry) ? presets[entry] : undefined
    for (const text of preset ?? [entry]) {
      const match = typeof text === 'string' ? /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(text) : null
      const given = match?.[1] ?? ''
      const address = plainAddress(given) as string
      const family = isIP(address)
      const longest = family === 6 ? 128 : 32
      // A network of IPv4 addresses in their IPv6 form has 96 bits in front.
      const bits = match?.[2] === undefined ? longest : Number(match[2]) - (address === given ? 0 : 96)
      if (family === 0 || bits < 0 || bits > longest) {
        throw invalidOption(name, text, "made of addresses such as '10.0.0.0/8', '::1', 'private' or 'unix'")
      }
      this.#list.addSubnet(address, bits, family === 6 ? 'ipv6' : 'ipv4')
    }
  }
}

/** The address in a text that may have brackets and a port around it, as proxies write it; undefined if there is none. */
export function addressIn(text: string): string | undefined {
  const trimmed = text.trim()
  if (trimmed.length > longestAddress) return undefined
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::\d+)?$/.exec(trimmed)
  const address = plainAddress(match?.[1] ?? match?.[2] ?? trimmed) as string
  return isIP(address) === 0 ? undefined : address
}

/** With an interface, brackets and a port. */
const longestAddress = 100
/** Addresses for which the answer is kept. */
const mostKnown = 1024

const loopback = ['127.0.0.0/8', '::1']
const presets: Readonly<Record<string, readonly string[]>> = {
  loopback,
  private: [...loopback, '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
}
