import { Admission } from '../admission/admission.ts'
import {
  checkPatch,
  defaultRules,
  type RuleOptions,
  type Rules,
  ruleNames,
  ruleOptions,
  withRules,
} from '../admission/rules.ts'
import type { RefusalReason, Stats } from '../admission/stats.ts'
import { type Alarm, type Clock, systemClock } from '../clock.ts'
import { XpsError } from '../errors.ts'
import type { Lifetime } from '../lifetime/lifetime.ts'
import { Wheel } from '../lifetime/wheel.ts'
import { bytesOption, durationOption, invalidOption, knownOptions } from '../options.ts'
import type { ClientSession, Protocol } from './client-session.ts'
import { type CloseOptions, closeBy, followClosing } from './close-by.ts'
import type { ListenAddress } from './listen-address.ts'
import { Listener, type ListenerScope } from './listener.ts'
import { type ListenerOptions, listenerNames } from './listener-options.ts'
import { Living } from './living.ts'
import { log } from './log.ts'
import type { Route, Router } from './router.ts'
import { relay } from './session.ts'
import { findZombies, type Zombie } from './watch.ts'

/** What of a core can be changed while it runs. */
export interface CorePatch extends RuleOptions {
  /**
   * Bytes that all pipes of all sessions may hold together. While they hold as much nobody new is served; again once
   * they hold less than 90 % of it. A number, or text such as `'64 MB'`; 0 for no limit.
   * @default 0
   */
  maxBytes?: number | string
  /** How often the watch looks for lives that should have ended, in milliseconds; 0 for never. @default 1800000 */
  zombieInterval?: number
}

/** Options of a {@link Core}. Limits and timeouts hold for its listeners, where those have none of their own. */
export interface CoreOptions extends CorePatch {
  /** Chooses the route of each client, for listeners that have neither a route nor a protocol of their own. */
  router?: Router
  /** The bound of every pipe of a relay, in bytes. @default 65536 */
  pipeLimit?: number | string
  /** @default the machine's */
  clock?: Clock
}

/** What a listener of a core may be given. */
export interface ListenOptions extends Omit<ListenerOptions, 'protocol' | 'clock'> {
  /** What makes the sessions. @default the relay, with the core's router */
  protocol?: Protocol
  /** The route of all clients of this listener; in place of a protocol. */
  route?: Route | Router
}

/** What happens in a {@link Core}. */
export interface CoreEvents {
  /** A listener listens. */
  listener: [listener: Listener]
  /** A connection was accepted, on any listener, and is a session now. */
  session: [session: ClientSession, listener: Listener]
  /** A connection was closed without being served. The address is undefined if it was not asked for. */
  refused: [reason: RefusalReason, address: string | undefined, listener: Listener]
  /** The watch has found something and ended it. Report it as a defect of the protocol. */
  zombie: [zombie: Zombie]
  /** It is to be drained, or no longer. */
  drain: [draining: boolean]
  /** While it closes: how many sessions are left of how many there were, at first and whenever one has ended. */
  progress: [left: number, of: number]
  /** Code of the host (a listener of an event, a protocol, a disposal) failed; `XPS_FAULT` with the cause. */
  fault: [error: XpsError]
  /** Told once and last, when nothing of it is left. */
  close: [error: XpsError | undefined]
}

/**
 * Listeners and all that lives on them.
 *
 * A process may have several, also one after the other. Once closed, no handle, timer or listener of it is left.
 */
export class Core extends Living<CoreEvents> {
  readonly #options: CoreOptions
  readonly #relay: Protocol
  readonly #scope: ListenerScope & { rules: Rules }
  #own: RuleOptions
  #zombieInterval: number
  #watch: Alarm | undefined
  #draining = false

  constructor(options: CoreOptions = {}) {
    super()
    knownOptions('core options', options, ['router', 'pipeLimit', 'clock', ...corePatchNames, ...ruleNames])
    if (options.router !== undefined && typeof options.router !== 'function') {
      throw invalidOption('router', options.router, 'a function')
    }
    this.#options = options
    this.#own = ruleOptions(options)
    this.#zombieInterval = zombieInterval(options)
    if (options.pipeLimit !== undefined) bytesOption('pipeLimit', options.pipeLimit)
    const core = this
    const rules = withRules(defaultRules, this.#own)
    this.#scope = {
      // One wheel for all that is timed in this core, except what must not keep it turning.
      admission: new Admission(new Wheel(options.clock ?? systemClock), rules.limits, maxBytes(options)),
      rules,
      get sessions() {
        return core.sessions
      },
    }
    this.#relay = this.#relayTo(options.router ?? (() => undefined))
    this.opened()
    this.#watchNext()
  }

  /** The listeners that are alive. */
  get listeners(): Listener[] {
    return this.children().filter((child) => child instanceof Listener)
  }

  /** The sessions that are alive, on all listeners. */
  get sessions(): ClientSession[] {
    return this.listeners.flatMap((listener) => listener.sessions)
  }

  /** Whether its sessions are asked to come to an end. */
  get draining(): boolean {
    return this.#draining
  }

  /** The numbers of all its listeners, past and present. */
  stats(): Stats {
    const { admission } = this.#scope
    const parts = this.listeners.map((listener) => listener.stats())
    const live = { queued: 0, bytesIn: 0, bytesOut: 0 }
    for (const part of parts) live.queued += part.queued
    for (const listener of this.listeners) {
      for (const client of listener.clients) {
        live.bytesIn += client.bytesIn
        live.bytesOut += client.bytesOut
      }
    }
    return admission.counters.snapshot({ ...live, active: admission.gate.inside, peak: admission.gate.peak })
  }

  /**
   * Changes limits and timeouts while it runs, for all listeners that have none of their own. Limits hold from now on,
   * timeouts for sessions that begin from now on. An invalid patch throws `XPS_INVALID_OPTION` and changes nothing.
   */
  patch(patch: CorePatch): void {
    checkPatch(patch, corePatchNames)
    const own = { ...this.#own, ...ruleOptions(patch) }
    const rules = withRules(defaultRules, own)
    const interval = patch.zombieInterval === undefined ? this.#zombieInterval : zombieInterval(patch)
    const bytes = patch.maxBytes === undefined ? undefined : maxBytes(patch)
    this.#own = own
    this.#scope.rules = rules
    this.#zombieInterval = interval
    this.#scope.admission.gate.limit = rules.limits.maxConnections
    if (bytes !== undefined) this.#scope.admission.maxBytes = bytes
    for (const listener of this.listeners) listener.rebase()
    this.#watchNext()
  }

  /** Asks all sessions to come to an end when it suits them, and goes on to take new ones; `false` takes it back. */
  drain(draining = true): void {
    if (this.#draining === draining || this.phase === 'closed') return
    this.#draining = draining
    this.#scope.admission.draining = draining
    for (const listener of this.listeners) listener.drain(draining)
    this.emit('drain', draining)
  }

  /** Starts to listen; resolves to the listener when it does, rejects with `XPS_LISTEN` when it cannot. */
  async listen(where: ListenWhere, options?: ListenOptions): Promise<Listener> {
    if (this.phase !== 'open') throw new XpsError('XPS_CLOSED', 'the core is closed')
    const listener = new Listener(...this.#listenerArguments(where, options), this.#scope)
    this.adopt(listener)
    if (this.#draining) listener.drain()
    return listener.open()
  }

  /** Stops to listen and resolves when the last session has closed; after the deadline they are aborted. */
  override close(options: CloseOptions = {}): Promise<XpsError | undefined> {
    return closeBy(this, () => super.close(), options, this.#scope.admission.clock)
  }

  protected override onChildOpen(child: Lifetime): void {
    const listener = child as Listener
    listener.on('session', (session) => {
      this.emit('session', session, listener)
    })
    listener.on('refused', (reason, address) => {
      this.emit('refused', reason, address, listener)
    })
    this.emit('listener', listener)
  }

  protected override onDrain(): void {
    const tellStart = followClosing(this.sessions, (left, of) => this.emit('progress', left, of))
    this.drain()
    this.finishWithChildren()
    tellStart()
  }

  protected override onAbort(): void {
    this.#scope.admission.draining = true
  }

  protected override onFault(fault: XpsError): boolean {
    return this.emit('fault', fault)
  }

  protected override onClosed(error: XpsError | undefined): void {
    this.#watch?.cancel()
    this.#watch = undefined
    this.emit('close', error)
  }

  #listenerArguments(where: ListenWhere, options: ListenOptions | undefined): [ListenAddress, ListenerOptions] {
    const address = typeof where === 'number' ? { port: where } : where
    if (typeof address !== 'object' || address === null) throw invalidOption('listen', where, 'a port or an address')
    const all = { ...address, ...options }
    knownOptions('listen options', all, ['port', 'host', 'path', 'route', ...listenerNames])
    const { port, host, path, ...inline } = address as { port?: number; host?: string; path?: string } & ListenOptions
    const { protocol, route, ...rest } = { ...inline, ...options }
    if (protocol !== undefined && route !== undefined) {
      throw new XpsError('XPS_INVALID_OPTION', 'listen must be given a protocol or a route, not both')
    }
    return [
      path === undefined ? { port: port as number, ...(host === undefined ? {} : { host }) } : { path },
      {
        ...rest,
        protocol: protocol ?? (route === undefined ? this.#relay : this.#relayTo(route)),
      },
    ]
  }

  /** On the clock itself: a wheel would turn for it, ten times a second, also when there is nothing else to time. */
  #watchNext(): void {
    this.#watch?.cancel()
    this.#watch = undefined
    if (this.#zombieInterval === 0 || this.phase === 'closed') return
    const clock = this.#options.clock ?? systemClock
    this.#watch = clock.after(this.#zombieInterval, () => {
      this.#lookForZombies()
      this.#watchNext()
    })
  }

  #lookForZombies(): void {
    for (const listener of this.listeners) {
      for (const { found, zombie } of findZombies(listener.sessions, listener.clients, this.#zombieInterval)) {
        listener.countZombie()
        debug('zombie %O', zombie)
        this.emit('zombie', zombie)
        found.abort(new XpsError('XPS_ZOMBIE', `${zombie.id} should have ended (${zombie.reason})`))
      }
    }
  }

  #relayTo(route: Route | Router): Protocol {
    const { pipeLimit } = this.#options
    return relay({ route, ...(pipeLimit === undefined ? {} : { pipeLimit }) })
  }
}

const debug = log('watch')
const corePatchNames = ['maxBytes', 'zombieInterval']

function maxBytes(options: CorePatch): number {
  const given = options.maxBytes
  return given === undefined || given === 0 ? 0 : bytesOption('maxBytes', given)
}

function zombieInterval(options: CorePatch): number {
  return durationOption('zombieInterval', options.zombieInterval, 1_800_000, true)
}

/** Where to listen, with the options in the same object if that reads better. */
export type ListenWhere = number | (({ port: number; host?: string } | { path: string }) & ListenOptions)
