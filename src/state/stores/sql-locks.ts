import { randomBytes } from 'node:crypto'
import { systemClock } from '../../clock.ts'
import type { ContainerLock } from '../container.ts'
import type { SqlCalls } from './sql-pool.ts'
import { headStart, type Statements } from './sql-statements.ts'
import type { SqlWakeups } from './sql-wakeups.ts'

/** How soon to ask again for a lock, in milliseconds, where nobody would tell, and where somebody would. */
const askUnheard = 50
const askHeard = 1_000

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
  /** What has been given up, and the database does not know yet. */
  readonly #releasing = new Set<Promise<void>>()

  constructor(calls: SqlCalls, statements: Statements, wakeups: SqlWakeups) {
    this.#calls = calls
    this.#statements = statements
    this.#wakeups = wakeups
  }

  /** The token of a lock of this process; empty if none with this number was given here. */
  tokenOf(id: string, fence: number): string {
    const held = this.#held.get(id)
    return held !== undefined && held.fence === fence ? held.token : ''
  }

  async lock(id: string, { wait, lease, signal }: LockRequest): Promise<ContainerLock | undefined> {
    signal.throwIfAborted()
    const token = randomBytes(12).toString('hex')
    const until = systemClock.now() + wait
    // Who is woken may be so before the answer is here that says that there is something to wait for.
    const wakeup = this.#wakeups.add(token)
    let queued = false
    try {
      for (;;) {
        const waits = !signal.aborted && systemClock.now() < until
        queued ||= waits
        const [row] = (await this.#calls.run(this.#statements.lock, [id, token, lease, waits])).rows
        if (row?.['mine'] === true) {
          queued = false
          const lock = this.#hold(id, token, Number(row['fence']), lease)
          if (!signal.aborted) return lock
          await lock.release()
        }
        signal.throwIfAborted()
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

  /** Resolves when nothing is being given up any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#releasing)
  }

  #hold(id: string, token: string, fence: number, lease: number): ContainerLock {
    const held = { token, fence }
    this.#held.set(id, held)
    return {
      fence,
      renew: async () => {
        const { rowCount } = await this.#calls.run(this.#statements.renew, [id, token, lease])
        return rowCount === 1
      },
      release: async () => {
        const releasing = this.#calls.run(this.#statements.release, [id, token]).then(() => {})
        const over = releasing.catch(() => {})
        this.#releasing.add(over)
        try {
          await releasing
        } finally {
          this.#releasing.delete(over)
          if (this.#held.get(id) === held) this.#held.delete(id)
        }
      },
    }
  }

  /** Stands in the queue no more. If that fails, the others get past it when its turn has come. */
  async #leave(id: string, token: string): Promise<void> {
    await this.#calls.run(this.#statements.leave, [id, token]).catch(() => {})
  }
}
