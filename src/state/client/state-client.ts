import type { Clock } from '../../clock.ts'
import { type CloseOptions, closeBy } from '../../core/close-by.ts'
import { Living } from '../../core/living.ts'
import type { UpstreamTarget } from '../../core/upstream.ts'
import { isXpsError, XpsError } from '../../errors.ts'
import { durationOption, integerOption, invalidOption, knownOptions, longestTime } from '../../options.ts'
import { type ByteString, toBytes, toText } from '../codec/byte-string.ts'
import { decodeWords } from '../codec/words.ts'
import type { Summary } from '../container.ts'
import { errorOf, isFault, type StateFault } from '../faults.ts'
import { isId } from '../ids.ts'
import { longestLifetime } from '../limits.ts'
import { Lock, LockTable } from '../locks.ts'
import { patchWords } from '../patch-words.ts'
import type { StateServerStats } from '../server-scope.ts'
import type { OpenMode } from '../session-keeper.ts'
import type { OpenOptions, PatchOptions, Snapshot } from '../shared-sessions.ts'
import { clientRules, type StateClientOptions } from './client-options.ts'
import { StateLink } from './link.ts'
import { LinkPool } from './link-pool.ts'
import { commandLine, entriesOf, RemoteSession, unknownCommand } from './remote-session.ts'

/** What happens to a {@link StateClient}. */
export interface StateClientEvents {
  /** Told once and last, when all its connections are closed. */
  close: [error: XpsError | undefined]
}

/** Numbers of a {@link StateClient}, all of now. */
export interface StateClientStats {
  /** Connections, and those of them that are not used. */
  readonly connections: number
  readonly idle: number
  /** Callers that wait for a connection. */
  readonly waiting: number
  /** Callers that wait for a session which another caller of this client has; they take no connection meanwhile. */
  readonly behind: number
}

/** What a server tells while it is watched. */
export interface StateEvent {
  /** `'committed'`, `'destroyed'`, `'expired'`, `'regenerated'`, or `'missed'`: so many were not told. */
  readonly event: string
  readonly id: string
  /** Of `'regenerated'`: the id before. */
  readonly before: string | undefined
}

/**
 * A client of a state server: what it opens is closed or rolled back, and always unlocked.
 *
 * ```ts
 * const state = new StateClient('127.0.0.1:9090')
 * await state.session(id, async (session) => {
 *   await session.put('n', String(Number((await session.get('n')) ?? 0) + 1))
 * })
 * ```
 *
 * It connects when it is asked for something, keeps connections, and makes new ones when the server was away.
 */
export class StateClient extends Living<StateClientEvents> {
  readonly address: string
  readonly #pool: LinkPool
  readonly #lockTimeout: number
  readonly #clock: Clock
  /** One of our callers at a time asks the server for a session: the others would only take all connections to wait. */
  readonly #locks: LockTable

  constructor(server: UpstreamTarget | readonly UpstreamTarget[], options: StateClientOptions = {}) {
    super()
    const { link: rules, pool, lockTimeout } = clientRules(server, options)
    const { clock } = rules
    this.address = pool.address
    this.#clock = clock
    this.#lockTimeout = lockTimeout
    this.#locks = new LockTable(clock, { lease: longestTime, maxWaiters: pool.maxQueue })
    const owner = { linkClosed: (link: StateLink) => this.#pool.left(link) }
    this.#pool = new LinkPool(pool, () => {
      const link = new StateLink(rules, owner)
      this.adopt(link)
      return link
    })
    this.opened()
  }

  /**
   * Opens a session, runs a function with it, and closes it; if the function fails, what it changed is forgotten.
   * Resolves to what the function returned, when all is written.
   */
  async session<T>(id: string, run: (session: RemoteSession) => T | Promise<T>, options: OpenOptions = {}): Promise<T> {
    return this.#run(await this.openSession(id, options), run)
  }

  /** Makes a session, runs a function with it, and closes it. */
  async newSession<T>(run: (session: RemoteSession) => T | Promise<T>): Promise<T> {
    return this.#run(await this.createSession(), run)
  }

  /** Opens a session; close or abandon it. Rejects with `XPS_NOT_FOUND`, `XPS_TIMEOUT` (`lock`) or `XPS_BUSY`. */
  async openSession(id: string, options: OpenOptions = {}): Promise<RemoteSession> {
    knownOptions('open options', options, ['mode', 'lockTimeout'])
    const { mode = 'rw' } = options
    if (mode !== 'rw' && mode !== 'r') throw invalidOption('mode', mode, `'rw' or 'r'`)
    const wait = durationOption('lockTimeout', options.lockTimeout, this.#lockTimeout, true)
    mustBeId(id)
    if (mode === 'r') {
      return this.#opening(mode, undefined, async (link) => {
        await link.ask(`open ${id} r`)
        return id
      })
    }
    return this.#inTurn(id, wait, (left, lock) =>
      this.#opening(mode, lock, async (link) => {
        if (link.knows('acquire')) await link.ask(`acquire ${id} ${left}`, left)
        else await link.ask(`open ${id}`, left)
        return id
      }),
    )
  }

  /** Makes a session and opens it, with an id of the server's or the given one. Nobody has it before it is committed. */
  async createSession(id?: string): Promise<RemoteSession> {
    if (id !== undefined) mustBeId(id)
    return this.#opening('rw', undefined, async (link) => {
      if (id === undefined) return link.ask('new')
      if (!link.knows('create')) throw unknownCommand(link, 'create')
      return link.ask(`create ${id}`)
    })
  }

  /** What was last committed, without waiting for anybody; undefined if there is no such session. */
  async read(id: string): Promise<Snapshot | undefined> {
    if (!isId(id)) return undefined
    const reply = await this.#once('read', `read ${id}`, { again: true })
    if (reply === undefined) return undefined
    const [version = '', ...words] = this.#words(reply)
    return { version, entries: entriesOf(words) }
  }

  /** Changes keys at once, all of it or nothing, without holding the session; as `SharedSessions.patch`. */
  async patch(id: string, options: PatchOptions): Promise<string> {
    knownOptions('patch options', options, ['put', 'remove', 'create', 'version', 'idle', 'lockTimeout'])
    mustBeId(id)
    const { create, version, idle } = options
    const entries: (readonly [ByteString, ByteString | undefined])[] = []
    for (const [key, value] of options.put ?? []) entries.push([toBytes(key), toBytes(value)])
    for (const key of options.remove ?? []) entries.push([toBytes(key), undefined])
    if (idle !== undefined) integerOption('idle', idle, 0, { min: 0, max: longestLifetime })
    const wait = durationOption('lockTimeout', options.lockTimeout, this.#lockTimeout, true)
    return this.#inTurn(id, wait, (left, lock) =>
      this.#exclusive((link) => {
        if (!link.knows('patch')) throw unknownCommand(link, 'patch')
        return link.ask(`patch ${id} ${patchWords({ entries, create, version, idle, wait: left })}`, left)
      }).finally(() => lock.release()),
    )
  }

  /** Removes a session when nobody holds it; false if there is none. */
  async destroySession(id: string, options: Pick<OpenOptions, 'lockTimeout'> = {}): Promise<boolean> {
    const wait = durationOption('lockTimeout', options.lockTimeout, this.#lockTimeout, true)
    if (!isId(id)) return false
    const reply = await this.#inTurn(id, wait, (left, lock) =>
      this.#once('drop', `drop ${id} ${left}`, { wait: left }).finally(() => lock.release()),
    )
    return reply !== undefined
  }

  /** Says that a session is used, so that it lives on; false if there is none. */
  async touchSession(id: string): Promise<boolean> {
    if (!isId(id)) return false
    return (await this.#once('touch', `touch ${id}`, { again: true })) !== undefined
  }

  /** All ids with when they expire, if the server allows it. */
  async *list(): AsyncIterableIterator<Summary> {
    const link = await this.#take()
    let whole = false
    try {
      while (!whole) {
        const [more, ...words] = (await link.ask('list')).split(' ')
        whole = more !== 'more'
        for (let at = 0; at + 1 < words.length; at += 2) {
          const expires = Number(words[at + 1])
          yield { id: words[at] as string, expires: expires === -1 ? Number.POSITIVE_INFINITY : expires }
        }
      }
    } finally {
      // Who stops in the middle leaves a list behind that the next one must not go on with.
      if (whole) this.#pool.give(link)
      else link.abort()
    }
  }

  /** What happens on the server from now on, if the server allows it; until the loop is left. */
  async *watch(): AsyncIterableIterator<StateEvent> {
    const link = await this.#take()
    const lines: ByteString[] = []
    let wake: (() => void) | undefined
    link.onLine = (line) => {
      lines.push(line)
      // The server counts what we do not read.
      if (lines.length >= 1_000) link.listening = false
      wake?.()
    }
    void link.closed.then(() => wake?.())
    try {
      await link.ask('watch')
      while (link.usable) {
        for (let line = lines.shift(); line !== undefined; line = lines.shift()) {
          const [event = '', id = '', before] = line.split(' ')
          yield { event, id, before }
        }
        link.listening = true
        if (lines.length > 0) continue
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      if (link.error !== undefined) throw link.error
    } finally {
      link.abort()
    }
  }

  /** A command of the server's host: its words, and what it replies. */
  async command(name: string, ...words: string[]): Promise<string> {
    const line = commandLine(name, words)
    return toText(await this.#exclusive((link) => link.ask(line)))
  }

  /** The server's numbers. */
  async serverStats(): Promise<StateServerStats> {
    const reply = await this.#exclusive((link) => link.ask('stats'))
    return JSON.parse(toText(reply)) as StateServerStats
  }

  stats(): StateClientStats {
    const { size, idle, waiting } = this.#pool
    return { connections: size, idle, waiting, behind: this.#locks.numbers.waiting }
  }

  /** Asks for nothing any more, and resolves when what is open has been closed; after the deadline it is given up. */
  override close(options: CloseOptions = {}): Promise<XpsError | undefined> {
    return closeBy(this, () => super.close(), options, this.#clock)
  }

  protected override onDrain(): void {
    this.#pool.close()
    this.finishWithChildren()
  }

  protected override onAbort(): void {
    this.#pool.close()
  }

  protected override onClosed(error: XpsError | undefined): void {
    this.emit('close', error)
  }

  async #run<T>(session: RemoteSession, run: (session: RemoteSession) => T | Promise<T>): Promise<T> {
    try {
      const outcome = await run(session)
      if (!session.over) await session.close()
      return outcome
    } finally {
      await session.rollback()
    }
  }

  /** Does something with a session when no other caller of ours is at it; who fails gives his turn up. */
  async #inTurn<T>(id: string, wait: number, run: (left: number, lock: Lock) => Promise<T>): Promise<T> {
    const since = this.#clock.now()
    const lock = this.#locks.take(id) ?? (await this.#turn(id, wait))
    try {
      return await run(Math.max(0, wait - (this.#clock.now() - since)), lock)
    } catch (error) {
      lock.release()
      throw error
    }
  }

  #turn(id: string, wait: number): Promise<Lock> {
    return new Promise((resolve, reject) => {
      const settle = (outcome: Lock | StateFault): void =>
        outcome instanceof Lock ? resolve(outcome) : reject(errorOf(outcome))
      const waiter = this.#locks.wait(id, wait, settle)
      if (isFault(waiter)) settle(waiter)
    })
  }

  async #opening(
    mode: OpenMode,
    lock: Lock | undefined,
    open: (link: StateLink) => Promise<string>,
  ): Promise<RemoteSession> {
    const owner = { give: (link: StateLink) => this.#pool.give(link), unlocked: () => lock?.release() }
    return this.#withLink(open, true, (link, id) => {
      // Whatever its holder does: without a connection nobody has it.
      if (lock !== undefined) void link.closed.then(owner.unlocked)
      return new RemoteSession(link, id, mode, owner)
    })
  }

  /** Asks for something on a connection of its own, so that nobody has to wait for what it waits for. */
  #exclusive(ask: (link: StateLink) => Promise<ByteString>, again = false): Promise<ByteString> {
    return this.#withLink(ask, again, (link, reply) => {
      this.#pool.give(link)
      return reply
    })
  }

  /** As {@link #exclusive}; undefined if there is no such session. */
  async #once(
    name: string,
    line: ByteString,
    how: { again?: boolean; wait?: number },
  ): Promise<ByteString | undefined> {
    try {
      return await this.#exclusive((link) => {
        if (!link.knows(name)) throw unknownCommand(link, name)
        return link.ask(line, how.wait)
      }, how.again)
    } catch (error) {
      if (isXpsError(error, 'XPS_NOT_FOUND')) return undefined
      throw error
    }
  }

  /**
   * Takes a link and does something on it that leaves it as it was, or in use. `again`: it may be done twice, so that a
   * server which was restarted meanwhile is not noticed.
   */
  async #withLink<T, R>(
    run: (link: StateLink) => Promise<T>,
    again: boolean,
    next: (link: StateLink, value: T) => R,
  ): Promise<R> {
    for (;;) {
      const link = await this.#take()
      const used = link.idleSince > 0
      let value: T
      try {
        value = await run(link)
      } catch (error) {
        // An answer leaves the link as it is; anything else has ended it.
        if (link.usable) this.#pool.give(link)
        else if (used && isXpsError(error) && (error.retryable || (again && error.code === 'XPS_RESET'))) continue
        throw error
      }
      return next(link, value)
    }
  }

  async #take(): Promise<StateLink> {
    const link = await this.#pool.take()
    try {
      await link.ready
    } catch (error) {
      link.abort(error)
      throw error
    }
    return link
  }

  #words(reply: ByteString): ByteString[] {
    const words = decodeWords(reply)
    if (words === undefined) {
      throw new XpsError('XPS_BAD_RESPONSE', `${this.address} has sent what cannot be read`, { origin: 'upstream' })
    }
    return words
  }
}

/** Ids are sent as they are, so they must be ids. */
function mustBeId(id: string): void {
  if (typeof id !== 'string' || !isId(id)) {
    // An id is a secret: what was given is not repeated.
    throw new XpsError('XPS_NOT_FOUND', 'could not open session: no such id can be')
  }
}
