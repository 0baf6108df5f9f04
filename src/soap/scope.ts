import type { Clock } from '../clock.ts'
import { Core } from '../core/core.ts'
import { Listener } from '../core/listener.ts'
import { Living } from '../core/living.ts'
import type { XpsError } from '../errors.ts'
import { CallBacks } from './call-back.ts'
import { LoginThrottle } from './login/login-throttle.ts'
import type { Processor } from './processors.ts'
import { type RejectionReason, rejectionReasons } from './rejection.ts'
import type { ServerChannel } from './server-channel.ts'
import type { ServerRules } from './server-options.ts'
import type { SoapSession } from './session.ts'

/** What happens to the sessions of a server. */
export interface SoapServerEvents {
  /** A client has logged in. */
  login: [session: SoapSession]
  /** Something that a client sent was not taken; the address is undefined for a Unix-domain or in-process socket. */
  rejected: [reason: RejectionReason, address: string | undefined, detail: string]
  /** Told once and last, when its sessions have ended and its processors are disposed of. */
  close: [error: XpsError | undefined]
}

/** Numbers of a server. Counts only grow; `connections`, `sessions` and `lost` are of now. */
export interface SoapStats {
  readonly connections: number
  /** Sessions of clients that are logged in. */
  readonly sessions: number
  /** Those of them whose client is gone and may come back. */
  readonly lost: number
  /** Logins that were accepted. */
  readonly logins: number
  /** Clients that came back. */
  readonly resumed: number
  /** Call-back connections that were made. */
  readonly callBacks: number
  /** Messages that came. */
  readonly messages: number
  /** What was not taken, by the reason. */
  readonly rejected: Readonly<Record<RejectionReason, number>>
}

/** What all connections of a server have in common. */
export class SoapScope extends Living<SoapServerEvents> {
  readonly rules: ServerRules
  readonly sessions: Map<string, SoapSession> = new Map()
  /** Ids of sessions that are about to be. */
  readonly reserved: Set<string> = new Set()
  readonly channels: Set<ServerChannel> = new Set()
  unauthenticated = 0
  messages = 0
  logins = 0
  resumed = 0
  readonly #rejected = Object.fromEntries(rejectionReasons.map((reason) => [reason, 0])) as Record<
    RejectionReason,
    number
  >
  #throttle: LoginThrottle | undefined
  #callBacks: CallBacks | undefined

  constructor(rules: ServerRules) {
    super()
    this.rules = rules
    for (const processor of new Set<Processor>(rules.processors.values())) this.own(() => processor.dispose())
    this.opened()
  }

  /** Made with the clock of the first listener. */
  throttle(clock: Clock): LoginThrottle {
    this.#throttle ??= new LoginThrottle(clock, this.rules.throttle)
    return this.#throttle
  }

  /** Undefined if clients are not called back. */
  callBacks(clock: Clock): CallBacks | undefined {
    const { callBack, limits } = this.rules
    if (callBack !== undefined) this.#callBacks ??= new CallBacks(callBack, limits, clock)
    return this.#callBacks
  }

  joined(channel: ServerChannel): void {
    this.channels.add(channel)
  }

  left(channel: ServerChannel): void {
    this.channels.delete(channel)
    if (this.phase === 'draining' && this.channels.size === 0) this.finish()
  }

  began(session: SoapSession): void {
    this.sessions.set(session.id, session)
    session.once('close', () => this.sessions.delete(session.id))
  }

  loggedIn(session: SoapSession): void {
    this.logins++
    this.emit('login', session)
  }

  rejected(reason: RejectionReason, address: string | undefined, detail: string): void {
    this.#rejected[reason]++
    this.emit('rejected', reason, address, detail)
  }

  /** The ports that the program listens on, as far as it can be known from a connection of a listener. */
  ownPorts(channel: ServerChannel): Set<number> {
    const listener = channel.parent
    const core = listener?.parent
    const ports = core instanceof Core ? core.listeners.map(({ port }) => port) : []
    if (listener instanceof Listener) ports.push(listener.port)
    return new Set(ports)
  }

  stats(): SoapStats {
    let lost = 0
    for (const session of this.sessions.values()) if (!session.connected) lost++
    return {
      connections: this.channels.size,
      sessions: this.sessions.size,
      lost,
      logins: this.logins,
      resumed: this.resumed,
      callBacks: this.#callBacks?.made ?? 0,
      messages: this.messages,
      rejected: { ...this.#rejected },
    }
  }

  protected override onDrain(): void {
    if (this.channels.size === 0) return this.finish()
    for (const channel of [...this.channels]) void channel.close()
  }

  protected override onAbort(error: XpsError): void {
    for (const channel of [...this.channels]) channel.abort(error)
  }

  /** A listener of the server's has failed: it is told where its sessions are, as it has no core of its own. */
  protected override onFault(fault: XpsError): boolean {
    const [channel] = this.channels
    channel?.tellFault(fault)
    return channel !== undefined
  }

  protected override onClosed(error: XpsError | undefined): void {
    this.emit('close', error)
  }
}
