import { close } from 'node:fs'
import { isXpsError } from '../../errors.ts'
import { invalidOption } from '../../options.ts'
import type { Answer, RequestHead } from '../messages.ts'
import { type ByteRange, contentRange, multipart, readRanges } from './byte-ranges.ts'
import { CodingChooser, PageChooser } from './codings.ts'
import { CompressedSource, compressBytes } from './compression.ts'
import type { CachedPath } from './content-cache.ts'
import { Disk, type OpenedFile } from './disk.ts'
import { fileFault, notFound } from './faults.ts'
import { FileFinder, type Found } from './file-finder.ts'
import { FileParts } from './file-parts.ts'
import { listFolder } from './listing.ts'
import { isPlain, isRangeValid, judge } from './preconditions.ts'
import type { Representation } from './representation.ts'
import { encodePath, type RequestPath, readPath } from './request-path.ts'
import type { Resource } from './resource.ts'
import { type StaticOptions, type StaticSettings, staticSettings } from './static-options.ts'

/** What the cache of {@link StaticFiles} holds, and has done. */
export interface StaticNumbers {
  /** Memory that is taken, in bytes. */
  readonly bytes: number
  /** Paths that it knows. */
  readonly paths: number
  /** How often the contents of a file were read into memory. */
  readonly reads: number
}

// A file that goes away while it is asked for is searched for again, this often in all.
const maxSearches = 3

const methodRefused: Answer = Object.freeze({ status: 405, headers: Object.freeze({ allow: 'GET, HEAD' }) })
const preconditionFailed: Answer = Object.freeze({ status: 412 })

/**
 * Answers requests with the files of a folder.
 *
 * ```
 *  path ──► known, and fresh? ──────────────────────────────┐ yes: in the same call
 *             │ no                                          ▼
 *             └──► disk: file, index, what is beside it ──► coding ──► conditions ──► range ──► answer
 * ```
 *
 * Small files are kept in memory. What is in memory was compared with the disk less than `freshFor` ago, so a request
 * that comes that long after a change, or later, gets what is there now.
 */
export class StaticFiles {
  readonly #disk: Disk
  readonly #settings: StaticSettings
  readonly #finder: FileFinder
  readonly #codings: CodingChooser
  readonly #pages = new PageChooser()
  readonly #maxFileSize: number
  #reads = 0

  constructor(folder: string, options: StaticOptions = {}) {
    if (typeof folder !== 'string' || folder === '') {
      throw invalidOption('static.folder', folder, 'the path of a folder')
    }
    this.#settings = staticSettings(options)
    this.#disk = new Disk(folder, this.#settings.symlinks)
    this.#finder = new FileFinder(this.#disk, this.#settings)
    this.#codings = new CodingChooser(this.#settings.precompressed)
    this.#maxFileSize = this.#settings.cache?.maxFileSize ?? 0
  }

  /**
   * The answer to a request. `path` is what is left of its path below the route's prefix, still percent-encoded;
   * `base` is that prefix, for redirects and lists.
   *
   * From the cache it comes at once, and for a plain GET it is the same frozen object each time. Anything else is a
   * promise. A body that is a source has a file open: who does not put it into a pipe calls its `end()`.
   *
   * Throws, at once or by the promise, an XpsError with a `status`: 400 (`XPS_BAD_REQUEST`), 403 (`XPS_FORBIDDEN`),
   * 404 (`XPS_NOT_FOUND`), 500 (`XPS_READ`), 503 (`XPS_BUSY`, `XPS_TRUNCATED`). 301, 304, 405, 412 and 416 are answers.
   */
  answer(request: RequestHead, path: string, base: string): Answer | Promise<Answer> {
    if (request.method !== 'GET' && request.method !== 'HEAD') return methodRefused
    const known = this.#finder.fresh(path)
    if (known === undefined) return this.#search(request, path, base, readPath(path, this.#settings.dotfiles))
    this.#mustFit(request, known)
    const answer = this.#answerWith(request, known)
    if (!(answer instanceof Promise)) return answer
    return answer.catch((error: unknown) => {
      if (!isXpsError(error, 'XPS_NOT_FOUND')) throw error
      this.#finder.doubt(path, known)
      return this.#search(request, path, base, readPath(path, this.#settings.dotfiles))
    })
  }

  /** Lets go of the cache. Requests are still answered, without one. */
  close(): void {
    this.#finder.forget()
  }

  /** What the cache holds. */
  get numbers(): StaticNumbers {
    const { cache } = this.#finder
    return { bytes: cache?.bytes ?? 0, paths: cache?.size ?? 0, reads: this.#reads }
  }

  async #search(request: RequestHead, raw: string, base: string, path: RequestPath): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      let found: Found
      try {
        found = await this.#finder.find(raw, path)
        if (found === 'redirect') return redirect(request, base, path)
        if (found === 'listing') return await this.#list(request, base, path)
      } catch (error) {
        throw fileFault(path.file, error)
      }
      this.#mustFit(request, found)
      try {
        return await this.#answerWith(request, found)
      } catch (error) {
        // It, or what is beside it, went away between the look and the opening.
        if (attempt === maxSearches || !isXpsError(error, 'XPS_NOT_FOUND')) throw error
        this.#finder.doubt(raw, found)
      }
    }
  }

  /** The fallback is for who asks for a page; for others the path leads to nothing. */
  #mustFit(request: RequestHead, found: CachedPath): void {
    if (found.fallback && !this.#pages.accepts(request.headers.get('accept'))) throw notFound(request.path)
  }

  #answerWith(request: RequestHead, { resource, fallback }: CachedPath): Answer | Promise<Answer> {
    const choice = this.#choose(request, resource)
    if (request.method === 'GET' && isPlain(request.headers)) {
      const { whole } = choice.heads(fallback)
      if (whole !== undefined) return whole
    }
    const without = this.#withoutBody(request, choice, fallback)
    if (without !== undefined) return without
    if (choice.body !== undefined) return this.#fromMemory(request, choice, choice.body, fallback)
    if (this.#finder.cache !== undefined && choice.state.size <= this.#maxFileSize) {
      return this.#fromDisk(request, resource, choice, fallback)
    }
    return this.#streamed(request, choice, fallback)
  }

  #choose(request: RequestHead, resource: Resource): Representation {
    if (resource.available === 1) return resource.identity
    const number = this.#codings.choose(request.headers.get('accept-encoding'), resource.available)
    return resource.choices[number] as Representation
  }

  /** What needs none of the file's bytes: failed conditions, 304, HEAD, and ranges that it does not have. */
  #withoutBody(request: RequestHead, choice: Representation, fallback: boolean): Answer | undefined {
    const verdict = judge(request.headers, choice)
    if (verdict === 'failed') return preconditionFailed
    if (verdict === 'not-modified') return choice.heads(fallback).notModified
    if (request.method === 'HEAD') return choice.heads(fallback).head
    if (this.#ranges(request, choice) !== 'none') return undefined
    const headers = { 'content-range': contentRange(undefined, choice.state.size), 'accept-ranges': 'bytes' }
    return { status: 416, headers }
  }

  #ranges(request: RequestHead, choice: Representation): readonly ByteRange[] | 'none' | undefined {
    const field = request.headers.get('range')
    // What is compressed on the way may be other bytes the next time, so there are no parts of it.
    if (field === undefined || choice.compressed || !isRangeValid(request.headers, choice)) return undefined
    const ranges = readRanges(field, choice.state.size, this.#settings.maxRanges)
    // A multipart body has no coding of its own: clients would decode all of it, our text too.
    return Array.isArray(ranges) && ranges.length > 1 && choice.coding !== 0 ? undefined : ranges
  }

  #fromMemory(request: RequestHead, choice: Representation, body: Buffer, fallback: boolean): Answer {
    const ranges = this.#ranges(request, choice)
    if (!Array.isArray(ranges)) return choice.heads(fallback).keep(body)
    const part = partial(choice, ranges, fallback)
    const pieces = part.pieces.map((one) => (one instanceof Uint8Array ? one : body.subarray(one.start, one.end)))
    return {
      status: 206,
      headers: part.headers,
      body: pieces.length === 1 ? pieces[0] : Buffer.concat(pieces),
    } as Answer
  }

  /** Reads the file into memory first. */
  async #fromDisk(
    request: RequestHead,
    resource: Resource,
    choice: Representation,
    fallback: boolean,
  ): Promise<Answer> {
    try {
      const loaded = await this.#loaded(resource, choice)
      // It may be another one by now: then the conditions are about that one.
      const without = loaded === choice ? undefined : this.#withoutBody(request, loaded, fallback)
      if (without !== undefined) return without
      if (loaded.body !== undefined) return this.#fromMemory(request, loaded, loaded.body, fallback)
      return await this.#streamed(request, loaded, fallback)
    } catch (error) {
      throw fileFault(choice.file, error)
    }
  }

  /** Those that need the same at the same time wait for the same. */
  #loaded(resource: Resource, choice: Representation): Promise<Representation> {
    choice.loading ??= this.#load(resource, choice).finally(() => {
      choice.loading = undefined
    })
    return choice.loading
  }

  /** The representation with its body; or another one, if the file has changed or is not worth compressing. */
  async #load(resource: Resource, choice: Representation): Promise<Representation> {
    this.#reads++
    const content = await this.#disk.read(choice.file, choice.state, this.#maxFileSize)
    // It has grown too large meanwhile.
    if (content === undefined) return choice
    const { state, bytes } = content
    const levels = choice.compressed ? this.#settings.compress : undefined
    const body = levels === undefined ? bytes : await compressBytes(bytes, choice.coding, levels)
    if (levels !== undefined && body.length >= bytes.length) {
      resource.incompressible = state.version
      resource.replace(choice, undefined)
      const { identity } = resource
      return identity.body === undefined ? this.#loaded(resource, identity) : identity
    }
    const same = state.version === choice.state.version && state.unsettled === choice.state.unsettled
    const loaded = same ? choice : choice.changed(state)
    loaded.body = body
    if (!same) resource.replace(choice, loaded)
    this.#finder.cache?.recount(resource)
    return loaded
  }

  /** Sends the file from the disk. What is said of it is about the very file that is open. */
  async #streamed(request: RequestHead, known: Representation, fallback: boolean): Promise<Answer> {
    try {
      const file = await this.#disk.open(known.file, known.state)
      const same = file.state.version === known.state.version
      const choice = same ? known : known.changed(file.state)
      const without = same ? undefined : this.#withoutBody(request, choice, fallback)
      if (without === undefined) return this.#fromFile(request, choice, file, fallback)
      close(file.fd, () => {})
      return without
    } catch (error) {
      throw fileFault(known.file, error)
    }
  }

  #fromFile(request: RequestHead, choice: Representation, { fd, state }: OpenedFile, fallback: boolean): Answer {
    const { chunkSize, compress } = this.#settings
    const ranges = this.#ranges(request, choice)
    if (Array.isArray(ranges)) {
      const { headers, pieces, length } = partial(choice, ranges, fallback)
      return { status: 206, headers, body: new FileParts(fd, state.path, pieces, chunkSize), length }
    }
    const headers = choice.heads(fallback).fields
    const length = state.size
    const body = new FileParts(fd, state.path, [{ start: 0, end: length }], chunkSize)
    if (!choice.compressed || compress === undefined) return { status: 200, headers, body, length }
    return { status: 200, headers, body: new CompressedSource(body, length, choice.coding, compress) }
  }

  async #list(request: RequestHead, base: string, path: RequestPath): Promise<Answer> {
    const title = `${rootOf(base)}/${path.file}${path.file === '' ? '' : '/'}`
    const maxEntries = this.#settings.listing?.maxEntries ?? 0
    const options = { maxEntries, dotfiles: this.#settings.dotfiles, parent: path.file !== '' }
    const { status, headers, body } = await listFolder(this.#disk, path.file, title, options)
    if (request.method === 'GET') return { status, headers, body }
    return { status, headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) } }
  }
}

/** The head of a 206, and what its body is made of. */
function partial(
  choice: Representation,
  ranges: readonly ByteRange[],
  fallback: boolean,
): { headers: Record<string, string>; pieces: readonly (Buffer | ByteRange)[]; length: number } {
  const { fields } = choice.heads(fallback)
  const { size } = choice.state
  const [range] = ranges
  if (range !== undefined && ranges.length === 1) {
    const headers = { ...fields, 'content-range': contentRange(range, size) }
    return { headers, pieces: [range], length: range.end - range.start }
  }
  const { contentType, pieces, length } = multipart(ranges, choice.contentType, size)
  return { headers: { ...fields, 'content-type': contentType }, pieces, length }
}

/** A folder is asked for without its slash: its relative links would lead elsewhere. */
function redirect(request: RequestHead, base: string, path: RequestPath): Answer {
  // Made anew, of names that are not empty and behind one slash: it cannot name another host.
  const folder = path.file === '' ? '' : `/${encodePath(path.file)}`
  const query = /^[\x21-\x7e]*$/.test(request.query) ? request.query : ''
  return { status: 301, headers: { location: `${rootOf(base)}${folder}/${query}` } }
}

/** A prefix with one slash in front and none at the end; '' for the root of a host. */
function rootOf(base: string): string {
  const names = base.replace(/^[/\\]+|\/+$/g, '')
  return names === '' ? '' : `/${names}`
}
