import { type Stats, statSync } from 'node:fs'
import type { Stored } from '../container.ts'

/** What a session is reckoned to take in memory beside its bytes. */
const perSession = 512

/** What tells a file from what another program has made of it. */
export type FileState = Pick<Stats, 'ino' | 'size' | 'mtimeMs'>

interface Kept extends FileState {
  readonly stored: Stored
}

/**
 * Sessions as they lie in their files, by path, up to so many bytes; those that were not used for longest go first.
 *
 * Each is given out only while its file is the one that was read or written. That is asked without leaving the turn: of a
 * file that was used a moment ago the kernel knows it without a look at the disk.
 */
export class FileCache {
  readonly #most: number
  readonly #kept = new Map<string, Kept>()
  #bytes = 0

  constructor(most: number) {
    this.#most = most
  }

  /** The session in a file; undefined if it is not known. */
  get(path: string): Stored | undefined {
    const kept = this.#kept.get(path)
    if (kept === undefined) return undefined
    if (!isSame(kept, stateOf(path))) {
      this.delete(path)
      return undefined
    }
    // Behind the others again.
    this.#kept.delete(path)
    this.#kept.set(path, kept)
    return kept.stored
  }

  /** Whether there is such a file; undefined if nothing is known of it. */
  has(path: string): boolean | undefined {
    return this.#kept.has(path) ? stateOf(path) !== undefined : undefined
  }

  set(path: string, { ino, size, mtimeMs }: FileState, stored: Stored): void {
    this.delete(path)
    if (size + perSession > this.#most) return
    this.#kept.set(path, { ino, size, mtimeMs, stored })
    this.#bytes += size + perSession
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= this.#most) return
      this.delete(oldest)
    }
  }

  delete(path: string): void {
    const kept = this.#kept.get(path)
    if (kept === undefined) return
    this.#kept.delete(path)
    this.#bytes -= kept.size + perSession
  }

  clear(): void {
    this.#kept.clear()
    this.#bytes = 0
  }
}

function stateOf(path: string): FileState | undefined {
  return statSync(path, { throwIfNoEntry: false })
}

function isSame(one: FileState, other: FileState | undefined): boolean {
  return other !== undefined && one.ino === other.ino && one.size === other.size && one.mtimeMs === other.mtimeMs
}
