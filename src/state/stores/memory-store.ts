import { integerOption, knownOptions } from '../../options.ts'
import type { Commit, CommitResult, Container, Stored, Summary } from '../container.ts'

/** Options of a {@link MemoryStore}. */
export interface MemoryStoreOptions {
  /** How many shared sessions it takes. @default 100000 */
  maxSessions?: number
}

/** Keeps shared sessions in the memory of this process: for tests, and where a restart may forget them. */
export class MemoryStore implements Container {
  readonly name = 'memory'
  readonly #sessions = new Map<string, Stored>()
  readonly #most: number

  constructor(options: MemoryStoreOptions = {}) {
    knownOptions('memory store options', options, ['maxSessions'])
    this.#most = integerOption('maxSessions', options.maxSessions, 100_000, { min: 1, max: 2 ** 24 - 1 })
  }

  /** How many there are. */
  get size(): number {
    return this.#sessions.size
  }

  read(id: string): Stored | undefined {
    return this.#sessions.get(id)
  }

  commit(id: string, stored: Stored, { expect }: Commit): CommitResult {
    const there = this.#sessions.has(id)
    if (there !== (expect === 'present')) return there ? 'exists' : 'missing'
    if (!there && this.#sessions.size >= this.#most) return 'full'
    this.#sessions.set(id, stored)
    return 'done'
  }

  destroy(id: string): boolean {
    return this.#sessions.delete(id)
  }

  touch(id: string, expires: number): boolean {
    const stored = this.#sessions.get(id)
    if (stored === undefined) return false
    const { data, created, idle } = stored
    this.#sessions.set(id, { data, created, expires, idle })
    return true
  }

  *list(): IterableIterator<Summary> {
    for (const [id, { expires }] of this.#sessions) yield { id, expires }
  }
}
