import type { Stats } from 'node:fs'
import { codings, suffixes } from './codings.ts'
import { compressedCodings, isCompressible } from './compression.ts'
import { type CachedPath, ContentCache } from './content-cache.ts'
import { contentType } from './content-types.ts'
import { type Disk, type FileState, stateOf } from './disk.ts'
import { forbidden, notFound } from './faults.ts'
import { Representation, type RepresentationInit } from './representation.ts'
import type { RequestPath } from './request-path.ts'
import { Resource } from './resource.ts'
import type { StaticSettings } from './static-options.ts'

/** Where a path leads: to a file, or to a folder that has to be answered in another way. */
export type Found = CachedPath | 'redirect' | 'listing'

/**
 * Finds out where paths lead and what is there, and remembers it for a while.
 *
 * What it remembers carries the time before the disk was asked. Who asks while the disk is being asked gets the same
 * answer, unless that is too old already.
 */
export class FileFinder {
  readonly #disk: Disk
  readonly #settings: StaticSettings
  readonly #freshFor: number
  #cache: ContentCache | undefined
  readonly #searches: Flights<Found>
  readonly #looks: Flights<Resource>

  constructor(disk: Disk, settings: StaticSettings) {
    const { cache } = settings
    this.#disk = disk
    this.#settings = settings
    this.#freshFor = cache?.freshFor ?? 0
    this.#cache = cache === undefined ? undefined : new ContentCache(cache.maxBytes)
    // A search may join a look, and a request that search: together they are not older than allowed.
    this.#searches = new Flights(this.#freshFor / 2)
    this.#looks = new Flights(this.#freshFor / 2)
  }

  get cache(): ContentCache | undefined {
    return this.#cache
  }

  /** What is known of a path and still fresh. `raw` is the path as it came: nothing has to be decoded for it. */
  fresh(raw: string): CachedPath | undefined {
    const known = this.#cache?.get(raw)
    if (known === undefined || this.#settings.clock.now() - known.checkedAt >= this.#freshFor) return undefined
    known.used = true
    return known
  }

  /** Looks where a path leads. Rejects with `XPS_NOT_FOUND` and other faults. */
  find(raw: string, path: RequestPath): Promise<Found> {
    const now = this.#settings.clock.now()
    return this.#searches.join(raw, now, () => this.#find(raw, path, now))
  }

  /** What was found turned out not to be there: the next one to ask has to look. */
  doubt(raw: string, found: CachedPath): void {
    found.resource.checkedAt = Number.NEGATIVE_INFINITY
    this.#cache?.delete(raw)
  }

  forget(): void {
    this.#cache?.clear()
    this.#cache = undefined
  }

  async #find(raw: string, path: RequestPath, startedAt: number): Promise<Found> {
    let found: Found | undefined
    try {
      found = await this.#lookAt(path)
    } finally {
      // What was known is not true any more.
      if (typeof found !== 'object') this.#cache?.delete(raw)
    }
    if (found === undefined) throw notFound(path.file)
    if (typeof found === 'string') return found
    const entry: CachedPath = { ...found, checkedAt: Math.min(startedAt, found.checkedAt) }
    this.#cache?.put(raw, entry)
    return entry
  }

  async #lookAt(path: RequestPath): Promise<Found | undefined> {
    const askedAt = this.#settings.clock.now()
    const stats = await this.#disk.look(path.file)
    if (stats?.isDirectory() === true) {
      const inside = await this.#lookInside(path.file)
      if (inside !== undefined) {
        if (path.folder) return inside
        await this.#disk.mustBeWithin(path.file)
        return 'redirect'
      }
    } else if (stats !== undefined && !path.folder) {
      return this.#fileAt(path.file, stats, askedAt)
    }
    if (!path.folder && path.file !== '') {
      for (const extension of this.#settings.extensions) {
        const found = await this.#regularFile(`${path.file}.${extension}`)
        if (found !== undefined) return found
      }
    }
    const { fallback } = this.#settings
    const instead = fallback === undefined ? undefined : await this.#regularFile(fallback)
    return instead === undefined ? undefined : { ...instead, fallback: true }
  }

  /** What a folder is answered with; undefined for nothing. */
  async #lookInside(folder: string): Promise<CachedPath | 'listing' | undefined> {
    for (const name of this.#settings.index) {
      const found = await this.#regularFile(folder === '' ? name : `${folder}/${name}`)
      if (found !== undefined) return found
    }
    return this.#settings.listing === undefined ? undefined : 'listing'
  }

  async #regularFile(file: string): Promise<CachedPath | undefined> {
    const askedAt = this.#settings.clock.now()
    const stats = await this.#disk.look(file)
    return stats?.isFile() === true ? this.#fileAt(file, stats, askedAt) : undefined
  }

  async #fileAt(file: string, stats: Stats, askedAt: number): Promise<CachedPath> {
    if (!stats.isFile()) throw forbidden(file, 'is no regular file')
    const known = this.#cache?.resource(file)
    const fresh =
      known !== undefined &&
      askedAt - known.checkedAt < this.#freshFor &&
      known.identity.state.version === stateOf(stats, '').version
    // Known by another path: it lasts as long as it does there.
    const resource = fresh ? known : await this.#looks.join(file, askedAt, () => this.#inspect(file, stats, askedAt))
    return { resource, fallback: false, checkedAt: resource.checkedAt, used: false }
  }

  /** Compares what is known of a file with what is there, and keeps what is still true. */
  async #inspect(file: string, stats: Stats, askedAt: number): Promise<Resource> {
    const { precompressed } = this.#settings
    const siblings = await Promise.all(precompressed.map((coding) => this.#disk.look(file + suffixes[coding])))
    const known = this.#cache?.resource(file)
    const states: (FileState | undefined)[] = codings.map(() => undefined)
    states[0] = await this.#stateOf(file, stats, known?.identity)
    for (const [index, coding] of precompressed.entries()) {
      const sibling = siblings[index]
      const number = codings.indexOf(coding)
      if (sibling?.isFile() !== true) continue
      states[number] = await this.#stateOf(file + suffixes[coding], sibling, known?.choices[number])
    }
    const choices = this.#choicesOf(file, states, known).map((init, number) => {
      const choice = known?.choices[number]
      if (init === undefined) return undefined
      // Seen so soon after a change that it may have changed again: what was read then is not trusted.
      return choice?.isLike(init) === true && !choice.state.unsettled ? choice : new Representation(init)
    })
    if (known === undefined) return new Resource(file, choices, askedAt)
    // Another look, which began later, may have ended first.
    if (known.checkedAt > askedAt) return known
    known.use(choices)
    known.checkedAt = askedAt
    this.#cache?.recount(known)
    return known
  }

  /** The state of a file, which is checked to be within the root unless it is known to be. */
  async #stateOf(file: string, stats: Stats, known: Representation | undefined): Promise<FileState> {
    const state = known === undefined ? undefined : stateOf(stats, known.state.path)
    return state !== undefined && state.version === known?.state.version ? state : this.#disk.lookWithin(file)
  }

  /** The codings that there are of a file, by number, given the states of it and of what is beside it. */
  #choicesOf(
    file: string,
    states: readonly (FileState | undefined)[],
    known: Resource | undefined,
  ): readonly (RepresentationInit | undefined)[] {
    const { compress, types, cacheControl, extraHeaders } = this.#settings
    const type = contentType(file, types)
    const state = states[0] as FileState
    const beside = states.some((one, number) => one !== undefined && number > 0)
    const compressed =
      !beside &&
      compress !== undefined &&
      isCompressible(type, state.size, compress) &&
      known?.incompressible !== state.version
    const common = {
      contentType: type,
      cacheControl: cacheControl(file),
      extraHeaders,
      negotiated: beside || compressed,
    }
    return codings.map((coding, number) => {
      const own = states[number]
      if (own !== undefined) {
        const of = coding === 'identity' ? file : file + suffixes[coding]
        return { ...common, file: of, coding: number, state: own, compressed: false }
      }
      const made = compressed && compressedCodings.includes(number)
      return made ? { ...common, file, coding: number, state, compressed: true } : undefined
    })
  }
}

/** What is under way, by name, so that who needs the same can wait for it, unless it began too long ago. */
class Flights<T> {
  readonly #maxAge: number
  readonly #under = new Map<string, { startedAt: number; result: Promise<T> }>()

  constructor(maxAge: number) {
    this.#maxAge = maxAge
  }

  join(name: string, now: number, start: () => Promise<T>): Promise<T> {
    const other = this.#under.get(name)
    if (other !== undefined && now - other.startedAt < this.#maxAge) return other.result
    const flight = { startedAt: now, result: start() }
    // Nothing is ever fresh: each request looks for itself.
    if (this.#maxAge === 0) return flight.result
    this.#under.set(name, flight)
    const over = (): void => {
      if (this.#under.get(name) === flight) this.#under.delete(name)
    }
    flight.result.then(over, over)
    return flight.result
  }
}
