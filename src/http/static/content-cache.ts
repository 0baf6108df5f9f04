import type { Resource } from './resource.ts'

/** Where a path was last found to lead. */
export interface CachedPath {
  readonly resource: Resource
  /** It leads to nothing, and that is what is sent instead. */
  readonly fallback: boolean
  /** When the disk was looked at, by the clock. */
  readonly checkedAt: number
  /** It was asked for since the cache last looked for something to drop. */
  used: boolean
}

// What a path takes besides its text, more or less.
const pathOverhead = 256

/**
 * What paths lead to, with the contents of small files, in bounded memory.
 *
 * Several paths may lead to one file, whose contents are kept as long as one of them is. When there is too much, paths
 * are dropped, oldest first; one that was used since it was last considered is put last instead (second chance), so
 * that to use one costs no more than to say so.
 */
export class ContentCache {
  readonly maxBytes: number
  readonly #paths = new Map<string, CachedPath>()
  readonly #resources = new Map<string, Resource>()
  #bytes = 0

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  /** The memory that it takes, in bytes; never more than {@link maxBytes}. */
  get bytes(): number {
    return this.#bytes
  }

  /** How many paths it knows. */
  get size(): number {
    return this.#paths.size
  }

  get(path: string): CachedPath | undefined {
    return this.#paths.get(path)
  }

  /** What is known of a file, by whichever path. */
  resource(file: string): Resource | undefined {
    return this.#resources.get(file)
  }

  put(path: string, entry: CachedPath): void {
    const { resource } = entry
    // First this one: what both lead to must not be dropped in between.
    resource.references++
    this.#resources.set(resource.file, resource)
    this.delete(path)
    this.#paths.set(path, entry)
    this.#bytes += pathOverhead + path.length
    this.recount(resource)
  }

  delete(path: string): void {
    const entry = this.#paths.get(path)
    if (entry === undefined) return
    this.#paths.delete(path)
    this.#bytes -= pathOverhead + path.length
    const { resource } = entry
    resource.references--
    if (resource.references > 0) return
    this.#bytes -= resource.counted
    resource.counted = 0
    if (this.#resources.get(resource.file) === resource) this.#resources.delete(resource.file)
  }

  /** The contents of a resource have come or gone. */
  recount(resource: Resource): void {
    // Nobody leads to it any more: it goes with the request that still uses it.
    if (resource.references === 0) return
    const { bytes } = resource
    this.#bytes += bytes - resource.counted
    resource.counted = bytes
    this.#shrink()
  }

  clear(): void {
    for (const path of [...this.#paths.keys()]) this.delete(path)
  }

  #shrink(): void {
    while (this.#bytes > this.maxBytes) {
      const [oldest] = this.#paths
      if (oldest === undefined) return
      const [path, entry] = oldest
      if (entry.used) {
        entry.used = false
        this.#paths.delete(path)
        this.#paths.set(path, entry)
      } else {
        this.delete(path)
      }
    }
  }
}
