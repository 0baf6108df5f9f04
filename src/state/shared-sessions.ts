import { type Alarm, type Clock, systemClock } from '../clock.ts'
import { Living } from '../core/living.ts'
import { asXpsError, type XpsError } from '../errors.ts'
import { Wheel } from '../lifetime/wheel.ts'
import { durationOption, integerOption, invalidOption, knownOptions } from '../options.ts'
import { type ByteString, toBytes, toText } from './codec/byte-string.ts'
import { textOf } from './codec/values.ts'
import type { Awaitable, Container, Lifetimes, Summary } from './container.ts'
import { errorOf, faults, isFault, type StateFault } from './faults.ts'
import { longestLifetime, type StateLimitOptions, stateLimitNames, stateLimits } from './limits.ts'
import type { LockNumbers } from './locks.ts'
import type { OpenMode } from './session-keeper.ts'
import { SessionTable } from './session-table.ts'
import type { SharedSession } from './shared-session.ts'
import { sweep } from './sweep.ts'
import { versionOf } from './version.ts'

/** Options of {@link SharedSessions}. */
export interface SharedSessionsOptions extends StateLimitOptions {
  /** How long a shared session may be unused, in milliseconds; 0 for ever. @default 86400000 */
  idleLifetime?: number
  /** How long a shared session may be there, used or not, in milliseconds; 0 for ever. @default 0 */
  absoluteLifetime?: number
  /** How long one waits for a lock, in milliseconds, if the call does not say; 0 for not at all. @default 5000 */
  lockTimeout?: number
  /** How long a holder may be silent before one who waits gets the lock, in milliseconds. @default 30000 */
  lockLease?: number
  /** How many may wait for one shared session. @default 1000 */
  maxWaiters?: number
  /** How long what was committed can still be read under the id before `regenerate_id`, in milliseconds. @default 0 */
  graceLifetime?: number
  /** How often it is looked for what has expired, in milliseconds; 0 for never. @default 60000 */
  sweepInterval?: number
  /** Whether an id that is unknown cannot be opened. If not, it is taken as a new session's. @default true */
  strict?: boolean
  /** @default the machine's */
  clock?: Clock
}

/** What happens to {@link SharedSessions}. */
export interface SharedSessionsEvents {
  /** A shared session was committed. */
  committed: [id: string]
  /** A shared session was destroyed by somebody. */
  destroyed: [id: string]
  /** A shared session has expired and was removed. Told once for each. */
  expired: [id: string]
  /** A shared session has another id. */
  regenerated: [id: string, before: string]
  /** The container failed, or a listener of the host's did. */
  fault: [error: XpsError]
  /** Told once and last, when the container is closed. */
  close: [error: XpsError | undefined]
}

/** How a shared session is opened. */
export interface OpenOptions {
  /** @default 'rw' */
  mode?: OpenMode
  /** How long to wait for the lock, in milliseconds; 0 for not at all. @default that of the sessions */
  lockTimeout?: number
}

/** What is changed in a shared session at once, without holding it. */
export interface PatchOptions {
  /** Keys that get a value. @default none */
  put?: Iterable<readonly [key: string, value: string]>
  /** Keys that are removed. @default none */
  remove?: Iterable<string>
  /** Whether a session that does not exist is made. @default false */
  create?: boolean
  /** Only if the session is as it was read: the `version` of that {@link Snapshot}. @default whatever it is */
  version?: string
  /** From now on it may be unused for so long, in milliseconds; 0 for ever. @default as before */
  idle?: number
  /** How long to wait for the lock, in milliseconds. @default that of the sessions */
  lockTimeout?: number
}

/** What a shared session holds at one time. */
export interface Snapshot {
  readonly entries: ReadonlyMap<string, string>
  /** Changes whenever what it holds does. */
  readonly version: string
}

/** Numbers of {@link SharedSessions}. Counts only grow; `locks.held` and `locks.waiting` are of now. */
export interface SharedSessionsStats {
  readonly container: string
  readonly locks: Readonly<LockNumbers>
  readonly opened: number
  readonly created: number
  readonly committed: number
  readonly destroyed: number
  readonly expired: number
}

/** The names of the options, for checks of what is given. */
export const sharedSessionsNames: readonly string[] = [
  'idleLifetime',
  'absoluteLifetime',
  'lockTimeout',
  'lockLease',
  'maxWaiters',
  'graceLifetime',
  'sweepInterval',
  'strict',
  'clock',
  ...stateLimitNames,
]

/** When those who had a container before have closed it: a server that listens again may want it before that. */
const closing = new WeakMap<Container, Promise<unknown>>()

/**
 * The shared sessions of a container, for programs; a server puts them on the wire. They are locked while they are
 * written, expire when nobody uses them, and what has expired is looked for and removed.
 */
export class SharedSessions extends Living<SharedSessionsEvents> {
  /** @internal */
  readonly table: SessionTable
  readonly #container: Container
  readonly #clock: Clock
  readonly #lifetimes: Lifetimes
  readonly #sweepInterval: number
  #opening: Promise<void> | undefined
  #sweepAlarm: Alarm | undefined
  #sweeping: Promise<void> | undefined
  readonly #workDone = (): void => this.release()
  readonly #workFailed = (error: unknown): void => {
    this.fault(error)
    this.release()
  }

  constructor(container: Container, options: SharedSessionsOptions = {}) {
    super()
    knownOptions('shared sessions options', options, sharedSessionsNames)
    if (typeof container !== 'object' || container === null || typeof container.read !== 'function') {
      throw invalidOption('store', container, 'a container, such as new MemoryStore()')
    }
    const { clock, strict = true } = options
    if (typeof strict !== 'boolean') throw invalidOption('strict', strict, 'true or false')
    this.#container = container
    this.#clock = new Wheel(clock ?? systemClock)
    this.#lifetimes = {
      idleLifetime: lifetime('idleLifetime', options.idleLifetime, 86_400_000),
      absoluteLifetime: lifetime('absoluteLifetime', options.absoluteLifetime, 0),
    }
    this.#sweepInterval = durationOption('sweepInterval', options.sweepInterval, 60_000, true)
    const rules = {
      limits: stateLimits(options),
      lifetimes: this.#lifetimes,
      lockTimeout: durationOption('lockTimeout', options.lockTimeout, 5_000, true),
      lease: durationOption('lockLease', options.lockLease, 30_000),
      maxWaiters: integerOption('maxWaiters', options.maxWaiters, 1_000, { min: 0, max: 1_000_000 }),
      grace: durationOption('graceLifetime', options.graceLifetime, 0, true),
      strict,
      clock: this.#clock,
      time: timeOf(clock),
    }
    const sessions = this
    this.table = new SessionTable(container, rules, {
      get running() {
        return sessions.phase === 'open'
      },
      tell: (event, id) => void this.emit(event, id),
      regenerated: (id, before) => void this.emit('regenerated', id, before),
      failed: (error) => this.fault(error),
      waitFor: (work) => this.#waitFor(work),
    })
  }

  /** Opens the container; what needs it does so by itself. Rejects if it cannot be opened. */
  async open(): Promise<this> {
    await this.ready()
    return this
  }

  /** Opens a shared session. Rejects with `XPS_NOT_FOUND`, `XPS_TIMEOUT` (`lock`), `XPS_BUSY`, or `XPS_FAULT`. */
  async openSession(id: string, options: OpenOptions = {}): Promise<SharedSession> {
    knownOptions('open options', options, ['mode', 'lockTimeout'])
    const { mode = 'rw' } = options
    if (mode !== 'rw' && mode !== 'r') throw invalidOption('mode', mode, `'rw' or 'r'`)
    const wait = this.#waitOption(options)
    await this.ready()
    return orThrow(await this.table.open(id, mode, {}, wait))
  }

  /** Makes a shared session and opens it, with an id of its own or the given one. Nobody has it before it is committed. */
  async createSession(id?: string): Promise<SharedSession> {
    await this.ready()
    return orThrow(await this.table.create(id))
  }

  /** What was last committed, without waiting for anybody; undefined if there is no such session. */
  async read(id: string): Promise<Snapshot | undefined> {
    await this.ready()
    const session = await this.table.open(id, 'r', {})
    if (session === faults.open) return undefined
    const { data } = orThrow(session)
    const entries = new Map([...data].map(([key, value]) => [toText(key), toText(textOf(value))]))
    return { entries, version: versionOf(data) }
  }

  /**
   * Changes keys at once: all of it or nothing. It waits its turn, as everybody does, but holds nothing afterwards.
   * Resolves to the version. Rejects as {@link openSession} does, and with `XPS_PRECONDITION` for another version.
   */
  async patch(id: string, options: PatchOptions): Promise<string> {
    knownOptions('patch options', options, ['put', 'remove', 'create', 'version', 'idle', 'lockTimeout'])
    const { create, version, idle } = options
    const changes: (readonly [ByteString, ByteString | undefined])[] = []
    for (const [key, value] of options.put ?? []) changes.push([toBytes(key), toBytes(value)])
    for (const key of options.remove ?? []) changes.push([toBytes(key), undefined])
    const wait = this.#waitOption(options)
    if (idle !== undefined) lifetime('idle', idle, 0)
    await this.ready()
    return orThrow(await this.table.patch(id, changes, { create, version, idle, wait }))
  }

  /** Removes a shared session when nobody holds it; false if there is none. */
  async destroySession(id: string, options: Pick<OpenOptions, 'lockTimeout'> = {}): Promise<boolean> {
    const wait = this.#waitOption(options)
    await this.ready()
    const outcome = await this.table.drop(id, {}, wait)
    if (outcome === faults.open) return false
    orThrow(outcome)
    return true
  }

  /** Says that a shared session is used, so that it lives on; false if there is none. */
  async touchSession(id: string): Promise<boolean> {
    await this.ready()
    const outcome = await this.table.note(id)
    if (outcome === faults.open) return false
    orThrow(outcome)
    return true
  }

  /** All ids with when they expire, in any order. */
  async *list(): AsyncIterableIterator<Summary> {
    await this.ready()
    yield* this.#container.list()
  }

  stats(): SharedSessionsStats {
    return { container: this.#container.name, locks: { ...this.table.locks }, ...this.table.counts }
  }

  /** Looks now for what has expired, and resolves when all has been looked at. */
  sweep(): Promise<void> {
    this.#sweeping ??= sweep(this.#container, this.table, () => this.phase === 'open')
      .catch((error: unknown) => this.fault(asXpsError(error, 'XPS_READ', 'it cannot be looked for what has expired')))
      .finally(() => {
        this.#sweeping = undefined
      })
    return this.#sweeping
  }

  /** @internal A promise only while the container is being opened. */
  ready(): Awaitable<void> {
    if (this.phase === 'open') return
    if (this.phase !== 'opening') return Promise.reject(errorOf(faults.stopping))
    this.#opening ??= this.#open().catch((error: unknown) => {
      this.#opening = undefined
      throw error
    })
    return this.#opening
  }

  protected override onDrain(): void {
    this.#stop()
    this.finish()
  }

  protected override onAbort(): void {
    this.#stop()
  }

  protected override onFault(fault: XpsError): boolean {
    return this.emit('fault', fault)
  }

  protected override onClosed(error: XpsError | undefined): void {
    this.emit('close', error)
  }

  async #open(): Promise<void> {
    try {
      await closing.get(this.#container)
      await this.#container.open?.(this.#lifetimes)
    } catch (error) {
      throw asXpsError(error, 'XPS_READ', `the container '${this.#container.name}' cannot be opened`)
    }
    // Who opens it next waits for the end of this, and would not for the disposal of what is owned too late.
    if (this.phase === 'closed') return this.#closeLate()
    this.own(() => this.#container.close?.())
    // Before that, and the container is not closed before they are given up.
    this.own(() => this.table.end())
    if (!this.opened()) throw errorOf(faults.stopping)
    this.#sweepNext()
  }

  async #closeLate(): Promise<never> {
    try {
      await this.#container.close?.()
    } catch (error) {
      this.fault(error)
    }
    throw errorOf(faults.stopping)
  }

  #stop(): void {
    closing.set(this.#container, Promise.allSettled([closing.get(this.#container), this.#opening, this.closed]))
    this.#sweepAlarm?.cancel()
    this.#sweepAlarm = undefined
    this.table.stop()
  }

  #sweepNext(): void {
    if (this.#sweepInterval === 0 || this.#container.expiresAlone === true) return
    this.#sweepAlarm = this.#clock.after(this.#sweepInterval, () => {
      const sweeping = this.sweep().then(() => {
        if (this.phase === 'open') this.#sweepNext()
      })
      this.#waitFor(sweeping)
    })
  }

  #waitFor(work: Promise<unknown>): void {
    this.hold()
    work.then(this.#workDone, this.#workFailed)
  }

  #waitOption({ lockTimeout }: Pick<OpenOptions, 'lockTimeout'>): number {
    return durationOption('lockTimeout', lockTimeout, this.table.rules.lockTimeout, true)
  }
}

function orThrow<T>(outcome: T | StateFault): T {
  if (isFault(outcome)) throw errorOf(outcome)
  return outcome
}

/** Milliseconds since 1970. A clock that was given counts from somewhere, so it counts on from the time that it was given. */
function timeOf(clock: Clock | undefined): () => number {
  if (clock === undefined) return Date.now
  const base = Date.now() - clock.now()
  return () => base + clock.now()
}

function lifetime(name: string, given: number | undefined, fallback: number): number {
  return integerOption(name, given, fallback, { min: 0, max: longestLifetime })
}
