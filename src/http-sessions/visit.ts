import type { Alarm } from '../clock.ts'
import { isXpsError, XpsError } from '../errors.ts'
import { CookieSession, type SessionAccess, type SessionChanges } from './cookie-session.ts'
import { isBusy, isDown, unavailable } from './faults.ts'
import type { Rules } from './rules.ts'
import type { Claim, Taken } from './session-cookie.ts'
import type { LockedSession } from './source.ts'

/**
 * What one request has of its session, from its cookie to the cookie that it is answered with.
 *
 * ```
 *   cookie ──► open: locked ──► changed ──► commit ──► cookie, and the lock is free     before the head is sent
 *                │  or read                    │
 *                └─────────────────────────────┴─► roll back: nothing has happened      at the end at the latest
 * ```
 */
export class Visit<Data extends object> {
  readonly #rules: Rules
  readonly #claim: Claim | undefined
  /** Who asked for a session that it may write, and who was content to read it. */
  #opening: Promise<CookieSession<Data>> | undefined
  #reading: Promise<CookieSession<Data>> | undefined
  #session: CookieSession<Data> | undefined
  #locked: LockedSession | undefined
  #alarm: Alarm | undefined
  /** It had the session alone for too long. */
  #lost = false
  #over = false
  #committing: Promise<void> | undefined
  /** The cookie that the client is to be given, with and without `Secure`. */
  #cookie: ((secure: boolean) => string) | undefined

  constructor(rules: Rules, taken: Taken) {
    this.#rules = rules
    this.#claim = taken === 'forged' ? undefined : taken
    if (taken === 'forged') rules.counts.forged++
  }

  /** There is, or may be, a session: the client has named one, or somebody has asked for one. */
  get known(): boolean {
    return this.#claim !== undefined || this.#opening !== undefined
  }

  /** Somebody has asked for it, not only to look at it. */
  get asked(): boolean {
    return this.#opening !== undefined
  }

  /** It is followed to the end of the request. */
  get opened(): boolean {
    return this.#opening !== undefined || this.#reading !== undefined
  }

  /** The session, to be changed unless the request only reads. */
  open(readOnly: boolean): Promise<CookieSession<Data>> {
    this.#opening ??= this.#open(readOnly, true)
    return this.#opening
  }

  /** The session as it is, without waiting for anybody who has it. */
  look(): Promise<CookieSession<Data>> {
    if (this.#opening !== undefined) return this.#opening
    this.#reading ??= this.#open(true, false)
    return this.#reading
  }

  /**
   * The head is about to be sent: writes what was changed. `failed` says that nothing is to be written. Returns the cookie
   * for the client, if it is to be given one.
   */
  async conclude(failed: boolean): Promise<((secure: boolean) => string) | undefined> {
    if (failed && (this.#rules.onFailure === 'rollback' || this.#committing !== undefined)) {
      this.rollBack()
      await this.#committing?.then(undefined, () => {})
    } else await this.commit()
    return this.#cookie
  }

  /** Writes what was changed, once. Rejects with what the client is told of. */
  commit(): Promise<void> {
    if (this.#committing === undefined) {
      this.#committing = this.#commit()
      // It is heard when the head is about to be sent, whether or not who has asked for it listens.
      this.#committing.catch(() => {})
    }
    return this.#committing
  }

  /** Forgets what was changed, and lets the next one have the session. */
  rollBack(): void {
    const session = this.#session
    if (this.#over || this.#committing !== undefined) return
    this.#over = true
    session?.end()
    if (session !== undefined && isChanged(session, changesOf(session))) this.#rules.counts.rolledBack++
    this.#letGo()
  }

  /** The request is over. */
  end(): Promise<void> | undefined {
    if (this.#rules.onFailure === 'commit' && this.#session !== undefined && !this.#over) {
      // Nobody is there to be told.
      return this.commit().then(undefined, () => this.rollBack())
    }
    this.rollBack()
    return undefined
  }

  async #open(readOnly: boolean, asked: boolean): Promise<CookieSession<Data>> {
    const { counts, cookie, seconds } = this.#rules
    const claim = this.#claim
    counts.opened++
    if (claim === undefined || cookie.expired(claim, seconds())) return this.#made(none, 'new', asked)
    try {
      return await this.#find(claim.id, readOnly, asked)
    } catch (error) {
      if (this.#over || this.#rules.whenDown === 'refuse' || isBusy(error)) throw unavailable(error, this.#rules)
      counts.unavailable++
      return this.#made(none, 'unavailable', asked)
    }
  }

  async #find(id: string, readOnly: boolean, asked: boolean): Promise<CookieSession<Data>> {
    const { source, counts, locking, wait, retired } = this.#rules
    const late: SessionAccess = readOnly ? 'read' : 'replaced'
    let before = retired.entries(id)
    if (before !== undefined) {
      // Another process may have ended it meanwhile; while it gets its id, it is there.
      const now = retired.successor(id)
      const there = now === undefined || (await source.read(now)) !== undefined
      // What is not there may have got yet another id since it was looked for.
      if (there || retired.entries(now) !== undefined) return this.#made(before, late, asked)
      retired.destroyed(now)
    }
    if (locking && !readOnly) {
      const locked = await unlessMissing(source.openSession(id, wait))
      if (locked !== undefined) return this.#hold(locked)
    } else {
      const snapshot = await source.read(id)
      if (snapshot !== undefined) return this.#made(snapshot.entries, readOnly ? 'read' : 'write', asked)
    }
    // It may have got another id while this request waited: here, or by another process whose store lets it be read still.
    before = retired.entries(id) ?? (locking && !readOnly ? (await source.read(id))?.entries : undefined)
    if (before !== undefined) return this.#made(before, late, asked)
    counts.unknown++
    // An id that we have not given for a session that is there is nobody's: another is made if something is stored.
    return this.#made(none, 'new', asked)
  }

  async #hold(locked: LockedSession): Promise<CookieSession<Data>> {
    const { clock, holdTimeout } = this.#rules
    try {
      this.#mustGoOn()
      const entries = new Map(await locked.entries())
      this.#mustGoOn()
      this.#locked = locked
      this.#alarm = clock.after(holdTimeout, () => {
        this.#lost = true
        this.#letGo()
      })
      return this.#made(entries, 'write', true)
    } catch (error) {
      locked.abandon()
      throw error
    }
  }

  /** `asked`: not only to look at it. */
  #made(entries: ReadonlyMap<string, string>, access: SessionAccess, asked: boolean): CookieSession<Data> {
    this.#mustGoOn()
    const session = new CookieSession<Data>(entries, access, this)
    if (asked) this.#session = session
    return session
  }

  #mustGoOn(): void {
    if (this.#over) throw new XpsError('XPS_CLOSED', 'the request was over before it had its session')
  }

  async #commit(): Promise<void> {
    const session = this.#session
    if (session === undefined) {
      // The head is sent: who still waits for the session, or asks for it from now on, does not get it any more.
      this.#over = true
      if (this.#opening === undefined && this.#reading !== undefined) await this.#renew()
      return
    }
    session.end()
    try {
      await this.#write(session, session.changes())
      if (session.access === 'write' || session.access === 'read') await this.#renew()
    } catch (error) {
      const { counts, whenDown } = this.#rules
      // Who is told that he is logged out must be.
      const told = session.destroyed || session.rotates
      if (whenDown === 'refuse' || told || isBusy(error) || !isDown(error)) throw unavailable(error, this.#rules)
      counts.unavailable++
    } finally {
      this.#over = true
      this.#letGo()
    }
  }

  async #write(session: CookieSession<Data>, changes: SessionChanges): Promise<void> {
    const { counts, source, cookie, rotateOn, wait } = this.#rules
    if (session.access === 'new') return session.destroyed ? undefined : this.#create(changes)
    if (!isChanged(session, changes)) return
    const { id } = this.#claim as Claim
    // A logout is one under the id before, too. All else that is changed under that is dropped.
    if (session.access !== 'write' && !session.destroyed) {
      counts.dropped++
      return
    }
    if (this.#lost) throw new XpsError('XPS_LOCK_LOST', 'the request has held its session for too long')
    if (session.destroyed) {
      await this.#destroy(id)
      counts.destroyed++
      this.#cookie = (secure) => cookie.remove(secure)
      return
    }
    const rotates =
      session.rotates || [...changes.put.map(([key]) => key), ...changes.remove].some((key) => rotateOn.has(key))
    if (rotates || this.#locked !== undefined)
      await this.#writeLocked(id, changes, rotates ? session.entries : undefined)
    else if ((await unlessMissing(source.patch(id, { ...changes, ...wait }))) === undefined) counts.dropped++
    else counts.committed++
  }

  /** Whoever is told that he is logged out must be, whatever id the session has by now. */
  async #destroy(named: string): Promise<void> {
    const { source, wait, retired } = this.#rules
    let id = this.#locked === undefined ? await retired.current(named) : named
    if (this.#locked !== undefined) await this.#locked.destroy()
    else {
      while (!(await source.destroySession(id, wait))) {
        const tried = id
        id = await retired.current(named)
        if (id !== tried) continue
        // Gone already; unless it can still be read, as what another process has replaced.
        if ((await source.read(named)) === undefined) break
        throw new XpsError('XPS_BUSY', 'the session has just got another id')
      }
    }
    retired.destroyed(id)
  }

  async #create({ put }: SessionChanges): Promise<void> {
    const { counts, source, cookie, seconds, idle } = this.#rules
    if (put.length === 0) return
    const made = await source.createSession()
    try {
      await Promise.all([
        ...put.map(([key, json]) => made.put(key, json)),
        idle === undefined ? undefined : made.keepFor(idle),
      ])
      await made.close()
    } finally {
      made.abandon()
    }
    counts.created++
    const now = seconds()
    this.#cookie = (secure) => cookie.give(made.id, now, now, secure)
  }

  /** Under the lock, which who has merged until now must get first. `before`: it gets another id, and had this in it. */
  async #writeLocked(
    id: string,
    { put, remove }: SessionChanges,
    before: ReadonlyMap<string, string> | undefined,
  ): Promise<void> {
    const { counts, source, cookie, seconds, wait, retired } = this.#rules
    const { created } = this.#claim as Claim
    const locked = this.#locked ?? (await unlessMissing(source.openSession(id, wait)))
    if (locked === undefined) {
      // Destroyed, or given another id, while this request was under way: and it stays so.
      counts.dropped++
      return
    }
    try {
      await Promise.all([
        ...put.map(([key, json]) => locked.put(key, json)),
        ...remove.map((key) => locked.remove(key)),
      ])
      if (before !== undefined) {
        // What this request writes comes under the new id only: nobody reads it by the old one.
        const replaced = retired.replacing(id, before)
        let renewed: string | undefined
        try {
          renewed = await locked.regenerateId()
        } finally {
          replaced(renewed)
        }
        const given = renewed
        counts.rotated++
        const now = seconds()
        this.#cookie = (secure) => cookie.give(given, created, now, secure)
      }
      await locked.close()
      counts.committed++
    } finally {
      locked.abandon()
    }
  }

  /** Gives the client its cookie anew, if it is time and the session has still this id. */
  async #renew(): Promise<void> {
    const { source, cookie, rolling, seconds, retired } = this.#rules
    const claim = this.#claim
    const now = seconds()
    if (this.#cookie !== undefined || claim === undefined || !cookie.isDue(claim, now, rolling)) return
    // An id that was replaced can still be read; only who writes can know. An old cookie would undo somebody's login.
    if (retired.entries(claim.id) !== undefined) return
    if (this.#locked === undefined) {
      try {
        await source.patch(claim.id, { lockTimeout: 0 })
      } catch {
        return
      }
    }
    this.#cookie = (secure) => cookie.give(claim.id, claim.created, now, secure)
  }

  #letGo(): void {
    this.#alarm?.cancel()
    const locked = this.#locked
    this.#alarm = this.#locked = undefined
    locked?.abandon()
  }
}

type Changed = Pick<CookieSession, 'changes' | 'destroyed' | 'rotates'>

const none: ReadonlyMap<string, string> = new Map()

/** What was changed; nothing if that cannot be said. */
function changesOf(session: Changed): SessionChanges {
  try {
    return session.changes()
  } catch {
    return { put: [], remove: [] }
  }
}

function isChanged(session: Changed, { put, remove }: SessionChanges): boolean {
  return session.destroyed || session.rotates || put.length > 0 || remove.length > 0
}

async function unlessMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (isXpsError(error, 'XPS_NOT_FOUND')) return undefined
    throw error
  }
}
