import { lookup } from 'node:dns/promises'
import { domainToASCII } from 'node:url'
import { AddressSet, addressIn } from '../../admission/address-set.ts'
import { asXpsError, XpsError } from '../../errors.ts'
import { durationOption, invalidOption, knownOptions } from '../../options.ts'
import type { Transaction } from '../transaction.ts'

/** Where a client asks to be connected to. */
export interface ConnectTarget {
  /** A name in lower case and ASCII, without a dot at its end; or an address, without brackets. */
  readonly host: string
  readonly port: number
}

/** Says whether a client may be connected to where it asks to be; a promise is waited for. */
export type ConnectCheck = (target: ConnectTarget, transaction: Transaction) => boolean | Promise<boolean>

/** Where clients may get to by CONNECT. What is not allowed is answered 403. */
export interface ConnectOptions {
  /**
   * Hosts and ports, such as `'example.test:443'`, `'*.example.test:443'` (names that end so, but not `example.test`
   * itself), `'*:443'`, `'example.test:*'`, `'192.0.2.1:22'` or `'[2001:db8::1]:22'`; or a function that decides.
   */
  allow: readonly string[] | ConnectCheck
  /**
   * Addresses that may be reached though they are not of the public Internet: networks, addresses, `'loopback'` or
   * `'private'`. Without being named here, neither this machine nor its neighbours are reached, whatever a name resolves
   * to; except by an address that is itself in the list of `allow`.
   * @default none
   */
  inside?: readonly string[]
  /** Finds the addresses of a name. @default the system */
  resolve?: (host: string) => Promise<readonly string[]>
  /** How long finding the address and connecting may take, in milliseconds. @default that of the listener */
  connectTimeout?: number
}

/** A pattern of hosts and ports that was read. */
interface Pattern {
  /** The host, `''` for any, or what a name ends with: `.example.test`. */
  readonly host: string
  /** 0 for any. */
  readonly port: number
}

/** Decides where clients may get to, first by what they ask for and then by where that is. */
export class ConnectRules {
  readonly connectTimeout: number | undefined
  readonly #patterns: readonly Pattern[] | undefined
  readonly #check: ConnectCheck | undefined
  readonly #inside: AddressSet
  readonly #resolve: (host: string) => Promise<readonly string[]>

  /** Throws `XPS_INVALID_OPTION`; `name` comes before the name of the option: `routes[1].connect.allow`. */
  constructor(name: string, given: ConnectOptions) {
    if (typeof given !== 'object' || given === null) throw invalidOption(name, given, 'an object with `allow`')
    knownOptions(name, given, ['allow', 'inside', 'resolve', 'connectTimeout'])
    const { allow, inside = [], resolve = bySystem, connectTimeout } = given
    if (typeof allow === 'function') this.#check = allow
    else if (Array.isArray(allow)) this.#patterns = allow.map((text: unknown) => patternOf(`${name}.allow`, text))
    else throw invalidOption(`${name}.allow`, allow, "a list such as ['example.test:443'], or a function")
    this.#inside = new AddressSet(`${name}.inside`, inside)
    if (typeof resolve !== 'function') throw invalidOption(`${name}.resolve`, resolve, 'a function')
    this.#resolve = resolve
    this.connectTimeout =
      connectTimeout === undefined ? undefined : durationOption(`${name}.connectTimeout`, connectTimeout, 0)
  }

  /**
   * The addresses to try for what a request asks for, in their order. Rejects with `XPS_FORBIDDEN` if there is none that
   * is allowed, with `XPS_CONNECT` if there is none at all.
   */
  async addresses(transaction: Transaction): Promise<{ readonly addresses: readonly string[]; readonly port: number }> {
    const target = targetOf(transaction.request.target)
    const { host, port } = target
    const fits = this.#patterns?.filter((pattern) => matches(pattern, target))
    const allowed = fits === undefined ? (await this.#check?.(target, transaction)) === true : fits.length > 0
    if (!allowed) throw forbidden(`${host}:${port} is not allowed`)
    if (addressIn(host) !== undefined) {
      const named = fits?.some((pattern) => pattern.host === host) === true
      if (!named && !this.#reachable(host)) throw forbidden(`${host} is inside`)
      return { addresses: [host], port }
    }
    let found: readonly string[]
    try {
      found = await this.#resolve(host)
    } catch (error) {
      throw asXpsError(error, 'XPS_CONNECT', `${host} cannot be found`, { origin: 'upstream', address: host })
    }
    // What was checked is what is dialled: a name that is resolved anew could be somewhere else by then.
    const addresses = found.filter((address) => addressIn(address) !== undefined && this.#reachable(address))
    if (addresses.length === 0) throw forbidden(`${host} is inside (${found.join(', ')})`)
    return { addresses, port }
  }

  #reachable(address: string): boolean {
    return !special.has(address) || this.#inside.has(address)
  }
}

function forbidden(message: string): XpsError {
  return new XpsError('XPS_FORBIDDEN', `CONNECT: ${message}`, { origin: 'client', status: 403 })
}

async function bySystem(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address)
}

/** Networks that are not of the public Internet (the registries of RFC 6890), and those that stand for others in them. */
const special = new AddressSet('special', [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24'],
  ...['192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24'],
  ...['224.0.0.0/4', '240.0.0.0/4', '::/96', '64:ff9b::/96', '64:ff9b:1::/48', '100::/64', '2001::/23'],
  ...['2001:db8::/32', '2002::/16', '3fff::/20', '5f00::/16', 'fc00::/7', 'fe80::/10', 'fec0::/10', 'ff00::/8'],
])

/** Reads the target of a CONNECT request, which its reader has found to be a host and a port. */
function targetOf(text: string): ConnectTarget {
  const at = text.lastIndexOf(':')
  const host = hostOf(text.slice(0, at))
  const port = Number(text.slice(at + 1))
  if (host === undefined || !(port >= 1 && port <= 65_535)) {
    throw new XpsError('XPS_BAD_REQUEST', `${text} is nothing to connect to`, { origin: 'client', status: 400 })
  }
  return { host, port }
}

/** A host in the spelling that is compared; undefined if it is none. */
function hostOf(text: string): string | undefined {
  const lower = text.toLowerCase()
  if (lower.startsWith('[')) {
    if (!URL.canParse(`http://${lower}/`)) return undefined
    // Shortened, as everybody writes it.
    const address = new URL(`http://${lower}/`).hostname.slice(1, -1)
    return addressIn(address)
  }
  const ascii = /^[!-~]+$/.test(lower) ? lower : domainToASCII(lower)
  const name = ascii.endsWith('.') ? ascii.slice(0, -1) : ascii
  return /^[\w-]+(?:\.[\w-]+)*$/.test(name) ? name : undefined
}

function patternOf(name: string, text: unknown): Pattern {
  const what = "made of hosts and ports such as 'example.test:443', '*.example.test:443' or '*:443'"
  const match = typeof text === 'string' ? /^(\*|(?:\*\.)?[^*]+):(\d{1,5}|\*)$/.exec(text) : null
  if (match === null) throw invalidOption(name, text, what)
  const [, given, portText] = match as unknown as [string, string, string]
  const port = portText === '*' ? 0 : Number(portText)
  const wild = given.startsWith('*.')
  const host = given === '*' ? '' : hostOf(wild ? given.slice(2) : given)
  if (host === undefined || port > 65_535 || portText === '0') throw invalidOption(name, text, what)
  return { host: wild ? `.${host}` : host, port }
}

function matches(pattern: Pattern, target: ConnectTarget): boolean {
  if (pattern.port !== 0 && pattern.port !== target.port) return false
  const { host } = pattern
  if (host.startsWith('.')) return target.host.endsWith(host) && addressIn(target.host) === undefined
  return host === '' || host === target.host
}
