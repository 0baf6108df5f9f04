import type { Alarm, Clock } from '../../clock.ts'
import type { Awaitable } from '../container.ts'
import type { JsonEntries } from './session-json.ts'

/** A session that is open and held, on a server or in this process. */
export interface HeldSession {
  readonly over: boolean
  entries(): Awaitable<Iterable<readonly [string, string]>>
  put(key: string, value: string): Awaitable<void>
  remove(key: string): Awaitable<boolean>
  keepFor(idle: number): Awaitable<void>
  close(): Promise<void>
  destroy(): Promise<void>
  abandon(): void
}

/** What one request has of its session: what it has seen of it, and whether it has it alone. */
export class Holding {
  readonly request: object | undefined
  /** It has not asked for any session. */
  unused = false
  /** Its response is followed to its end. */
  followed = false
  /** Its response has been sent. */
  over = false
  #id: string | undefined
  #session: HeldSession | undefined
  #seen: { id: string; entries: JsonEntries } | undefined
  #lost = false
  #until = 0
  #alarm: Alarm | undefined
  #released: (() => void) | undefined

  constructor(request: object | undefined) {
    this.request = request
  }

  /** It holds some session. */
  get held(): boolean {
    return this.#session !== undefined
  }

  get session(): HeldSession {
    return this.#session as HeldSession
  }

  /** Takes a session to itself, for so long at most. */
  hold(id: string, session: HeldSession, clock: Clock, limit: number, released: () => void): void {
    this.#id = id
    this.#session = session
    this.#released = released
    this.#lost = false
    this.#until = clock.now() + limit
    this.#alarm = clock.after(limit, () => this.#lose())
  }

  holds(id: string): boolean {
    return this.#session !== undefined && this.#id === id
  }

  /** It had the session alone, and was too slow. */
  lost(id: string): boolean {
    return this.#lost && this.#id === id
  }

  /** It has read this session, or has it. */
  knows(id: string): boolean {
    return this.#id === id || this.#seen?.id === id
  }

  saw(id: string, entries: JsonEntries): void {
    this.#seen = { id, entries }
  }

  seen(id: string): JsonEntries | undefined {
    return this.#seen?.id === id ? this.#seen.entries : undefined
  }

  /** Writes what has changed, and lets the next one have the session. */
  async save(changes: { put: [string, string][]; remove: string[] }, idle: number | undefined): Promise<void> {
    const session = this.#take()
    try {
      const work: Awaitable<unknown>[] = changes.put.map(([key, value]) => session.put(key, value))
      for (const key of changes.remove) work.push(session.remove(key))
      if (idle !== undefined && work.length > 0) work.push(session.keepFor(idle))
      await Promise.all(work)
      await session.close()
    } finally {
      // Nothing happens when it was closed.
      session.abandon()
    }
  }

  async release(): Promise<void> {
    await this.#take().close()
  }

  async destroy(): Promise<void> {
    await this.#take().destroy()
  }

  /** Its response is over: lets go, at once or after a while. */
  end(clock: Clock, delay: number): void {
    this.over = true
    if (this.#session === undefined) return
    if (delay === 0) return this.#lose()
    this.#alarm?.cancel()
    const left = Math.max(0, this.#until - clock.now())
    this.#alarm = clock.after(Math.min(delay, left), () => this.#lose())
  }

  /** Whoever takes the session out of it closes it. */
  #take(): HeldSession {
    const session = this.session
    this.#alarm?.cancel()
    this.#alarm = this.#session = undefined
    this.#released?.()
    return session
  }

  #lose(): void {
    if (this.#session === undefined) return
    this.#lost = true
    this.#take().abandon()
  }
}
