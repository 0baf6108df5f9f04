import { statfs } from 'node:fs/promises'
import { constants } from 'node:os'
import { XpsError } from '../../errors.ts'
import { durationOption, integerOption, invalidOption, knownOptions } from '../../options.ts'
import type { Awaitable, Commit, CommitResult, Container, ContainerLock, Stored, Summary } from '../container.ts'
import { LmdbLocks } from './lmdb-locks.ts'
import { LmdbMembers } from './lmdb-members.ts'
import { decodeStored, decodeTime, encodeStored, encodeTime, isRetired } from './lmdb-record.ts'
import { type LmdbTables, openTables, reasonOf } from './lmdb-tables.ts'
import { LmdbWrites, type Written } from './lmdb-writes.ts'

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

/** LMDB's number for a map that cannot grow. */
const mapFull = 30_792
/** So many sessions are listed from one view of the folder. */
const perPage = 200

/** What is open between {@link LmdbStore.open} and {@link LmdbStore.close}. */
interface Opened {
  readonly tables: LmdbTables
  readonly members: LmdbMembers
  readonly locks: LmdbLocks
  readonly writes: LmdbWrites
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
    this.#opened = { tables, members, locks, writes: new LmdbWrites(tables, members, locks) }
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

  commit(id: string, stored: Stored, { expect, fence }: Commit): Promise<CommitResult> {
    const opened = this.#opened
    if (opened !== undefined && expect === 'present' && isNear(stored.expires, opened.locks.notedOf(id, fence))) {
      // It was read under this lock: as long as that is held, it is there. Most commits are such, so that this is no
      // async function: each would cost some promises more.
      const { sessions, exists } = opened.tables
      const value = encodeStored(stored)
      const put = (): undefined => void sessions.put(id, value, fence)
      return opened.writes.write(id, fence, put, exists).then(presentResult, (error) => this.#notWritten(error))
    }
    return this.#commitBoth(id, stored, expect, fence).catch((error: unknown) => this.#notWritten(error))
  }

  /** The session, and when it expires. */
  async #commitBoth(id: string, stored: Stored, expect: Commit['expect'], fence: number): Promise<CommitResult> {
    const { tables, locks, writes } = this.#open
    const { sessions, times, exists } = tables
    const { expires } = stored
    const value = encodeStored(stored)
    if (expect === 'absent' && this.#room <= 0) return 'full'
    const expected = expect === 'absent' ? null : exists
    const both = (): void => {
      void sessions.put(id, value, fence)
      void times.put(id, encodeTime(expires), fence)
    }
    const outcome = await writes.write(id, fence, () => sessions.ifVersion(id, expected as number, both), expected)
    if (outcome === 'done') locks.note(id, expires)
    if (outcome === 'done' && expect === 'absent') this.#room--
    return outcome === 'other' && expect === 'absent' ? 'exists' : presentResult(outcome)
  }

  async #notWritten(error: unknown): Promise<CommitResult> {
    const reason = await reasonOf(error)
    if (await isFull(reason, this.#folder)) return 'full'
    throw this.#failed('written', reason)
  }

  async destroy(id: string, fence: number): Promise<boolean | 'fenced'> {
    const { tables, locks, writes } = this.#open
    const { sessions, times, exists } = tables
    locks.note(id, undefined)
    const both = (): void => {
      void sessions.remove(id)
      void times.remove(id)
    }
    const outcome = await writes
      .write(id, fence, () => sessions.ifVersion(id, exists, both), exists)
      .catch(async (error: unknown) => {
        throw this.#failed('removed', await reasonOf(error))
      })
    return outcome === 'fenced' ? outcome : outcome === 'done'
  }

  async touch(id: string, expires: number, fence?: number): Promise<boolean | 'fenced'> {
    const { tables, locks, writes } = this.#open
    const { env, sessions, times, exists } = tables
    try {
      for (;;) {
        env.resetReadTxn()
        const bytes = sessions.getBinaryFast(id)
        if (bytes === undefined || (fence === undefined && isRetired(bytes))) return false
        const version = tables.lastVersion()
        // Whoever commits meanwhile has used it too, but one who has destroyed it must win.
        const put = (): void => void times.put(id, encodeTime(expires), version)
        locks.note(id, expires)
        const change = (): Promise<boolean> => sessions.ifVersion(id, version, put)
        const outcome = fence === undefined ? await change() : await writes.write(id, fence, change, exists)
        if (outcome === 'fenced') return outcome
        if (outcome === true || outcome === 'done') return true
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

/** The result of a commit of what was to be there. */
function presentResult(outcome: Written): CommitResult {
  return outcome === 'other' ? 'missing' : outcome
}

/** Whether the time that is noted is soon enough, and not much too soon: then it need not be written again. */
function isNear(expires: number, noted: number | undefined): boolean {
  if (noted === undefined || noted > expires) return false
  return noted === expires || expires - noted < Math.min((expires - Date.now()) / 16, 60_000)
}

/** Whether a write failed for want of room: LMDB takes what a full disk has left for an error of its own (EIO). */
async function isFull(error: unknown, folder: string): Promise<boolean> {
  const code = Math.abs(Number((error as { code?: unknown }).code))
  if (code === constants.errno.ENOSPC || code === constants.errno.EDQUOT || code === mapFull) return true
  if (code !== constants.errno.EIO) return false
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize < 64 * 1024 ** 2
}
