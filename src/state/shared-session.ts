import { integerOption } from '../options.ts'
import { type ByteString, toBytes, toText } from './codec/byte-string.ts'
import { readPhpArray, type StateData, type StateValue, writePhpArray } from './codec/php-serialize.ts'
import { lengthOf, sameValue, textOf } from './codec/values.ts'
import type { Awaitable, Changes, Stored } from './container.ts'
import { errorOf, faults, isFault, type StateFault } from './faults.ts'
import type { HeldLock } from './held-lock.ts'
import { longestLifetime } from './limits.ts'
import type { OpenMode, SessionKeeper } from './session-keeper.ts'

/**
 * A shared session that is open: a copy that only who opened it sees, until it is committed.
 *
 * With `'rw'` nobody else writes it meanwhile, unless its holder asks it for nothing for longer than the lease. Keys and
 * values are texts here; what is no UTF-8 is seen by {@link getBytes}. Every method throws an `XpsError` for what cannot
 * be done.
 */
export class SharedSession {
  /** @internal */
  readonly keeper: SessionKeeper
  #id: string
  #mode: OpenMode
  #lock: HeldLock | undefined
  #stored: Stored
  /** It was made and never committed: nobody has it yet. */
  #fresh: boolean
  /** Our own copy, once something was changed. */
  #own: StateData | undefined
  #size = 0
  #over = false
  #busy = false

  /** @internal Opened by `SharedSessions`. */
  constructor(keeper: SessionKeeper, id: string, stored: Stored, lock: HeldLock | undefined, fresh: boolean) {
    this.keeper = keeper
    this.#id = id
    this.#stored = stored
    this.#lock = lock
    this.#mode = lock === undefined ? 'r' : 'rw'
    this.#fresh = fresh
  }

  /** Its id; another one after {@link regenerateId}. */
  get id(): string {
    return this.#id
  }

  /** `'r'` also after a {@link commit}. */
  get mode(): OpenMode {
    return this.#mode
  }

  /** Closed, destroyed or given up: nothing can be done with it. */
  get over(): boolean {
    return this.#over
  }

  /** Something was put or removed that is not committed. */
  get changed(): boolean {
    return this.#own !== undefined
  }

  /** When it expires if nobody uses it from now on, in milliseconds since 1970; `Infinity` for never. */
  get expires(): number {
    return this.keeper.expiry(this.#stored)
  }

  // For people.

  /** The value of a key; undefined if there is none. Of an array it is what PHP's `serialize` makes of it. */
  get(key: string): string | undefined {
    const value = this.getBytes(toBytes(key))
    return value === undefined ? undefined : toText(value)
  }

  /** Puts a value; it is kept with the next {@link commit} or {@link close}. */
  put(key: string, value: string): void {
    this.putBytes(toBytes(key), toBytes(value))
  }

  exists(key: string): boolean {
    return this.#look().has(toBytes(key))
  }

  /** Removes a key; false if there is none. */
  remove(key: string): boolean {
    this.heard()
    const fault = this.removeKey(toBytes(key))
    if (fault === faults.noKey) return false
    check(fault)
    return true
  }

  /** The keys, in the order in which they were first put. */
  keys(): string[] {
    return [...this.#look().keys()].map(toText)
  }

  /** Keys and values. */
  entries(): [key: string, value: string][] {
    return [...this.#look()].map(([key, value]) => [toText(key), toText(textOf(value))])
  }

  /** The value of a key as bytes. */
  getBytes(key: ByteString): ByteString | undefined {
    const value = this.#look().get(key)
    return value === undefined ? undefined : textOf(value)
  }

  /** Puts a value as bytes. */
  putBytes(key: ByteString, value: ByteString): void {
    this.heard()
    check(this.set(key, value))
  }

  /** From the next commit on it may be unused for so long, in milliseconds; 0 for ever. */
  keepFor(idle: number): void {
    integerOption('idle', idle, 0, { min: 0, max: longestLifetime })
    this.heard()
    check(this.setLifetime(idle))
  }

  /** Writes it, and gives the right to write up; it stays open for reading. Durable when it resolves. */
  async commit(): Promise<void> {
    check(await this.finish(false))
  }

  /** Writes what was changed, and lets go of it. Durable when it resolves. */
  async close(): Promise<void> {
    check(await this.finish(true))
  }

  /** Removes it for all. */
  async destroy(): Promise<void> {
    check(await this.end())
  }

  /** Gives it another id, and returns that. What was committed is safe under it when it resolves. */
  async regenerateId(): Promise<string> {
    const outcome = await this.renew()
    if (isFault(outcome)) throw errorOf(outcome)
    return outcome
  }

  /** Lets go of it at once; what was not committed is forgotten. May be called at any time. */
  abandon(): void {
    if (this.#over) return
    this.#over = true
    // What is being written is written to the end under its lock.
    if (this.#busy) return
    this.keeper.forget(this)
    this.#lock?.release()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.abandon()
  }

  // For the server: bytes in, faults out, and no promise where none is needed.

  /** @internal */
  get data(): ReadonlyMap<ByteString, StateValue> {
    return this.#own ?? this.#stored.data
  }

  /** @internal */
  set(key: ByteString, value: StateValue): StateFault | undefined {
    if (this.#mode === 'r') return faults.store
    const refused = this.#refusal()
    if (refused !== undefined) return refused
    const { limits } = this.keeper
    const length = typeof value === 'string' ? value.length : value.serialized.length
    if (key.length > limits.keyLength) return faults.key
    if (length > limits.valueLength) return faults.value
    const data = this.#own ?? this.#copy()
    const before = data.get(key)
    if (before === undefined && data.size >= limits.keys) return faults.count
    const size = this.#size + length - (before === undefined ? -key.length : lengthOf(before))
    if (size > limits.size) return faults.size
    data.set(key, value)
    this.#size = size
    return undefined
  }

  /** @internal All of the entries or none; an undefined value removes a key. */
  setAll(entries: readonly (readonly [ByteString, StateValue | undefined])[]): StateFault | undefined {
    const [own, size] = [this.#own, this.#size]
    // On a copy, so that nothing has happened if one of them is refused.
    this.#copy()
    let fault: StateFault | undefined
    for (const [key, value] of entries) {
      fault = value === undefined ? this.removeKey(key) : this.set(key, value)
      if (fault === faults.noKey) fault = undefined
      if (fault === undefined) continue
      this.#own = own
      this.#size = size
      return fault
    }
    if (entries.length === 0) this.#own = own
    return this.#refusal()
  }

  /** @internal */
  removeKey(key: ByteString): StateFault | undefined {
    const before = this.data.get(key)
    if (this.#mode === 'r') return before === undefined ? faults.noKey : faults.readOnly
    const refused = this.#refusal()
    if (refused !== undefined) return refused
    if (before === undefined) return faults.noKey
    const data = this.#own ?? this.#copy()
    data.delete(key)
    this.#size -= key.length + lengthOf(before)
    return undefined
  }

  /** @internal Puts an array of PHP's in the place of all there is. */
  replace(serialized: ByteString): StateFault | undefined {
    if (this.#mode === 'r') return faults.readOnly
    const refused = this.#refusal()
    if (refused !== undefined) return refused
    const { limits } = this.keeper
    const array = readPhpArray(serialized)
    if (array === undefined || array.end !== serialized.length) return faults.notData
    if (array.data.size > limits.keys) return faults.count
    let size = 0
    for (const [key, value] of array.data) {
      const length = lengthOf(value)
      if (key.length > limits.keyLength) return faults.key
      if (length > limits.valueLength) return faults.value
      size += key.length + length
    }
    if (size > limits.size) return faults.size
    this.#own = array.data
    this.#size = size
    return undefined
  }

  /** @internal */
  serialize(): ByteString {
    return writePhpArray(this.data)
  }

  /** @internal */
  setLifetime(idle: number): StateFault | undefined {
    const refused = this.#refusal()
    if (refused !== undefined) return refused
    this.#own ??= this.#copy()
    this.#stored = { ...this.#stored, idle }
    return undefined
  }

  /** @internal Its holder has been heard of. */
  heard(): void {
    this.#lock?.renew()
  }

  /** @internal Commits, or closes. */
  finish(closing: boolean): Awaitable<StateFault | undefined> {
    if (this.#over) return faults.notOpen
    if (this.#mode === 'r') {
      if (!closing) return faults.commit
      this.#over = true
      return undefined
    }
    const lock = this.#lock as HeldLock
    if (this.#busy) return faults.failed
    if (lock.lost) {
      if (closing) this.abandon()
      return faults.lost
    }
    if (this.#own === undefined && !this.#fresh) {
      this.keeper.touch(this)
      this.#letGo(closing)
      return undefined
    }
    return this.#during(
      () => this.keeper.commit(this),
      (fault) => {
        if (fault === undefined) this.#letGo(closing)
        else if (fault === faults.lost) this.#over = true
        return fault
      },
    )
  }

  /** @internal Destroys it. */
  end(): Awaitable<StateFault | undefined> {
    if (this.#over) return faults.notOpen
    if (this.#mode === 'r') return faults.destroy
    const refused = this.#refusal()
    if (refused !== undefined) return refused
    return this.#during(
      () => this.keeper.destroy(this),
      (fault) => {
        if (fault === faults.lost) this.#over = true
        if (fault !== undefined) return fault
        this.#over = true
        this.#lock?.forsake(faults.open)
        return undefined
      },
    )
  }

  /** @internal Gives it another id. */
  renew(): Awaitable<string | StateFault> {
    if (this.#over) return faults.notOpen
    if (this.#mode === 'r') return faults.regenerate
    return (
      this.#refusal() ??
      this.#during(
        () => this.keeper.regenerate(this),
        (id) => id,
      )
    )
  }

  /** @internal What the keeper writes. */
  get stored(): Stored {
    return this.#stored
  }

  /** @internal */
  get fresh(): boolean {
    return this.#fresh
  }

  /** @internal */
  get lock(): HeldLock {
    return this.#lock as HeldLock
  }

  /** @internal The number of its lock; undefined if it is open for reading. */
  get fence(): number | undefined {
    return this.#lock?.fence
  }

  /** @internal What was changed since the last commit. All of it where what stayed is in another order now. */
  get changes(): Changes {
    const before = this.#stored.data
    if (!keepsOrder(before, this.data)) return { cleared: true, keys: this.data }
    const keys = new Map<ByteString, StateValue | undefined>()
    for (const [key, value] of this.data) if (!sameValue(before.get(key), value)) keys.set(key, value)
    for (const key of before.keys()) if (!this.data.has(key)) keys.set(key, undefined)
    return { cleared: false, keys }
  }

  /** @internal It is committed as this. */
  committed(stored: Stored): void {
    this.#stored = stored
    this.#own = undefined
    this.#fresh = false
  }

  /** @internal It is another one now, with a lock of its own. */
  renamed(id: string, stored: Stored, lock: HeldLock): void {
    this.#id = id
    this.#stored = stored
    this.#lock = lock
  }

  #letGo(closing: boolean): void {
    this.#mode = 'r'
    this.#over ||= closing
    this.#lock?.release()
    this.#lock = undefined
  }

  /** Keeps the lock while something is written, whoever waits for it and whatever happens to who holds it. */
  #during<T, R>(call: () => Awaitable<T>, next: (value: T) => R): Awaitable<R> {
    const lock = this.#lock as HeldLock
    this.#busy = true
    lock.pin()
    const done = (value: T): R => {
      lock.unpin()
      this.#busy = false
      const outcome = next(value)
      // It was abandoned meanwhile, or is over by this.
      if (this.#over) {
        this.keeper.forget(this)
        this.#lock?.release()
      }
      return outcome
    }
    const value = call()
    return value instanceof Promise ? value.then(done) : done(value)
  }

  #refusal(): StateFault | undefined {
    if (this.#over) return faults.notOpen
    if (this.#mode === 'r') return faults.readOnly
    if (this.#busy) return faults.failed
    return this.#lock?.lost === true ? faults.lost : undefined
  }

  #look(): ReadonlyMap<ByteString, StateValue> {
    if (this.#over) throw errorOf(faults.notOpen)
    this.heard()
    return this.data
  }

  #copy(): StateData {
    const own: StateData = new Map()
    let size = 0
    // One walk without an iterator: this is done for every session that is changed.
    this.data.forEach((value, key) => {
      own.set(key, value)
      size += key.length + lengthOf(value)
    })
    // Later copies keep the count, which is that of what was changed.
    if (this.#own === undefined) this.#size = size
    this.#own = own
    return own
  }
}

/** Whether what was there and stays comes first, in the order that it had. */
function keepsOrder(before: ReadonlyMap<ByteString, StateValue>, data: ReadonlyMap<ByteString, StateValue>): boolean {
  const stays = before.keys()
  for (const key of data.keys()) {
    let next = stays.next()
    while (next.done !== true && !data.has(next.value)) next = stays.next()
    // All that comes now is new, and was put behind the others.
    if (next.done === true) return true
    if (next.value !== key) return false
  }
  return true
}

function check(fault: StateFault | undefined): void {
  if (fault !== undefined) throw errorOf(fault)
}
