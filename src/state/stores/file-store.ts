import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { access, link, mkdir, open, opendir, readdir, rename, stat, unlink, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { systemCode, XpsError } from '../../errors.ts'
import { bytesOption, invalidOption, knownOptions } from '../../options.ts'
import { readPhpArray, writePhpArray } from '../codec/php-serialize.ts'
import type { Commit, CommitResult, Container, Lifetimes, Stored, Summary } from '../container.ts'
import { isId } from '../ids.ts'
import { DirectorySync } from './directory-sync.ts'
import { fileNameOf, idOf } from './file-name.ts'

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
}

const temporary = /^\.[0-9a-f]{24}\.tmp$/

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
  #lifetimes: Lifetimes = { idleLifetime: 0, absoluteLifetime: 0 }

  constructor(folder: string, options: FileStoreOptions = {}) {
    knownOptions('file store options', options, ['durable', 'maxFileSize'])
    if (typeof folder !== 'string' || folder === '') throw invalidOption('file store', folder, 'the path of a folder')
    const { durable = true } = options
    if (typeof durable !== 'boolean') throw invalidOption('durable', durable, 'true or false')
    this.#folder = folder
    this.#durable = durable
    this.#largest = bytesOption('maxFileSize', options.maxFileSize ?? 64 * 1024 ** 2)
    this.#sync = new DirectorySync(folder)
  }

  async open(lifetimes: Lifetimes): Promise<void> {
    this.#lifetimes = lifetimes
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 })
      await access(this.#folder, constants.R_OK | constants.W_OK | constants.X_OK)
      // What a crash has left behind of commits that were never acknowledged.
      for (const name of await readdir(this.#folder)) {
        if (temporary.test(name)) await unlink(join(this.#folder, name))
      }
    } catch (error) {
      throw this.#failed('open', error)
    }
  }

  async read(id: string): Promise<Stored | undefined> {
    try {
      const file = await open(this.#pathOf(id), constants.O_RDONLY | constants.O_NOFOLLOW)
      try {
        const { size, mtimeMs } = await file.stat()
        if (size > this.#largest) throw new Error(`a file of ${size} bytes`)
        return this.#parse(await file.readFile('latin1'), mtimeMs)
      } finally {
        await file.close()
      }
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined
      throw this.#failed('read', error)
    }
  }

  async commit(id: string, stored: Stored, { expect }: Commit): Promise<CommitResult> {
    const path = this.#pathOf(id)
    const fresh = join(this.#folder, `.${randomBytes(12).toString('hex')}.tmp`)
    try {
      if (expect === 'present' && !(await exists(path))) return 'missing'
      await this.#write(fresh, stored)
      if (expect === 'present') await rename(fresh, path)
      else {
        // Unlike a renaming, a link does not replace what is there.
        await link(fresh, path)
        await unlink(fresh)
      }
      if (this.#durable) await this.#sync.run()
      return 'done'
    } catch (error) {
      await unlink(fresh).catch(() => {})
      if (systemCode(error) === 'EEXIST') return 'exists'
      if (systemCode(error) === 'ENOSPC' || systemCode(error) === 'EDQUOT') return 'full'
      throw this.#failed('written', error)
    }
  }

  async destroy(id: string): Promise<boolean> {
    try {
      await unlink(this.#pathOf(id))
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

  async #write(path: string, stored: Stored): Promise<void> {
    const file = await open(path, 'wx', 0o600)
    try {
      const trailer = this.#hasTrailer(stored) ? `\n#${stored.created} ${stored.idle ?? ''}\n` : ''
      await file.writeFile(writePhpArray(stored.data) + trailer, 'latin1')
      await file.utimes(new Date(), this.#modified(stored.expires))
      if (this.#durable) await file.sync()
    } finally {
      await file.close()
    }
  }

  #parse(text: string, mtimeMs: number): Stored {
    // The reference makes an empty file of a new session.
    const array = text === '' ? { data: new Map(), end: 0 } : readPhpArray(text, { items: 1_000_000 })
    if (array === undefined) throw new Error('no serialized array')
    const [, created, idle] = /^\n#(\d+) (\d*)\n/.exec(text.slice(array.end, array.end + 64)) ?? []
    return {
      data: array.data,
      created: created === undefined ? mtimeMs : Number(created),
      expires: this.#expires(mtimeMs, idle === undefined || idle === '' ? undefined : Number(idle)),
      idle: idle === undefined || idle === '' ? undefined : Number(idle),
    }
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
