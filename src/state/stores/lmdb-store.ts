import { systemCode, XpsError } from '../../errors.ts'
import { durationOption, integerOption, invalidOption, knownOptions } from '../../options.ts'
import type { Awaitable, Commit, CommitResult, Container, ContainerLock, Stored, Summary } from '../container.ts'
import { LmdbLocks } from './lmdb-locks.ts'
import { LmdbMembers } from './lmdb-members.ts'
import { decodeStored, decodeTime, encodeStored, encodeTime } from './lmdb-record.ts'
import { type LmdbTables, openTables, reasonOf } from './lmdb-tables.ts'

/** Options of an {@link LmdbStore}. */
export interface LmdbStoreOptions {
  /**
   * Whether a commit waits until the disk has it. Without, a crash of the machine may lose what was acknowledged and
   * leave a file that cannot be opened; a crash of the process does neither.
   * @default true
   */
  durable?: boolean
  /** How many shared sessions it takes. @default 10000000 */
  maxSessions?: number
  /**
   * How long a process that lives may say nothing before another one takes it for gone, and its locks for free, in
   * milliseconds. One that has ended is known to be gone at once.
   * @default 10000
   */
  processTimeout?: number
}

/** So many sessions are listed from one view of the folder. */
const perPage = 200

/** What is open between {@link LmdbStore.open} and {@link LmdbStore.close}. */
interface Opened {
  readonly tables: LmdbTables
  readonly members: LmdbMembers
  readonly locks: LmdbLocks
}

/**
 * Keeps shared sessions in an LMDB environment: more than memory holds, and for several processes on one machine. It
 * needs the package `lmdb`, which is loaded when the store is opened (`XPS_NOT_FOUND` if it is not installed).
 *
 * Commits of one moment are written together, and waited for together. Whether the lock is still held is asked in the
 * transaction that writes.
 */
export class LmdbStore implements Container {
  readonly name = 'lmdb'
  readonly #folder: string
  readonly #durable: boolean
  readonly #most: number
  readonly #timeout: number
  #opened: Opened | undefined
  /** How many more sessions there may be, as it was last looked. */
  #room = 0

  constructor(folder: string, options: LmdbStoreOptions = {}) {
    knownOptions('lmdb store options', options, ['durable', 'maxSessions', 'processTimeout'])
    if (typeof folder !== 'string' || folder === '') throw invalidOption('lmdb store', folder, 'the path of a folder')
    const { durable = true } = options
    if (typeof durable !== 'boolean') throw invalidOption('durable', durable, 'true or false')
    this.#folder = folder
    this.#durable = durable
    this.#most = integerOption('maxSessions', options.maxSessions, 10_000_000, { min: 1, max: Number.MAX_SAFE_INTEGER })
    this.#timeout = durationOption('processTimeout', options.processTimeout, 10_000)
  }

  async open(): Promise<void> {
    const tables = await openTables(this.#folder, this.#durable).catch((error: unknown) => {
      throw this.#failed('opened', error)
    })
    const members = new LmdbMembers(
      tables,
      {
        record: () => locks.record(),
        purge: () => locks.purge(),
        forget: () => locks.forget(),
        looked: () => this.#count(),
        failed: (error) => process.emitWarning(this.#failed('looked at', error)),
      },
      this.#timeout,
    )
    const locks = new LmdbLocks(tables, members)
    this.#opened = { tables, members, locks }
    this.#count()
    try {
      await members.open()
    } catch (error) {
      await this.close().catch(() => {})
      throw this.#failed('opened', error)
    }
  }

  read(id: string): Stored | undefined {
    const { tables, members, locks } = this.#open
    const { env, sessions, times } = tables
    // What was read before in this turn would be read again, whoever has committed meanwhile; after a commit of this
    // process it is not.
    if (members.state !== 'alone') env.resetReadTxn()
    try {
      const bytes = sessions.getBinaryFast(id)
      if (bytes === undefined) return undefined
      const version = tables.lastVersion()
      const stored = decodeStored(bytes)
      const time = times.getBinaryFast(id)
      if (time === undefined) return stored
      const expires = decodeTime(time)
      locks.note(id, expires)
      return tables.lastVersion() === version ? { ...stored, expires } : stored
    } catch (error) {
      throw this.#failed('read', error)
    }
  }

  async commit(id: string, stored: Stored, { expect, fence }: Commit): Promise<CommitResult> {
    const { tables, locks } = this.#open
    const { sessions, times, exists } = tables
    const { expires } = stored
    const value = encodeStored(stored)
    if (expect === 'present' && isNear(expires, locks.notedOf(id))) {
      const put = (): Promise<boolean> => sessions.put(id, value, fence, exists)
      const outcome = await this.#write(id, fence, put, exists)
      return outcome === 'other' ? 'missing' : outcome
    }
    if (expect === 'absent' && this.#room <= 0) return 'full'
    const expected = expect === 'absent' ? null : exists
    const both = (): void => {
      void sessions.put(id, value, fence)
      void times.put(id, encodeTime(expires), fence)
    }
    const outcome = await this.#write(id, fence, () => sessions.ifVersion(id, expected as number, both), expected)
    if (outcome === 'done') locks.note(id, expires)
    if (outcome === 'done' && expect === 'absent') this.#room--
    return outcome === 'other' ? (expect === 'absent' ? 'exists' : 'missing') : outcome
  }

  async destroy(id: string, fence: number): Promise<boolean> {
    const { sessions, times, exists } = this.#tables
    const both = (): void => {
      void sessions.remove(id)
      void times.remove(id)
    }
    const outcome = await this.#write(id, fence, () => sessions.ifVersion(id, exists, both), exists)
    if (outcome === 'done') return true
    if (outcome === 'other') return false
    throw new XpsError('XPS_LOCK_LOST', `${this.#folder}: a session cannot be removed: its lock was lost`)
  }

  async touch(id: string, expires: number): Promise<boolean> {
    const { tables, locks } = this.#open
    const { env, sessions, times } = tables
    try {
      for (;;) {
        env.resetReadTxn()
        if (sessions.getBinaryFast(id) === undefined) return false
        const version = tables.lastVersion()
        // Whoever commits meanwhile has used it too, but one who has destroyed it must win.
        const put = (): void => void times.put(id, encodeTime(expires), version)
        locks.note(id, expires)
        if (await sessions.ifVersion(id, version, put)) return true
      }
    } catch (error) {
      throw this.#failed('touched', await reasonOf(error))
    }
  }

  *list(): IterableIterator<Summary> {
    const { env, times } = this.#tables
    // In pages, so that no view of the folder is kept: what it shows cannot be reused, and the file would grow.
    for (let after: string | undefined; ; ) {
      env.resetReadTxn()
      const start = after === undefined ? {} : { start: after, exclusiveStart: true }
      const page = [...times.getRange({ ...start, limit: perPage })]
      for (const { key, value } of page) yield { id: key, expires: decodeTime(value) }
      if (page.length < perPage) return
      after = page.at(-1)?.key
    }
  }

  lock(
    id: string,
    request: { readonly wait: number; readonly lease: number; readonly signal: AbortSignal },
  ): Awaitable<ContainerLock | undefined> {
    return this.#open.locks.lock(id, request)
  }

  async close(): Promise<void> {
    const opened = this.#opened
    this.#opened = undefined
    try {
      await opened?.members.close()
    } finally {
      await opened?.tables.env.close()
    }
  }

  /**
   * Writes if the lock is held, and resolves when the disk has it. `write` resolves to whether the session was there, or
   * was not, as `expected`; if it was not, nothing is written, and the outcome is `'other'`.
   */
  async #write(
    id: string,
    fence: number,
    write: () => Promise<boolean>,
    expected: number | null,
  ): Promise<'done' | 'other' | 'fenced' | 'full'> {
    const { tables, members, locks } = this.#open
    try {
      for (;;) {
        if (locks.fenceOf(id) !== fence) return await this.#writeUnlocked(id, fence, write, expected)
        const { state } = members
        // Both conditions are checked by the thread that writes, in the transaction. Nothing of ours runs there.
        let written: Promise<boolean> | undefined
        const conditional = (): void => {
          written = write()
          // When the transaction fails, so does this; it is told once.
          written.catch(() => {})
        }
        const held =
          state === 'alone'
            ? tables.meta.ifVersion('owner', members.epoch, conditional)
            : tables.locks.ifVersion(id, fence, conditional)
        const flushed = flushOf(held)
        if (await held) {
          if (!(await written)) return 'other'
          await flushed
          return 'done'
        }
        // Others have come or gone meanwhile: it may still be held, and is to be asked in another way.
        if (members.state === state) {
          if (state === 'alone') members.lost()
          return 'fenced'
        }
      }
    } catch (error) {
      const reason = await reasonOf(error)
      if (isFull(reason)) return 'full'
      throw this.#failed('written', reason)
    }
  }

  /** For who has no lock of ours, or has it no more: nobody else may have it, or have written under a higher number. */
  async #writeUnlocked(
    id: string,
    fence: number,
    write: () => Promise<boolean>,
    expected: number | null,
  ): Promise<'done' | 'other' | 'fenced'> {
    const { tables, locks } = this.#open
    const { env, sessions } = tables
    const writing = env.transaction(() => {
      const version = sessions.getEntry(id)?.version
      if (locks.isFenced(id, fence) || (version ?? 0) > fence) return 'fenced'
      if ((version === undefined) !== (expected === null)) return 'other'
      void write()
      return 'done'
    })
    // Asked for now: later it may be that of other writes.
    const flushed = Promise.resolve(env.flushed)
    const outcome = await writing
    if (outcome === 'done') await flushed
    return outcome
  }

  #count(): void {
    const { entryCount } = this.#tables.times.getStats() as { entryCount: number }
    this.#room = this.#most - entryCount
  }

  get #open(): Opened {
    if (this.#opened === undefined) throw new XpsError('XPS_CLOSED', `${this.#folder}: the store is not open`)
    return this.#opened
  }

  get #tables(): LmdbTables {
    return this.#open.tables
  }

  #failed(what: string, error: unknown): XpsError {
    if (error instanceof XpsError) return error
    const reason = error instanceof Error ? error.message : String(error)
    return new XpsError('XPS_READ', `${this.#folder}: a session cannot be ${what}: ${reason}`, { cause: error })
  }
}

/** Whether the time that is noted is soon enough, and not much too soon: then it need not be written again. */
function isNear(expires: number, noted: number | undefined): boolean {
  if (noted === undefined || noted > expires) return false
  return noted === expires || expires - noted < Math.min((expires - Date.now()) / 16, 60_000)
}

/** When what was written in this transaction is on the disk. */
function flushOf(written: Promise<boolean>): Promise<boolean> {
  return (written as { flushed?: Promise<boolean> }).flushed ?? written
}

/** LMDB's number for a map that cannot grow, and the systems' for disks that are full. */
function isFull(error: unknown): boolean {
  const code = (error as { code?: unknown }).code
  return code === -30792 || code === 28 || code === 122 || systemCode(error) === 'ENOSPC'
}
