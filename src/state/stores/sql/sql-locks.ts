import { randomBytes } from 'node:crypto'
import { type Alarm, systemClock } from '../../../clock.ts'
import type { ContainerLock } from '../../container.ts'
import type { SqlCalls } from './sql-pool.ts'
import { headStart, type Statements } from './sql-statements.ts'
import type { SqlWakeups } from './sql-wakeups.ts'

/** How soon to ask again for a lock, in milliseconds, where nobody would tell, and where somebody would. */
const askUnheard = 50
const askHeard = 1_000
/** How soon to give a lock up again, in milliseconds, when the database was away. */
const giveUpAgain = 200

/** How a lock is asked for; see `Container.lock`. */
export interface LockRequest {
  readonly wait: number
  readonly lease: number
  readonly signal: AbortSignal
}

/**
 * Locks as rows: who has it (a random token), its number, until when, and who waits, in order. Nobody keeps a connection
 * or a transaction open meanwhile, so there may be as many locks as there are sessions.
 *
 * ```
 *   lock ──► row is free, and we are the first in its queue ──► token, fence, until
 *     ▲  └─► row is taken ──► our token in its queue ──► woken by name when it is given up, or its lease is over
 *     └────────────────────────────────────────────────┘
 * ```
 */
export class SqlLocks {
  readonly #calls: SqlCalls
  readonly #statements: Statements
  readonly #wakeups: SqlWakeups
  /** Those of this process, by id. */
  readonly #held = new Map<string, { readonly token: string; readonly fence: number }>()
  /** What is being given up, and what shall be once the database is back. */
  readonly #releasing = new Set<Promise<void>>()
  readonly #owed = new Set<Alarm>()
  #closed = false

  constructor(calls: SqlCalls, statements: Statements, wakeups: SqlWakeups) {
    this.#calls = calls
    this.#statements = statements
    this.#wakeups = wakeups
  }

  open(): void {
    this.#closed = false
  }

  /** The token of a lock of this process; empty if none with this number was given here. */
  tokenOf(id: string, fence: number): string {
    const held = this.#held.get(id)
    return held !== undefined && held.fence === fence ? held.token : ''
  }

  async lock(id: string, { wait, lease, signal }: LockRequest): Promise<ContainerLock | undefined> {
    const token = randomBytes(12).toString('hex')
    const until = systemClock.now() + wait
    // Who is woken may be so before the answer is here that says that there is something to wait for.
    const wakeup = this.#wakeups.add(token)
    let queued = false
    try {
      for (;;) {
        signal.throwIfAborted()
        const waits = systemClock.now() < until
        queued ||= waits
        const row = await this.#ask(id, token, lease, waits)
        if (row?.['mine'] === true) {
          queued = false
          const lock = this.#hold(id, token, Number(row['fence']), lease)
          if (!signal.aborted) return lock
          await lock.release()
          signal.throwIfAborted()
        }
        const left = until - systemClock.now()
        if (left <= 0) return undefined
        this.#wakeups.listen()
        const ask = this.#wakeups.listening ? askHeard : askUnheard
        // Nobody tells when the lease of the holder is over, nor when the first in the queue does not come.
        const lapses = Number(row?.['left'])
        await wakeup.wait(Math.min(left, ask, Math.ceil(lapses > 0 ? lapses : headStart) + 1), signal)
      }
    } finally {
      wakeup.end()
      if (queued) await this.#leave(id, token)
    }
  }

  /** Resolves when nothing is being given up any more. What could not be is left to the leases. */
  async close(): Promise<void> {
    this.#closed = true
    for (const alarm of this.#owed) alarm.cancel()
    this.#owed.clear()
    await Promise.all(this.#releasing)
  }

  #hold(id: string, token: string, fence: number, lease: number): ContainerLock {
    const held = { token, fence }
    this.#held.set(id, held)
    let until = systemClock.now() + lease
    return {
      fence,
      renew: async () => {
        const from = systemClock.now()
        const { rowCount } = await this.#calls.run(this.#statements.renew, [id, token, lease])
        if (rowCount === 1) until = from + lease
        return rowCount === 1
      },
      release: async () => {
        if (this.#held.get(id) === held) this.#held.delete(id)
        await this.#giveUp(id, token, until)
      },
    }
  }

  /** Others wait for it, also when the database was away at this moment: until the lease is over it is tried again. */
  async #giveUp(id: string, token: string, until: number): Promise<void> {
    const releasing = this.#calls.run(this.#statements.release, [id, token]).then(
      () => {},
      () => {
        if (this.#closed || systemClock.now() + giveUpAgain >= until) return
        const alarm = systemClock.after(giveUpAgain, () => {
          this.#owed.delete(alarm)
          void this.#giveUp(id, token, until)
        })
        this.#owed.add(alarm)
      },
    )
    this.#releasing.add(releasing)
    await releasing
    this.#releasing.delete(releasing)
  }

  async #ask(id: string, token: string, lease: number, waits: boolean): Promise<Record<string, unknown> | undefined> {
    try {
      return (await this.#calls.run(this.#statements.lock, [id, token, lease, waits])).rows[0]
    } catch (error) {
      // It may have been given to us, and only the answer was lost.
      void this.#giveUp(id, token, systemClock.now() + lease)
      throw error
    }
  }

  /** Stands in the queue no more. If that fails, the others get past it when its turn has come. */
  async #leave(id: string, token: string): Promise<void> {
    await this.#calls.run(this.#statements.leave, [id, token]).catch(() => {})
  }
}
