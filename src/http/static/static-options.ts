import { type Clock, systemClock } from '../../clock.ts'
import { bytesOption, durationOption, integerOption, invalidOption, knownOptions } from '../../options.ts'
import { checkField } from '../fields.ts'
import { type CacheControl, cacheControlBy, cacheControlFor } from './cache-control.ts'
import { type Coding, codings } from './codings.ts'

/** Options of {@link StaticFiles}. Sizes are numbers of bytes, or text such as `'256 KiB'`. */
export interface StaticOptions {
  /** Names that stand for their folder, the first that is there counts; `[]` for none. @default ['index.html'] */
  index?: readonly string[]
  /** Extensions to try for a path that leads to no file: with `['html']`, `/about` is `about.html`. @default [] */
  extensions?: readonly string[]
  /**
   * The file, below the folder, that answers a path that leads to nothing, with status 200: what an application with
   * routes of its own needs. Only for clients that name `text/html` in `Accept`, as a browser does for a page; what a
   * script or an image asks for is still 404.
   * @default none
   */
  fallback?: string
  /** Whether a folder without an index is answered with a list of what is in it. @default false */
  listing?: boolean | ListingOptions
  /**
   * What happens to names with a dot in front (`.env`, `.git/config`): `'deny'` answers as if they were not there.
   * `/.well-known/` is always allowed. Links that lead to such names are the host's own will, and followed.
   * @default 'deny'
   */
  dotfiles?: 'deny' | 'allow'
  /** Whether symbolic links may lead out of the folder. @default false */
  symlinks?: boolean
  /**
   * Content types by extension, without a dot and in lower case, sent as they are written: `{ wasm2: 'application/wasm' }`.
   * The extension `''` is that of names without one. @default those of the mrmime package, `charset=utf-8` for text
   */
  types?: Readonly<Record<string, string>>
  /**
   * Which precompressed files are looked for beside each file (`app.js.br`, `app.js.zst`, `app.js.gz`), best first: the
   * order decides where the client does not care. `false` for none.
   * @default ['br', 'zstd', 'gzip']
   */
  precompressed?: boolean | readonly Exclude<Coding, 'identity'>[]
  /**
   * Whether files of a compressible type that have no precompressed file beside them are compressed (Brotli or gzip)
   * when they are sent. The outcome for small files is kept in the cache. @default false
   */
  compress?: boolean | CompressOptions
  /**
   * How long clients and caches may use a file without asking, in seconds. 0 lets them keep it, but ask each time
   * (`no-cache`). @default 0
   */
  maxAge?: number
  /** Says that files never change while they may be used without asking; for names with a hash in them. @default false */
  immutable?: boolean
  /**
   * `Cache-Control`, as it is written, for all files, or by pattern: `{ 'assets/**': 'max-age=31536000, immutable' }`.
   * The first pattern that fits counts, `maxAge` where none does. `*` is a part of a name, `**` anything; a pattern
   * without a slash is about names in any folder. `false` sends none.
   * @default what `maxAge` and `immutable` come to
   */
  cacheControl?: false | string | Readonly<Record<string, string>>
  /** Further fields for each file that is sent. @default none */
  extraHeaders?: Readonly<Record<string, string>>
  /**
   * Sends `X-Content-Type-Options: nosniff`. Every file is sent with a type; a browser that guesses another is how an
   * upload becomes a script. @default true
   */
  nosniff?: boolean
  /** The most ranges that one request may ask for; if it asks for more it gets the whole file. @default 16 */
  maxRanges?: number
  /**
   * Bytes per read of a file that is not in the cache; each file that is being sent needs as much memory.
   * @default '256 KiB'
   */
  chunkSize?: number | string
  /** The memory for small files that are asked for often; `false` reads the disk for each request. */
  cache?: false | FileCacheOptions
  /** @default the machine's */
  clock?: Clock
}

/** Options of a list of what is in a folder. */
export interface ListingOptions {
  /** The most entries that are shown, and looked at; the list says if there are more. @default 1000 */
  maxEntries?: number
}

/** Options of compression on the fly. */
export interface CompressOptions {
  /** Smaller files are sent as they are. @default 1024 */
  minSize?: number | string
  /** From 0 (fast) to 11 (small). @default 5 */
  brotli?: number
  /** From 1 (fast) to 9 (small). @default 6 */
  gzip?: number
}

/** Options of the cache of {@link StaticFiles}. */
export interface FileCacheOptions {
  /**
   * The most memory it may take in all. What is sent as it is takes as much again, for head and body in one piece.
   * @default '32 MB'
   */
  maxBytes?: number | string
  /** Larger files are read from the disk each time. @default '256 KiB' */
  maxFileSize?: number | string
  /**
   * How long a file is taken for unchanged without a look at the disk, in milliseconds. Every request that comes this
   * long or longer after a change is answered with what is there now. 0 looks each time.
   * @default 1000
   */
  freshFor?: number
}

/** {@link StaticOptions}, checked and complete. */
export interface StaticSettings {
  readonly index: readonly string[]
  readonly extensions: readonly string[]
  readonly fallback: string | undefined
  readonly listing: { readonly maxEntries: number } | undefined
  readonly dotfiles: boolean
  readonly symlinks: boolean
  readonly types: ReadonlyMap<string, string>
  readonly precompressed: readonly Exclude<Coding, 'identity'>[]
  readonly compress: { readonly minSize: number; readonly brotli: number; readonly gzip: number } | undefined
  readonly cacheControl: CacheControl
  readonly extraHeaders: Readonly<Record<string, string>>
  readonly maxRanges: number
  readonly chunkSize: number
  readonly cache: { readonly maxBytes: number; readonly maxFileSize: number; readonly freshFor: number } | undefined
  readonly clock: Clock
}

/** Checks options and fills in what was left out. Throws `XPS_INVALID_OPTION`. */
export function staticSettings(options: StaticOptions): StaticSettings {
  if (typeof options !== 'object' || options === null) throw invalidOption('static', options, 'an object')
  knownOptions('static options', options, staticOptionNames)
  return {
    index: namesOption('static.index', options.index ?? ['index.html']),
    extensions: namesOption('static.extensions', options.extensions ?? []).map((one) => one.replace(/^\./, '')),
    fallback: options.fallback === undefined ? undefined : fileOption('static.fallback', options.fallback),
    listing: listingOption(options.listing),
    dotfiles: dotfilesOption(options.dotfiles),
    symlinks: flagOption('static.symlinks', options.symlinks, false),
    types: typesOption(options.types),
    precompressed: precompressedOption(options.precompressed),
    compress: compressOption(options.compress),
    cacheControl: cacheControlOption(options),
    extraHeaders: headersOption(options.extraHeaders, flagOption('static.nosniff', options.nosniff, true)),
    maxRanges: integerOption('static.maxRanges', options.maxRanges, 16, { min: 1, max: 1000 }),
    chunkSize: options.chunkSize === undefined ? 256 * 1024 : bytesOption('static.chunkSize', options.chunkSize),
    cache: cacheOption(options.cache),
    clock: options.clock ?? systemClock,
  }
}

/** The names of all options of {@link StaticOptions}, for whoever takes them together with options of its own. */
export const staticOptionNames = [
  'index',
  'extensions',
  'fallback',
  'listing',
  'dotfiles',
  'symlinks',
  'types',
  'precompressed',
  'compress',
  'maxAge',
  'immutable',
  'cacheControl',
  'extraHeaders',
  'nosniff',
  'maxRanges',
  'chunkSize',
  'cache',
  'clock',
] as const

/** A year is as long as anybody keeps anything (RFC 2616 said so, and caches still think so). */
const longestAge = 31_536_000

/** What a file's answer says of itself; to say it twice would be one too many. */
const ownHeaders = [
  'accept-ranges',
  'cache-control',
  'connection',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'etag',
  'last-modified',
  'transfer-encoding',
  'vary',
]

function flagOption(name: string, given: boolean | undefined, fallback: boolean): boolean {
  if (given === undefined) return fallback
  if (typeof given !== 'boolean') throw invalidOption(name, given, 'true or false')
  return given
}

function namesOption(name: string, given: readonly string[]): readonly string[] {
  if (!Array.isArray(given)) throw invalidOption(name, given, 'a list of names')
  for (const one of given) {
    if (typeof one !== 'string' || !/^[^/\\\0]+$/.test(one) || one === '.' || one === '..') {
      throw invalidOption(name, one, 'made of names without slashes')
    }
  }
  return given.slice()
}

function fileOption(name: string, given: string): string {
  const names = typeof given === 'string' ? given.replace(/^\//, '').split('/') : []
  if (names.length === 0 || names.some((one) => one === '' || one === '.' || one === '..' || /[\\\0]/.test(one))) {
    throw invalidOption(name, given, 'the path of a file below the folder')
  }
  return names.join('/')
}

function listingOption(given: StaticOptions['listing']): StaticSettings['listing'] {
  if (given === undefined || given === false) return undefined
  if (given !== true && (typeof given !== 'object' || given === null)) {
    throw invalidOption('static.listing', given, 'true, false or an object')
  }
  const options: ListingOptions = given === true ? {} : given
  knownOptions('static.listing', options, ['maxEntries'])
  const range = { min: 1, max: 1_000_000 }
  return { maxEntries: integerOption('static.listing.maxEntries', options.maxEntries, 1000, range) }
}

function dotfilesOption(given: StaticOptions['dotfiles']): boolean {
  if (given !== undefined && given !== 'deny' && given !== 'allow') {
    throw invalidOption('static.dotfiles', given, `'deny' or 'allow'`)
  }
  return given === 'allow'
}

function typesOption(given: StaticOptions['types'] = {}): ReadonlyMap<string, string> {
  const types = new Map<string, string>()
  for (const [extension, type] of Object.entries(given)) {
    checkOwn('static.types', 'content-type', type)
    types.set(extension.replace(/^\./, '').toLowerCase(), type)
  }
  return types
}

function precompressedOption(given: StaticOptions['precompressed'] = true): StaticSettings['precompressed'] {
  const name = 'static.precompressed'
  if (given === false) return []
  if (given === true) return ['br', 'zstd', 'gzip']
  const allowed: readonly string[] = codings.slice(1)
  if (!Array.isArray(given) || given.some((one) => !allowed.includes(one)) || new Set(given).size < given.length) {
    throw invalidOption(name, given, `true, false or a list of ${allowed.join(', ')}`)
  }
  return given.slice()
}

function compressOption(given: StaticOptions['compress']): StaticSettings['compress'] {
  if (given === undefined || given === false) return undefined
  if (given !== true && (typeof given !== 'object' || given === null)) {
    throw invalidOption('static.compress', given, 'true, false or an object')
  }
  const options: CompressOptions = given === true ? {} : given
  knownOptions('static.compress', options, ['minSize', 'brotli', 'gzip'])
  return {
    minSize: options.minSize === undefined ? 1024 : bytesOption('static.compress.minSize', options.minSize),
    brotli: integerOption('static.compress.brotli', options.brotli, 5, { min: 0, max: 11 }),
    gzip: integerOption('static.compress.gzip', options.gzip, 6, { min: 1, max: 9 }),
  }
}

function cacheControlOption(options: StaticOptions): CacheControl {
  const maxAge = integerOption('static.maxAge', options.maxAge, 0, { min: 0, max: longestAge })
  const immutable = flagOption('static.immutable', options.immutable, false)
  if (immutable && maxAge === 0) throw invalidOption('static.immutable', immutable, 'left out, or maxAge given with it')
  const given = options.cacheControl
  const fallback = cacheControlFor(maxAge, immutable)
  if (given === undefined) return () => fallback
  if (given === false) return () => undefined
  const name = 'static.cacheControl'
  if (typeof given === 'string') {
    checkOwn(name, 'cache-control', given)
    return () => given
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw invalidOption(name, given, 'false, a text or an object of texts by pattern')
  }
  for (const text of Object.values(given)) checkOwn(name, 'cache-control', text)
  return cacheControlBy(given, fallback)
}

function headersOption(given: StaticOptions['extraHeaders'] = {}, nosniff: boolean): Readonly<Record<string, string>> {
  const headers: Record<string, string> = nosniff ? { 'x-content-type-options': 'nosniff' } : {}
  for (const [name, value] of Object.entries(given)) {
    checkOwn('static.extraHeaders', name, value)
    const key = name.toLowerCase()
    if (ownHeaders.includes(key))
      throw invalidOption('static.extraHeaders', name, 'made of fields that files do not set')
    headers[key] = value
  }
  return Object.freeze(headers)
}

function checkOwn(option: string, name: string, value: string): void {
  if (typeof value !== 'string' || value === '') throw invalidOption(option, value, 'made of texts')
  try {
    checkField(name, value)
  } catch {
    throw invalidOption(option, `${name}: ${value}`, 'what can be sent as a header field')
  }
}

function cacheOption(given: StaticOptions['cache'] = {}): StaticSettings['cache'] {
  if (given === false) return undefined
  if (typeof given !== 'object' || given === null) throw invalidOption('static.cache', given, 'false or an object')
  knownOptions('static.cache', given, ['maxBytes', 'maxFileSize', 'freshFor'])
  const maxBytes = bytesOption('static.cache.maxBytes', given.maxBytes ?? '32 MB')
  const maxFileSize =
    given.maxFileSize === undefined
      ? Math.min(256 * 1024, maxBytes)
      : bytesOption('static.cache.maxFileSize', given.maxFileSize)
  if (maxFileSize > maxBytes) throw invalidOption('static.cache.maxFileSize', given.maxFileSize, 'at most maxBytes')
  return { maxBytes, maxFileSize, freshFor: durationOption('static.cache.freshFor', given.freshFor, 1000, true) }
}
