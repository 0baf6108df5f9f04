import { AsyncLocalStorage } from 'node:async_hooks'
import { EventEmitter } from 'node:events'
import { type Clock, systemClock } from '../../clock.ts'
import { isXpsError, XpsError } from '../../errors.ts'
import { durationOption, invalidOption, knownOptions } from '../../options.ts'
import type { Summary } from '../container.ts'
import { errorOf, faults } from '../faults.ts'
import type { OpenOptions, PatchOptions, Snapshot } from '../shared-sessions.ts'
import { ExpressSessions } from './express-sessions.ts'
import { type HeldSession, Holding } from './holding.ts'
import { changesOf, idleOf, jsonOf, sessionOf } from './session-json.ts'

/** What is known of a request before its session is: those of Express, Fastify and Node's server have more. */
export interface StoreRequest {
  readonly method?: string | undefined
  readonly url?: string | undefined
}

/** Options of an {@link ExpressStore}. */
export interface ExpressStoreOptions {
  /**
   * `'locking'`: a request has its session alone, and those that come meanwhile wait. `'merging'`: none waits, and each
   * property that a request has changed is written by itself; the last one to write the same property wins.
   * @default 'locking'
   */
  mode?: 'locking' | 'merging'
  /**
   * Says of a request that it only reads its session, so that it need not wait. Needs {@link ExpressStore.request} in
   * front of the sessions.
   * @default none does
   */
  readOnly?: (request: StoreRequest) => boolean
  /** How long a request waits for its session, in milliseconds. @default that of the source */
  lockTimeout?: number
  /** How long a request may have its session to itself, in milliseconds; what it saves later is refused. @default 30000 */
  holdTimeout?: number
  /** @default the machine's */
  clock?: Clock
}

/** Where an {@link ExpressStore} has its sessions: a `StateClient` or `SharedSessions`. */
export interface SessionSource {
  openSession(id: string, options?: OpenOptions): Promise<HeldSession>
  read(id: string): Promise<Snapshot | undefined>
  patch(id: string, options: PatchOptions): Promise<string>
  destroySession(id: string, options?: Pick<OpenOptions, 'lockTimeout'>): Promise<boolean>
  touchSession(id: string): Promise<boolean>
  list(): AsyncIterable<Summary>
}

/** Told of a failure, or of what was asked for. */
export type StoreCallback<T = void> = (error: unknown, value?: T) => void

/** How long a request whose client has gone may still save its session, in milliseconds. */
const afterClient = 5_000

/**
 * A store for express-session, @fastify/session, and what else asks for `get`, `set`, `destroy` and `touch`, with
 * callbacks or for promises.
 *
 * ```ts
 * app.use(session({ store: new ExpressStore(state), secret }))
 * ```
 *
 * A session that was destroyed stays so, whatever requests are still under way with it.
 */
export class ExpressStore extends EventEmitter {
  readonly #source: SessionSource
  readonly #locking: boolean
  readonly #readOnly: ((request: StoreRequest) => boolean) | undefined
  readonly #open: OpenOptions
  readonly #holdTimeout: number
  readonly #clock: Clock
  readonly #express = new ExpressSessions(this)
  /** The request that runs, as far as that is known. */
  readonly #running = new AsyncLocalStorage<Holding>()
  readonly #holders = new Map<string, Holding>()
  readonly #byData = new WeakMap<object, Holding>()
  readonly #byRequest = new WeakMap<object, Holding>()

  constructor(source: SessionSource, options: ExpressStoreOptions = {}) {
    super()
    knownOptions('store options', options, ['mode', 'readOnly', 'lockTimeout', 'holdTimeout', 'clock'])
    if (typeof source?.openSession !== 'function') {
      throw invalidOption('store', source, 'over a StateClient or SharedSessions')
    }
    const { mode = 'locking', readOnly, lockTimeout } = options
    if (mode !== 'locking' && mode !== 'merging') throw invalidOption('mode', mode, `'locking' or 'merging'`)
    if (readOnly !== undefined && typeof readOnly !== 'function')
      throw invalidOption('readOnly', readOnly, 'a function')
    this.#source = source
    this.#locking = mode === 'locking'
    this.#readOnly = readOnly
    this.#open =
      lockTimeout === undefined ? {} : { lockTimeout: durationOption('lockTimeout', lockTimeout, 5_000, true) }
    this.#holdTimeout = durationOption('holdTimeout', options.holdTimeout, 30_000)
    this.#clock = options.clock ?? systemClock
  }

  /**
   * A middleware of Express, or an `onRequest` hook of Fastify, for in front of the sessions: tells the store of the
   * request, so that {@link ExpressStoreOptions.readOnly} can be asked, and that a session is let go of with its response.
   */
  readonly request: (request: object, response: object, next: () => void) => void = (request, response, next) => {
    const { raw: inner = request } = request as { raw?: object }
    const { raw: answer = response } = response as { raw?: object }
    const holding = new Holding(request)
    holding.unused = true
    this.#byRequest.set(inner, holding)
    this.#endsWith(holding, answer)
    this.#running.run(holding, next)
  }

  /** The session of an id, or nothing; while somebody else has it, waits. */
  get<T extends object>(id: string): Promise<T | null>
  get<T extends object>(id: string, callback: StoreCallback<T | null>): void
  get<T extends object>(id: string, callback?: StoreCallback<T | null>): unknown {
    const running = this.#running.getStore()
    // A server that takes requests one behind the other may begin the next from within the one before.
    const same = running !== undefined && (running.unused || running.holds(id))
    const holding = same ? running : new Holding(running?.request)
    holding.unused = false
    // What follows belongs to this request: frameworks go on with it in the callback.
    const told = callback === undefined ? undefined : this.#inside(holding, callback)
    return answer(this.#get(id, holding), told)
  }

  /** Keeps what has changed of a session, and lets the next one have it. */
  set(id: string, session: object): Promise<void>
  set(id: string, session: object, callback: StoreCallback): void
  set(id: string, session: object, callback?: unknown): unknown {
    return answer(this.#set(id, session), callback)
  }

  /** Removes a session for all. */
  destroy(id: string): Promise<void>
  destroy(id: string, callback: StoreCallback): void
  destroy(id: string, callback?: unknown): unknown {
    return answer(this.#destroy(id), callback)
  }

  /** Says that a session is used, and lets the next one have it. */
  touch(id: string, session: object): Promise<void>
  touch(id: string, session: object, callback: StoreCallback): void
  touch(id: string, session: object, callback?: unknown): unknown {
    return answer(this.#touch(id, session), callback)
  }

  /** All sessions; for a server that allows it to list ids. */
  all<T extends object>(): Promise<T[]>
  all<T extends object>(callback: StoreCallback<T[]>): void
  all(callback?: unknown): unknown {
    return answer(this.#all(), callback)
  }

  /** How many sessions there are; for a server that allows it to list ids. */
  length(): Promise<number>
  length(callback: StoreCallback<number>): void
  length(callback?: unknown): unknown {
    return answer(
      this.#ids().then((ids) => ids.length),
      callback,
    )
  }

  /** Removes all sessions; for a server that allows it to list ids. */
  clear(): Promise<void>
  clear(callback: StoreCallback): void
  clear(callback?: unknown): unknown {
    return answer(this.#clear(), callback)
  }

  // What express-session asks of its own base class.

  /** Makes a new session for a request; express-session gives every store its own. */
  generate: (request: object) => void = () => {
    throw new XpsError('XPS_CLOSED', 'the store is in no session({ store })')
  }

  /** Makes the session object of a request; express-session calls it. */
  createSession<T extends object>(request: object, data: object): T {
    const holding = this.#byData.get(data)
    if (holding !== undefined) {
      this.#byRequest.set(request, holding)
      const { res } = request as { res?: object }
      if (res !== undefined) this.#endsWith(holding, res)
    }
    return this.#express.create(request, data) as T
  }

  /** Gives a request a new session in place of the one it has; express-session calls it. */
  regenerate(request: { sessionID: string }, callback: StoreCallback): void {
    this.destroy(request.sessionID, (error) => {
      this.generate(request)
      callback(error)
    })
  }

  /** Loads a session without a request; express-session has it. */
  load<T extends object>(id: string, callback: StoreCallback<T>): void {
    this.get<T>(id, (error, data) => {
      if (error !== undefined && error !== null) return callback(error)
      if (data === undefined || data === null) return callback(null)
      callback(null, this.createSession({ sessionID: id, sessionStore: this }, data))
    })
  }

  async #get(id: string, holding: Holding): Promise<object | null> {
    if (holding.holds(id)) return this.#read(holding, id, await holding.session.entries())
    const { request } = holding
    const reads = !this.#locking || (request !== undefined && this.#readOnly?.(request) === true)
    if (reads || holding.held) {
      const snapshot = await this.#source.read(id)
      return snapshot === undefined ? null : this.#read(holding, id, snapshot.entries)
    }
    let session: HeldSession
    try {
      session = await this.#source.openSession(id, this.#open)
    } catch (error) {
      if (isXpsError(error, 'XPS_NOT_FOUND')) return null
      throw error
    }
    if (holding.over) {
      session.abandon()
      throw new XpsError('XPS_ABORTED', 'the request was over before it had its session')
    }
    holding.hold(id, session, this.#clock, this.#holdTimeout, () => this.#holders.delete(id))
    this.#holders.set(id, holding)
    return this.#read(holding, id, await session.entries())
  }

  #read(holding: Holding, id: string, entries: Iterable<readonly [string, string]>): object {
    const before = new Map(entries)
    holding.saw(id, before)
    const data = sessionOf(before)
    this.#byData.set(data, holding)
    return data
  }

  async #set(id: string, session: object): Promise<void> {
    const holding = this.#holdingOf(id, session)
    if (holding?.lost(id) === true) throw errorOf(faults.lost)
    const after = jsonOf(session)
    const idle = idleOf(session)
    const before = holding?.seen(id)
    if (holding?.holds(id) === true) {
      await holding.save(changesOf(before ?? new Map(), session, after), idle)
    } else {
      // Nobody has read it before, or it is new: what it replaces is what is there.
      const there = before ?? (await this.#source.read(id))?.entries
      const changes = changesOf(there ?? new Map(), session, after)
      const patch = { ...changes, ...this.#open, create: before === undefined, ...(idle === undefined ? {} : { idle }) }
      try {
        await this.#source.patch(id, patch)
      } catch (error) {
        // Destroyed while this request was under way, and it stays so.
        if (!isXpsError(error, 'XPS_NOT_FOUND')) throw error
      }
    }
    holding?.saw(id, after)
  }

  async #destroy(id: string): Promise<void> {
    const holding = this.#holdingOf(id) ?? this.#holders.get(id)
    if (holding?.holds(id) === true) await holding.destroy()
    else await this.#source.destroySession(id, this.#open)
  }

  async #touch(id: string, session: object): Promise<void> {
    const holding = this.#holdingOf(id, session)
    // The cookie may have got another age, which the frameworks take for no change.
    const before = holding?.seen(id)?.get('cookie')
    const idle = idleOf(session)
    const known = before === undefined ? idle : idleOf({ cookie: JSON.parse(before) as object })
    if (idle !== known) return this.#set(id, session)
    if (holding?.holds(id) === true) await holding.release()
    else if (holding?.lost(id) !== true) await this.#source.touchSession(id)
  }

  async #ids(): Promise<string[]> {
    const ids: string[] = []
    for await (const { id } of this.#source.list()) ids.push(id)
    return ids
  }

  async #all(): Promise<object[]> {
    const all: object[] = []
    for (const id of await this.#ids()) {
      const snapshot = await this.#source.read(id)
      if (snapshot !== undefined) all.push({ ...sessionOf(snapshot.entries), id })
    }
    return all
  }

  async #clear(): Promise<void> {
    for (const id of await this.#ids()) await this.#source.destroySession(id)
  }

  /**
   * The request that asks: by its session's request, by what it was given, by where we are called from, or because it has
   * the session.
   */
  #holdingOf(id: string, session: object = {}): Holding | undefined {
    const { req } = session as { req?: object }
    const known = (req === undefined ? undefined : this.#byRequest.get(req)) ?? this.#byData.get(session)
    const holding = known ?? this.#running.getStore()
    if (holding?.knows(id) === true) return holding
    return holding === undefined ? this.#holders.get(id) : undefined
  }

  #inside<T>(holding: Holding, callback: StoreCallback<T>): StoreCallback<T> {
    return (error, value) => this.#running.run(holding, () => callback(error, value))
  }

  /** Lets go of what a request holds when its response has been sent, or a while after its client has gone. */
  #endsWith(holding: Holding, response: object): void {
    const answering = response as EventEmitter & { writableEnded?: boolean }
    if (typeof answering.once !== 'function' || holding.followed) return
    holding.followed = true
    answering.once('close', () => holding.end(this.#clock, answering.writableEnded === true ? 0 : afterClient))
  }
}

/** Tells a callback what a promise resolves to; or returns the promise. */
function answer(work: Promise<unknown>, callback: unknown): unknown {
  if (typeof callback !== 'function') return work
  const told = callback as StoreCallback<unknown>
  work.then(
    // What the callback throws is the framework's, and is not to be taken for a failure of ours.
    (value) => process.nextTick(told, null, value),
    (error: unknown) => process.nextTick(told, error),
  )
  return undefined
}
