import {
  closeSync,
  constants,
  fstatSync,
  fsync,
  futimesSync,
  open as openThere,
  type Stats,
  writeSync,
  write as writeThere,
} from 'node:fs'
import { access, link, mkdir, open, opendir, readdir, rename, rm, stat, unlink, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { isXpsError, systemCode, XpsError } from '../../errors.ts'
import { bytesOption, invalidOption, knownOptions } from '../../options.ts'
import { readPhpArray, writePhpArray } from '../codec/php-serialize.ts'
import type { Awaitable, Commit, CommitResult, Container, Lifetimes, Stored, Summary } from '../container.ts'
import { isId } from '../ids.ts'
import { DirectorySync } from './directory-sync.ts'
import { FileCache, type FileState } from './file-cache.ts'
import { fileNameOf, idOf, isTemporary, temporaryIn } from './file-name.ts'
import { FolderClaim } from './folder-claim.ts'

/** Options of a {@link FileStore}. */
export interface FileStoreOptions {
  /**
   * Whether a commit waits until the disk has it. Without, a crash of the machine may lose what was acknowledged, but
   * still tears nothing; a crash of the process loses nothing either way.
   * @default true
   */
  durable?: boolean
  /** The largest file that is read. A number, or text such as `'64 MiB'`. @default 67108864 */
  maxFileSize?: number | string
  /**
   * How much is kept in memory of the sessions that were used last, by the size of their files; 0 for none. A number, or
   * text such as `'64 MiB'`. @default 16777216
   */
  cacheSize?: number | string
}

/** A session that is no longer is written in the turn itself: it goes to memory of the kernel. */
const shortWrite = 64 * 1024
/** Systems of files tell times in steps of up to so many milliseconds. */
const longestTick = 2_000
/**
 * Keeps each shared session in a file of its own, `<id>.txt`, with what PHP's `serialize` makes of it: what the
 * reference's Filesystem container writes, and reads. One process at a time.
 *
 * A commit writes another file, waits for the disk, and puts it in the place of the one before: there is always one that
 * is whole. A file's time of modification says when it expires: it is that of the last use, as the lifetime counts it.
 * What that cannot say stands in a line after the array, where PHP does not look.
 */
export class FileStore implements Container {
  readonly name = 'file'
  readonly #folder: string
  readonly #durable: boolean
  readonly #largest: number
  readonly #sync: DirectorySync
  readonly #cache: FileCache
  #claim: FolderClaim | undefined
  #lifetimes: Lifetimes = { idleLifetime: 0, absoluteLifetime: 0 }

  constructor(folder: string, options: FileStoreOptions = {}) {
    knownOptions('file store options', options, ['durable', 'maxFileSize', 'cacheSize'])
    if (typeof folder !== 'string' || folder === '') throw invalidOption('file store', folder, 'the path of a folder')
    const { durable = true, cacheSize = 16 * 1024 ** 2 } = options
    if (typeof durable !== 'boolean') throw invalidOption('durable', durable, 'true or false')
    this.#folder = folder
    this.#durable = durable
    this.#largest = bytesOption('maxFileSize', options.maxFileSize ?? 64 * 1024 ** 2)
    this.#sync = new DirectorySync(folder)
    this.#cache = new FileCache(cacheSize === 0 ? 0 : bytesOption('cacheSize', cacheSize))
  }

  async open(lifetimes: Lifetimes): Promise<void> {
    this.#lifetimes = lifetimes
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 })
      await access(this.#folder, constants.R_OK | constants.W_OK | constants.X_OK)
      this.#claim ??= await FolderClaim.take(this.#folder)
      // What a crash has left behind: of commits that were never acknowledged, and of a claim.
      for (const name of await readdir(this.#folder)) {
        // Who asks for the claim at this moment removes its own.
        if (isTemporary(name)) await rm(join(this.#folder, name), { force: true })
        else await this.#claim.tidy(name)
      }
    } catch (error) {
      throw isXpsError(error) ? error : this.#failed('open', error)
    }
  }

  read(id: string): Awaitable<Stored | undefined> {
    const path = this.#pathOf(id)
    try {
      return this.#cache.get(path) ?? this.#read(path)
    } catch (error) {
      throw this.#failed('read', error)
    }
  }

  async commit(id: string, stored: Stored, { expect }: Commit): Promise<CommitResult> {
    const path = this.#pathOf(id)
    const fresh = temporaryIn(this.#folder)
    try {
      if (expect === 'present' && !(this.#cache.has(path) ?? (await exists(path)))) return 'missing'
      const state = await this.#write(fresh, stored)
      // What was kept of the file before says nothing of this one.
      this.#cache.delete(path)
      if (expect === 'present') await rename(fresh, path)
      else {
        // Unlike a renaming, a link does not replace what is there.
        await link(fresh, path)
        await unlink(fresh)
      }
      if (this.#durable) await this.#sync.run()
      this.#cache.set(path, state, this.#storedOf(stored, state.mtimeMs, this.#hasTrailer(stored)))
      return 'done'
    } catch (error) {
      await unlink(fresh).catch(() => {})
      if (systemCode(error) === 'EEXIST') return 'exists'
      if (systemCode(error) === 'ENOSPC' || systemCode(error) === 'EDQUOT') return 'full'
      throw this.#failed('written', error)
    }
  }

  async destroy(id: string): Promise<boolean> {
    const path = this.#pathOf(id)
    try {
      this.#cache.delete(path)
      await unlink(path)
      if (this.#durable) await this.#sync.run()
      return true
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return false
      throw this.#failed('removed', error)
    }
  }

  async touch(id: string, expires: number): Promise<boolean> {
    try {
      await utimes(this.#pathOf(id), new Date(), this.#modified(expires))
      return true
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return false
      throw this.#failed('touched', error)
    }
  }

  async *list(): AsyncIterableIterator<Summary> {
    for await (const { name } of await opendir(this.#folder)) {
      const id = idOf(name)
      if (id === undefined || !isId(id)) continue
      const { mtimeMs } = (await stat(join(this.#folder, name)).catch(() => undefined)) ?? {}
      if (mtimeMs !== undefined) yield { id, expires: this.#expires(mtimeMs) }
    }
  }

  async close(): Promise<void> {
    this.#cache.clear()
    const claim = this.#claim
    this.#claim = undefined
    await claim?.release()
  }

  async #read(path: string): Promise<Stored | undefined> {
    try {
      const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
      try {
        const state = await file.stat()
        if (state.size > this.#largest) throw new Error(`a file of ${state.size} bytes`)
        const stored = this.#parse(await file.readFile('latin1'), state.mtimeMs)
        if (isSettled(state)) this.#cache.set(path, state, stored)
        return stored
      } finally {
        await file.close()
      }
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined
      throw this.#failed('read', error)
    }
  }

  /**
   * What the kernel does in its memory takes microseconds, and is done in this turn: every way to another thread leads
   * behind all who wait for the disk there. To make a file is no such thing: it may wait for a change of the folder that
   * is on its way to the disk, for milliseconds.
   */
  async #write(path: string, stored: Stored): Promise<FileState> {
    const trailer = this.#hasTrailer(stored) ? `\n#${Math.round(stored.created)} ${stored.idle ?? ''}\n` : ''
    const bytes = Buffer.from(writePhpArray(stored.data) + trailer, 'latin1')
    const file = await make(path, 'wx', 0o600)
    try {
      await writeAll(file, bytes)
      futimesSync(file, new Date(), this.#modified(stored.expires))
      const state = fstatSync(file)
      if (this.#durable) await sync(file)
      return state
    } finally {
      closeSync(file)
    }
  }

  #parse(text: string, mtimeMs: number): Stored {
    // The reference makes an empty file of a new session.
    const array = text === '' ? { data: new Map(), end: 0 } : readPhpArray(text, { items: 1_000_000 })
    if (array === undefined) throw new Error('no serialized array')
    const [, created, idle] = /^\n#(\d+) (-?\d*)\n/.exec(text.slice(array.end, array.end + 64)) ?? []
    return this.#storedOf(
      {
        data: array.data,
        created: Number(created),
        idle: idle === undefined || idle === '' ? undefined : Number(idle),
      },
      mtimeMs,
      created !== undefined,
    )
  }

  /** What a file tells, with or without the line after the array. */
  #storedOf({ data, created, idle }: Omit<Stored, 'expires'>, mtimeMs: number, hasTrailer: boolean): Stored {
    return hasTrailer
      ? { data, created, expires: this.#expires(mtimeMs, idle), idle }
      : { data, created: mtimeMs, expires: this.#expires(mtimeMs), idle: undefined }
  }

  /** What the time of modification cannot say. */
  #hasTrailer({ idle }: Pick<Stored, 'idle'>): boolean {
    return idle !== undefined || this.#lifetimes.absoluteLifetime > 0
  }

  /** The time of modification that says when a session expires, in seconds. */
  #modified(expires: number): number {
    return (expires === Number.POSITIVE_INFINITY ? Date.now() : expires - this.#lifetimes.idleLifetime) / 1000
  }

  #expires(mtimeMs: number, idle?: number): number {
    const { idleLifetime, absoluteLifetime } = this.#lifetimes
    if (idle === 0 && absoluteLifetime === 0) return Number.POSITIVE_INFINITY
    if (idleLifetime === 0 && absoluteLifetime === 0 && idle === undefined) return Number.POSITIVE_INFINITY
    return mtimeMs + idleLifetime
  }

  #pathOf(id: string): string {
    return join(this.#folder, fileNameOf(id))
  }

  #failed(what: string, error: unknown): XpsError {
    const reason = error instanceof Error ? error.message : String(error)
    return new XpsError('XPS_READ', `${this.#folder}: a session cannot be ${what}: ${reason}`, { cause: error })
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

const make = promisify(openThere)
const sync = promisify(fsync)
const write = promisify(writeThere)

/** A long session is written elsewhere: the kernel may wait for the disk before it takes more. */
async function writeAll(file: number, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += bytes.length > shortWrite ? (await write(file, bytes, at)).bytesWritten : writeSync(file, bytes, at)
  }
}

/** Whether another change in the same tick of the kernel's clock, which would look the same, cannot come any more. */
function isSettled({ ctimeMs }: Stats): boolean {
  return Math.abs(Date.now() - ctimeMs) > longestTick
}
