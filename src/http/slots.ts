/**
 * A place for a value of one type in every session or transaction: whoever has the slot has the value, and nobody
 * else can mistake it for theirs.
 *
 * ```ts
 * const user = new Slot<User>('user')
 * transaction.set(user, found)
 * transaction.get(user)        // User | undefined
 * ```
 */
export class Slot<T> {
  /** For logs; two slots of one name are two slots. */
  readonly name: string
  /** @internal Only there to tell slots of different types apart. */
  declare readonly type: T

  constructor(name: string) {
    this.name = name
  }
}

/** The values that one session or transaction has in slots. */
export class Slots {
  #values: Map<Slot<unknown>, unknown> | undefined

  get<T>(slot: Slot<T>): T | undefined {
    return this.#values?.get(slot as Slot<unknown>) as T | undefined
  }

  set<T>(slot: Slot<T>, value: T): void {
    this.#values ??= new Map()
    this.#values.set(slot as Slot<unknown>, value)
  }

  delete<T>(slot: Slot<T>): boolean {
    return this.#values?.delete(slot as Slot<unknown>) ?? false
  }
}
