import { XpsError } from '../errors.ts'
import { parsedValue } from '../state/faces/session-json.ts'

/**
 * How a request has its session: one that is not there yet, one that it may write, one that it only reads, one whose id
 * has been replaced meanwhile, or none because nobody can be asked for it.
 */
export type SessionAccess = 'new' | 'write' | 'read' | 'replaced' | 'unavailable'

/** What a request wants to become of its session. */
export interface SessionChanges {
  readonly put: readonly (readonly [key: string, json: string])[]
  readonly remove: readonly string[]
}

/** Who writes it. */
export interface SessionOwner {
  commit(): Promise<void>
}

/**
 * The session of one request. What is changed is written when the head of the response is about to be sent, all of it or
 * nothing.
 *
 * Values are what JSON can say. An object that was got and changed is written as if it had been set.
 */
export class CookieSession<Data extends object = Record<string, unknown>> {
  readonly #entries: ReadonlyMap<string, string>
  readonly #access: SessionAccess
  readonly #owner: SessionOwner
  /** What was set, and objects that were got: they may have been changed. */
  readonly #values = new Map<string, unknown>()
  /** The JSON of objects as they were got: that of others may have been spelled otherwise. */
  readonly #asGot = new Map<string, string>()
  readonly #gone = new Set<string>()
  #rotates = false
  #destroyed = false
  #over = false

  /** @internal */
  constructor(entries: ReadonlyMap<string, string>, access: SessionAccess, owner: SessionOwner) {
    this.#entries = entries
    this.#access = access
    this.#owner = owner
  }

  /** Nobody has stored it yet; it will be if something is set. */
  get isNew(): boolean {
    return this.#access === 'new'
  }

  /** False if the store cannot be asked and the request goes on nevertheless: there is nothing in it, and it is not kept. */
  get available(): boolean {
    return this.#access !== 'unavailable'
  }

  /** It can be changed: the request is not one that only reads, and the head of its response has not been sent. */
  get writable(): boolean {
    return !this.#over && this.#access !== 'read'
  }

  /** The value of a key; undefined if there is none. */
  get<K extends keyof Data & string>(key: K): Data[K] | undefined {
    return this.#get(key) as Data[K] | undefined
  }

  /** Whether a key has a value. */
  has(key: keyof Data & string): boolean {
    return this.#get(key) !== undefined
  }

  /** Gives a key a value; undefined removes it. Throws `XPS_FORBIDDEN` if the request only reads, `XPS_CLOSED` if it is too late. */
  set<K extends keyof Data & string>(key: K, value: Data[K]): this {
    this.#change()
    this.#asGot.delete(key)
    this.#gone.delete(key)
    this.#values.set(key, value)
    return this
  }

  /** Removes a key; false if there is none. */
  delete(key: keyof Data & string): boolean {
    this.#change()
    const had = this.#get(key) !== undefined
    this.#values.delete(key)
    if (this.#entries.has(key)) this.#gone.add(key)
    return had
  }

  /** Removes all keys. The session and its id stay; see {@link destroy}. */
  clear(): void {
    this.#change()
    this.#values.clear()
    for (const key of this.#entries.keys()) this.#gone.add(key)
  }

  /** The keys that have a value. */
  keys(): (keyof Data & string)[] {
    const all = new Set([...this.#entries.keys(), ...this.#values.keys()])
    return [...all].filter((key) => this.#get(key) !== undefined) as (keyof Data & string)[]
  }

  /** All of it, as an object that nobody writes back. */
  toObject(): Partial<Data> {
    const object: Record<string, unknown> = {}
    for (const key of this.keys()) if (key !== '__proto__') object[key] = structuredClone(this.#get(key))
    return object as Partial<Data>
  }

  /**
   * Gives it another id, when it is written: for each login, and whenever somebody gets more rights, so that an id which
   * somebody else has given the browser is worth nothing.
   */
  rotate(): void {
    this.#change()
    this.#rotates = true
  }

  /** Removes it for all, and the cookie from the browser, when the head of the response is about to be sent: for a logout. */
  destroy(): void {
    this.#change()
    this.#destroyed = true
  }

  /**
   * Writes it now, and lets the next request have it; it can be read, but not changed, from then on. Rejects with what would
   * have failed the request.
   */
  commit(): Promise<void> {
    return this.#owner.commit()
  }

  /** @internal What it was found with. */
  get entries(): ReadonlyMap<string, string> {
    return this.#entries
  }

  /** @internal */
  get access(): SessionAccess {
    return this.#access
  }

  /** @internal */
  get rotates(): boolean {
    return this.#rotates
  }

  /** @internal */
  get destroyed(): boolean {
    return this.#destroyed
  }

  /** @internal Nothing can be changed any more. */
  end(): void {
    this.#over = true
  }

  /** @internal What is another than it was. */
  changes(): SessionChanges {
    const put: [string, string][] = []
    const remove = [...this.#gone]
    for (const [key, value] of this.#values) {
      const json = JSON.stringify(value) as string | undefined
      const before = this.#asGot.get(key) ?? this.#entries.get(key)
      if (json === undefined) {
        if (before !== undefined) remove.push(key)
      } else if (json !== before) put.push([key, json])
    }
    return { put, remove }
  }

  #get(key: string): unknown {
    if (this.#values.has(key)) return this.#values.get(key)
    const json = this.#gone.has(key) ? undefined : this.#entries.get(key)
    if (json === undefined) return undefined
    const value = parsedValue(json)
    if (typeof value === 'object' && value !== null) {
      this.#values.set(key, value)
      this.#asGot.set(key, JSON.stringify(value))
    }
    return value
  }

  #change(): void {
    if (this.#over) {
      throw new XpsError('XPS_CLOSED', 'the session has been written: the head of the response was sent', {
        status: 500,
      })
    }
    if (this.#access === 'read') {
      throw new XpsError('XPS_FORBIDDEN', 'the request only reads its session', { status: 500 })
    }
  }
}
