import { randomBytes } from 'node:crypto'
import { networkInterfaces } from 'node:os'
import type { Clock } from '../clock.ts'
import { Upstream } from '../core/upstream.ts'
import { XpsError } from '../errors.ts'
import { integerOption, knownOptions } from '../options.ts'
import { SoapFault } from './fault.ts'
import type { SoapLimits } from './limits.ts'
import { SoapLink } from './link.ts'
import { type CallBackWish, isAnswered, sessionActions, writeChallenge } from './login/login-messages.ts'
import { networkOf } from './login/network-of.ts'
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
}

/** Of how many networks it is remembered when they were dialled. */
const mostKnown = 10_000

/** Dials clients that have logged in, and makes sure that those who answer are the clients. */
export class CallBacks {
  readonly #clock: Clock
  readonly #limits: SoapLimits
  readonly #timeout: number
  readonly #minPort: number
  readonly #maxPerMinute: number
  readonly #maxDialling: number
  readonly #dials = new Map<string, { since: number; count: number }>()
  #dialling = 0
  /** How many have been made. */
  made = 0

  constructor(options: CallBackOptions, limits: SoapLimits, clock: Clock) {
    knownOptions('callBack', options, ['timeout', 'minPort', 'maxPerMinute', 'maxDialling'])
    this.#clock = clock
    this.#limits = limits
    this.#timeout = integerOption('callBack.timeout', options.timeout, 5_000, { min: 1, max: 60_000 })
    this.#minPort = integerOption('callBack.minPort', options.minPort, 1_024, { min: 1, max: 65_535 })
    this.#maxPerMinute = integerOption('callBack.maxPerMinute', options.maxPerMinute, 30, { min: 1, max: 1_000_000 })
    this.#maxDialling = integerOption('callBack.maxDialling', options.maxDialling, 16, { min: 1, max: 100_000 })
  }

  /**
   * Dials the address that a login came from, at the port that it asks for, and resolves when the client has proven that
   * it listens there. Rejects with a {@link Rejection}. `adopt` is given the link at once, so that it has an owner;
   * `ready` is told whenever it can be sent to again.
   */
  async dial(call: {
    address: string | undefined
    wish: CallBackWish
    sessionId: string
    voice: Voice
    framing: WireSide['framing']
    ownPorts: ReadonlySet<number>
    adopt: (link: SoapLink) => void
    ready: () => void
  }): Promise<SoapLink> {
    const { address, wish, sessionId, voice } = call
    const host = this.#check(address, wish.port, call.ownPorts)
    const nonce = randomBytes(32).toString('base64')
    let proven: (() => void) | undefined
    let wrong = false
    const upstream = new Upstream({ host, port: wish.port }, { connectTimeout: this.#timeout })
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
    const alarm = this.#clock.after(this.#timeout, () => {
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
    if (!Number.isInteger(port) || port < this.#minPort || port > 65_535) throw refused('the port is not allowed')
    if (isLinkLocal(address)) throw refused('the address is not allowed')
    if (ownPorts.has(port) && isOwn(address)) throw refused('the port is not allowed')
    if (this.#dialling >= this.#maxDialling) throw refused('too many are being called back')
    const now = this.#clock.now()
    const network = networkOf(address)
    const dials = this.#dials.get(network)
    if (dials === undefined || now - dials.since >= 60_000) {
      this.#dials.delete(network)
      this.#dials.set(network, { since: now, count: 1 })
      if (this.#dials.size > mostKnown) this.#dials.delete(this.#dials.keys().next().value as string)
    } else if (++dials.count > this.#maxPerMinute) throw refused('it was called back too often')
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
