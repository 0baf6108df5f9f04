import { randomBytes } from 'node:crypto'
import { networkInterfaces } from 'node:os'
import type { Clock } from '../clock.ts'
import { networkOf } from '../core/network-of.ts'
import type { UpstreamTlsOptions } from '../core/tls/upstream-tls.ts'
import { Upstream, type UpstreamOptions } from '../core/upstream.ts'
import { XpsError } from '../errors.ts'
import { integerOption, knownOptions } from '../options.ts'
import { SoapFault } from './fault.ts'
import type { SoapLimits } from './limits.ts'
import { SoapLink } from './link.ts'
import { type CallBackWish, isAnswered, sessionActions, writeChallenge } from './login/login-messages.ts'
import type { SoapMessage } from './message.ts'
import { ownSubcode, type Voice, writeMessage } from './outgoing.ts'
import { Rejection } from './rejection.ts'
import type { WireSide } from './wire.ts'

/** How clients are called back that ask for it. */
export interface CallBackOptions {
  /** How long connecting and the client's proof may take together, in milliseconds. @default 5000 */
  timeout?: number
  /** The lowest port that is dialled. @default 1024 */
  minPort?: number
  /** How often one address is dialled in a minute. @default 30 */
  maxPerMinute?: number
  /** How many are dialled at a time, in all. @default 16 */
  maxDialling?: number
  /**
   * Encrypts the connection; see `docs/tls.md`. Without it nobody is called back who has logged in over TLS.
   * @default plain text
   */
  tls?: boolean | UpstreamTlsOptions
}

/** Of how many networks it is remembered when they were dialled. */
const mostKnown = 10_000

/** The options of calling back, checked and complete. */
export interface CallBackRules {
  readonly timeout: number
  readonly minPort: number
  readonly maxPerMinute: number
  readonly maxDialling: number
  readonly upstream: UpstreamOptions
}

/** Checks how clients are called back. Throws `XPS_INVALID_OPTION`. */
export function callBackRules(options: CallBackOptions): CallBackRules {
  knownOptions('callBack', options, ['timeout', 'minPort', 'maxPerMinute', 'maxDialling', 'tls'])
  const count = (name: 'timeout' | 'minPort' | 'maxPerMinute' | 'maxDialling', fallback: number, max: number): number =>
    integerOption(`callBack.${name}`, options[name], fallback, { min: 1, max })
  const timeout = count('timeout', 5_000, 60_000)
  const { tls } = options
  const upstream = { connectTimeout: timeout, ...(tls === undefined ? {} : { tls }) }
  // What is wrong with them is told now, and not by the first client.
  new Upstream({ host: '127.0.0.1', port: 1 }, upstream)
  return {
    timeout,
    minPort: count('minPort', 1_024, 65_535),
    maxPerMinute: count('maxPerMinute', 30, 1_000_000),
    maxDialling: count('maxDialling', 16, 100_000),
    upstream,
  }
}

/** Dials clients that have logged in, and makes sure that those who answer are the clients. */
export class CallBacks {
  readonly #clock: Clock
  readonly #limits: SoapLimits
  readonly #rules: CallBackRules
  readonly #dials = new Map<string, { since: number; count: number }>()
  #dialling = 0
  /** How many have been made. */
  made = 0

  constructor(rules: CallBackRules, limits: SoapLimits, clock: Clock) {
    this.#clock = clock
    this.#limits = limits
    this.#rules = rules
  }

  /**
   * Dials the address that a login came from, at the port that it asks for, and resolves when the client has proven that
   * it listens there. Rejects with a {@link Rejection}. `adopt` is given the link at once, so that it has an owner;
   * `ready` is told whenever it can be sent to again.
   */
  async dial(call: {
    address: string | undefined
    /** Whether it has logged in over TLS. */
    secure: boolean
    wish: CallBackWish
    sessionId: string
    voice: Voice
    framing: WireSide['framing']
    ownPorts: ReadonlySet<number>
    adopt: (link: SoapLink) => void
    ready: () => void
  }): Promise<SoapLink> {
    const { address, wish, sessionId, voice } = call
    if (call.secure && !this.#rules.upstream.tls) throw refused('it would not be encrypted, as the login was')
    const host = this.#check(address, wish.port, call.ownPorts)
    const nonce = randomBytes(32).toString('base64')
    let proven: (() => void) | undefined
    let wrong = false
    const upstream = new Upstream({ host, port: wish.port }, this.#rules.upstream)
    const via = hrefOf(host, wish)
    const side = { framing: call.framing, version: voice.version, via }
    const link = new SoapLink(upstream.connect({ clock: this.#clock }), side, this.#limits, {
      linkReady: call.ready,
      linkReceived: ({ body }: SoapMessage): boolean => {
        const tell = proven
        proven = undefined
        // Whatever else comes on this connection is of no interest: what a client has to say comes on its own.
        if (tell === undefined) return true
        wrong = !isAnswered(body, sessionId, nonce, wish.key)
        tell()
        return true
      },
    })
    call.adopt(link)
    const alarm = this.#clock.after(this.#rules.timeout, () => {
      link.abort(
        new XpsError('XPS_TIMEOUT', 'the client did not prove who it is', { reason: 'login', origin: 'client' }),
      )
    })
    const failed = link.closed
    this.#dialling++
    try {
      await Promise.race([new Promise<void>((resolve) => link.once('open', resolve)), failed])
      if (link.phase === 'open') {
        const answered = new Promise<void>((resolve) => {
          proven = resolve
        })
        const outgoing = { body: writeChallenge(sessionId, nonce, wish.key) }
        link.send(voice.version, writeMessage(voice, outgoing, { action: sessionActions.challenge, to: via }))
        await Promise.race([answered, failed])
      }
    } finally {
      alarm.cancel()
      this.#dialling--
    }
    if (link.phase !== 'open' || wrong) {
      link.abort()
      throw refused(wrong ? 'who listens there is not the client' : 'the client cannot be reached there')
    }
    this.made++
    return link
  }

  /** Whether the address may be dialled, before anything is. */
  #check(address: string | undefined, port: number, ownPorts: ReadonlySet<number>): string {
    if (address === undefined) throw refused('there is no address to call back')
    if (!Number.isInteger(port) || port < this.#rules.minPort || port > 65_535) throw refused('the port is not allowed')
    if (isLinkLocal(address)) throw refused('the address is not allowed')
    if (ownPorts.has(port) && isOwn(address)) throw refused('the port is not allowed')
    if (this.#dialling >= this.#rules.maxDialling) throw refused('too many are being called back')
    const now = this.#clock.now()
    const network = networkOf(address)
    const dials = this.#dials.get(network)
    if (dials === undefined || now - dials.since >= 60_000) {
      this.#dials.delete(network)
      this.#dials.set(network, { since: now, count: 1 })
      if (this.#dials.size > mostKnown) this.#dials.delete(this.#dials.keys().next().value as string)
    } else if (++dials.count > this.#rules.maxPerMinute) throw refused('it was called back too often')
    return address
  }
}

function refused(message: string): Rejection {
  const fault = new SoapFault('Sender', `no call-back: ${message}`, { subcodes: [ownSubcode('CallBackRefused')] })
  return new Rejection('call-back', message, fault)
}

/** The receiver's address as the server sees it. */
export function hrefOf(host: string, { port, path }: CallBackWish): string {
  return `soap.tcp://${host.includes(':') ? `[${host}]` : host}:${port}${path}`
}

function isLinkLocal(address: string): boolean {
  return address.startsWith('169.254.') || /^fe[89ab][\da-f]:/i.test(address)
}

function isOwn(address: string): boolean {
  if (address.startsWith('127.') || address === '::1') return true
  return Object.values(networkInterfaces()).some((all) => all?.some((one) => one.address === address) === true)
}
