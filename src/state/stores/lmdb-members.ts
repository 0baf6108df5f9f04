import { randomBytes } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { type Alarm, systemClock } from '../../clock.ts'
import type { LmdbTables, MemberRecord } from './lmdb-tables.ts'

/** How often a process looks whether another one has come, in milliseconds. */
const lookInterval = 100
/** How often one that has come looks whether the other has noticed, in milliseconds. */
const joinInterval = 10
/** So many fences a process that is alone may give until it is heard of again. */
const reserve = 1_000_000_000

/** The members of this process, which may open a folder more than once. */
const here = new Set<string>()

/** Who must know when it is not alone any more, or was taken for gone. Called within a transaction. */
export interface MemberOwner {
  /** The locks of this process are to be seen by others from now on. */
  record(): void
  /** The locks of this process that are recorded, and still its own, stay; all other records are to go. */
  purge(): void
  /** The locks of this process are void: another one has had the folder meanwhile. */
  forget(): void
  /** What a timer started has failed; it is tried again. */
  failed(error: unknown): void
  /** Called with every look. */
  looked(): void
}

/**
 * Which processes use a folder, and whether this one has it for itself.
 *
 * ```
 *   out ──► joining ──► alone ◄──► shared
 *              ▲          │           │
 *              └──────────┴───────────┘  silent for too long, and taken for gone by another
 * ```
 *
 * One that is alone keeps its locks in memory, and every write asks within its transaction whether it still is. A second
 * one says that it has come and waits; the first sees it, writes its locks down, and from then on both lock by records.
 * LMDB has no wake-up between processes, so they look: a read of a record ten times a second.
 *
 * A process is gone when the kernel says so (LMDB's table of readers, which holds a lock for each process that lives),
 * or when nothing was heard of it for `processTimeout`.
 */
export class LmdbMembers {
  readonly token: string = randomBytes(8).toString('hex')
  state: 'out' | 'joining' | 'alone' | 'shared' = 'out'
  /** The version of the owner's record that says it is this process. */
  epoch = 0
  /** The highest number that a lock of this process has had. */
  fence = 0
  readonly #tables: LmdbTables
  readonly #owner: MemberOwner
  readonly #timeout: number
  #attending: Promise<void> | undefined
  #joining: Promise<void> | undefined
  #alarm: Alarm | undefined
  #due = 0

  constructor(tables: LmdbTables, owner: MemberOwner, timeout: number) {
    this.#tables = tables
    this.#owner = owner
    this.#timeout = timeout
  }

  /** Comes in; resolves when this process may lock. */
  async open(): Promise<void> {
    here.add(this.token)
    // Gives this process its place in the table of readers, by which others know that it lives.
    this.#tables.meta.get('owner')
    await this.join()
    this.#watch()
  }

  /** Goes. Others need not wait until it is missed. */
  async close(): Promise<void> {
    this.#alarm?.cancel()
    await this.#attending?.catch(() => {})
    this.state = 'out'
    const { env, members, meta } = this.#tables
    await env.transaction(() => {
      members.removeSync(this.token)
      if (meta.get('owner') !== this.token) return
      meta.putSync('fence', this.fence, 0)
      meta.removeSync('owner')
    })
    here.delete(this.token)
  }

  /** Waits until this process is alone or one of several; at once where it is. */
  join(): Promise<void> {
    this.#joining ??= this.#join().finally(() => {
      this.#joining = undefined
    })
    return this.#joining
  }

  /** A write has found that this process is not what it took itself for. */
  lost(): void {
    if (this.state === 'out') return
    this.state = 'joining'
    this.#owner.forget()
    this.join().catch((error: unknown) => this.#owner.failed(error))
  }

  async #join(): Promise<void> {
    for (let looks = 0; this.state !== 'alone' && this.state !== 'shared'; looks++) {
      // Now and then it looks whether the owner lives.
      if (looks % 20 === 0) await this.#attend()
      else await setTimeout(joinInterval)
      const { env, meta } = this.#tables
      env.resetReadTxn()
      if (this.state === 'joining' && meta.get('owner') === undefined) await this.#attend()
    }
  }

  #watch(): void {
    this.#alarm = systemClock.after(lookInterval, () => {
      this.#look()
        .catch((error: unknown) => this.#owner.failed(error))
        .finally(() => {
          if (this.state !== 'out') this.#watch()
        })
    })
  }

  async #look(): Promise<void> {
    const { env, members } = this.#tables
    env.resetReadTxn()
    this.#owner.looked()
    const changed = this.state === 'alone' ? members.getKeysCount({ limit: 2 }) > 1 : this.#census().gone.length > 0
    if (changed || systemClock.now() >= this.#due || !members.doesExist(this.token)) await this.#attend()
  }

  /** Says that this process lives, looks who else does, and agrees with them on who has what. */
  #attend(): Promise<void> {
    this.#attending ??= this.#tables.env
      .transaction(() => this.#agree())
      .finally(() => {
        this.#attending = undefined
      })
    return this.#attending
  }

  #agree(): void {
    const { meta, members } = this.#tables
    this.#due = systemClock.now() + this.#timeout / 4
    const { others, gone } = this.#census()
    for (const token of gone) members.removeSync(token)
    members.putSync(this.token, { pid: process.pid, until: Date.now() + this.#timeout })
    const owner = meta.get('owner')
    if (owner === this.token) {
      meta.putSync('fence', this.fence + (others.size === 0 ? reserve : 0), 0)
      if (others.size === 0) return
      this.#owner.record()
      meta.removeSync('owner')
      this.state = 'shared'
      return
    }
    const isOwned = typeof owner === 'string' && others.has(owner)
    if (this.state === 'alone' || isOwned) this.#owner.forget()
    if (isOwned) {
      this.state = 'joining'
    } else if (others.size > 0) {
      if (owner !== undefined) meta.removeSync('owner')
      this.state = 'shared'
    } else {
      this.fence = Math.max(this.fence, numberOf(meta.get('fence')))
      this.epoch = numberOf(meta.get('epoch')) + 1
      meta.putSync('epoch', this.epoch, 0)
      meta.putSync('fence', this.fence + reserve, 0)
      meta.putSync('owner', this.token, this.epoch)
      this.#owner.purge()
      this.state = 'alone'
    }
  }

  /** The tokens of the others that live, and of those that do not any more. */
  #census(): { others: Set<string>; gone: string[] } {
    const { env, members } = this.#tables
    // In this order: who is a member has its place in the table of readers already.
    const all = [...members.getRange()]
    env.readerCheck()
    const pids = new Set(Array.from(env.readerList().matchAll(/^\s*(\d+) /gm), ([, pid]) => Number(pid)))
    const others = new Set<string>()
    const gone: string[] = []
    for (const { key, value } of all) {
      if (key === this.token) continue
      if (lives(key, value, pids)) others.add(key)
      else gone.push(key)
    }
    return { others, gone }
  }
}

function lives(token: string, { pid, until }: MemberRecord, pids: ReadonlySet<number>): boolean {
  if (until < Date.now()) return false
  // After a crash a program may get the number that it had before, as the first of a container always does.
  return pid === process.pid ? here.has(token) : pids.has(pid)
}

function numberOf(value: string | number | undefined): number {
  return typeof value === 'number' ? value : 0
}
