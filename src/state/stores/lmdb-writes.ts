import type { LmdbLocks } from './lmdb-locks.ts'
import type { LmdbMembers } from './lmdb-members.ts'
import type { LmdbTables } from './lmdb-tables.ts'

/** How a write went; `'other'` if the session was there and was not to be, or the other way round. */
export type Written = 'done' | 'other' | 'fenced'

/** Puts what is to be written; resolves to whether its own condition was met, or returns nothing if it has none. */
export type Write = () => Promise<boolean> | undefined

/** One that waits to be written with others. */
interface Waiting {
  readonly id: string
  readonly fence: number
  readonly write: Write
  readonly expected: number | null
  readonly resolve: (outcome: Written | Promise<Written>) => void
  readonly reject: (error: unknown) => void
}

/**
 * Writes sessions under their locks.
 *
 * Conditions are checked by the engine's thread, within the transaction; nothing of ours runs there. In a process that
 * has the folder alone, all that is written in one turn has one condition: that it still has.
 */
export class LmdbWrites {
  readonly #tables: LmdbTables
  readonly #members: LmdbMembers
  readonly #locks: LmdbLocks
  #turn: Waiting[] = []

  constructor(tables: LmdbTables, members: LmdbMembers, locks: LmdbLocks) {
    this.#tables = tables
    this.#members = members
    this.#locks = locks
  }

  /**
   * Writes if the lock is held, and resolves when the disk has it. Where `write` has a condition, that is that the session
   * is there, or is not, as `expected` (null for not); it need not have one where that is known.
   */
  write(id: string, fence: number, write: Write, expected: number | null): Promise<Written> {
    if (this.#members.state === 'alone' && this.#locks.fenceOf(id) === fence) {
      return this.#inTurn(id, fence, write, expected)
    }
    return this.#writeShared(id, fence, write, expected)
  }

  /** With all that is written in this turn. */
  #inTurn(id: string, fence: number, write: Write, expected: number | null): Promise<Written> {
    return new Promise((resolve, reject) => {
      this.#turn.push({ id, fence, write, expected, resolve, reject })
      if (this.#turn.length === 1) setImmediate(() => void this.#writeTurn())
    })
  }

  async #writeShared(id: string, fence: number, write: Write, expected: number | null): Promise<Written> {
    while (this.#locks.fenceOf(id) === fence) {
      if (this.#members.state === 'alone') return this.#inTurn(id, fence, write, expected)
      let written: Promise<boolean> | undefined
      const held = this.#tables.locks.ifVersion(id, fence, () => {
        written = write()
        // When the transaction fails, so does this; it is told once.
        written?.catch(() => {})
      })
      const flushed = flushOf(held)
      if (await held) {
        if ((await written) === false) return 'other'
        await flushed
        return 'done'
      }
      // Unless this process has become alone meanwhile, it is another's now.
      if (this.#members.state === 'shared') return 'fenced'
    }
    return this.#writeUnlocked(id, fence, write, expected)
  }

  async #writeTurn(): Promise<void> {
    const turn = this.#turn
    this.#turn = []
    if (this.#members.state !== 'alone') return this.#again(turn)
    const mine = turn.filter(({ id, fence }) => this.#locks.fenceOf(id) === fence)
    if (mine.length < turn.length) this.#again(turn.filter((one) => !mine.includes(one)))
    try {
      const { epoch } = this.#members
      const written: (Promise<boolean> | undefined)[] = []
      const alone = this.#tables.meta.ifVersion('owner', epoch, () => {
        for (const one of mine) {
          const outcome = one.write()
          outcome?.catch(() => {})
          written.push(outcome)
        }
      })
      const flushed = flushOf(alone)
      if (await alone) {
        await flushed
        for (let index = 0; index < mine.length; index++) {
          const met = written[index]
          mine[index]?.resolve(met === undefined ? 'done' : met.then((was) => (was ? 'done' : 'other')))
        }
        return
      }
      // Others have come meanwhile, or have taken this process for gone.
      if (this.#members.state === 'alone' && this.#members.epoch === epoch) this.#members.lost()
      this.#again(mine)
    } catch (error) {
      for (const { reject } of mine) reject(error)
    }
  }

  #again(turn: readonly Waiting[]): void {
    for (const { id, fence, write, expected, resolve } of turn) resolve(this.write(id, fence, write, expected))
  }

  /** For who has no lock of ours, or has it no more: nobody else may have it, or have written under a higher number. */
  async #writeUnlocked(id: string, fence: number, write: Write, expected: number | null): Promise<Written> {
    const { env, sessions } = this.#tables
    const writing = env.transaction(() => {
      const version = sessions.getEntry(id)?.version
      if (this.#locks.isFenced(id, fence) || (version ?? 0) > fence) return 'fenced'
      if ((version === undefined) !== (expected === null)) return 'other'
      void write()
      return 'done'
    })
    // Asked for now: later it may be that of other writes.
    const flushed = Promise.resolve(env.flushed)
    flushed.catch(() => {})
    const outcome = await writing
    if (outcome === 'done') await flushed
    return outcome
  }
}

/** When what was written in this transaction is on the disk. */
function flushOf(written: Promise<boolean>): Promise<boolean> {
  return (written as { flushed?: Promise<boolean> }).flushed ?? written
}
