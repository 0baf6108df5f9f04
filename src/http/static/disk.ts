import {
  close as closeFd,
  constants,
  fstat as fstatFd,
  open as openFd,
  read as readFd,
  type Stats,
  stat as statPath,
} from 'node:fs'
import { realpath } from 'node:fs/promises'
import { parse, relative, resolve, sep } from 'node:path'
import { promisify } from 'node:util'
import { isXpsError, systemCode } from '../../errors.ts'
import { openWithin } from '../../pipe/open-within.ts'
import { fileFault, forbidden, keepsChanging } from './faults.ts'

const stat = promisify(statPath)
const open = promisify(openFd)
const fstat = promisify(fstatFd)
const read = promisify(readFd)
const close = promisify(closeFd)

/** What tells a state of a file from another one. */
export interface FileState {
  /** In bytes. */
  readonly size: number
  /** In milliseconds of the wall clock. */
  readonly modified: number
  /** Differs if the file is another one or has changed, also where size and time say nothing. */
  readonly version: string
  /** Where it really was, links resolved, when it was found to lie within the root. */
  readonly path: string
  /**
   * It changed so shortly before it was looked at that it may change again and look the same: the clocks of file
   * systems tick a few times a second to some hundred times.
   */
  readonly unsettled: boolean
}

/** A small file as it was at one moment. */
export interface FileContent {
  readonly state: FileState
  readonly bytes: Buffer
}

// What a tick can take: 4 ms on most systems, 10 ms on some, 2 s on FAT, which nobody serves from while writing to it.
const tick = 100

// A file that is replaced while it is opened is opened again, this often in all.
const maxOpenings = 5

// A file that changed while it was read is read again, this often in all.
const maxReads = 3

/** A file that is open for reading, in the state in which it was opened. */
export interface OpenedFile {
  readonly fd: number
  readonly state: FileState
}

// Not blocking, and no link as the last part: as `openWithin` does it.
const openFlags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOFOLLOW ?? 0)

/** Opens the file that is known, with a third of the calls that it takes to check where a path leads. */
async function openKnown(known: FileState): Promise<OpenedFile | undefined> {
  try {
    const fd = await open(known.path, openFlags)
    const state = await fdState(fd, known.path)
    if (state.version === known.version) return { fd, state }
    await close(fd)
  } catch {
    // The check that follows says what is wrong.
  }
  return undefined
}

/** The state of an open file, which is closed if it has none. */
async function fdState(fd: number, path: string): Promise<FileState> {
  try {
    return stateOf(await fstat(fd), path)
  } catch (error) {
    await close(fd)
    throw error
  }
}

/** The one folder that files are served from, and what is asked of the disk. */
export class Disk {
  readonly #folder: string
  readonly #symlinks: boolean
  /** Where links must not lead out of: the folder, or with `symlinks` nothing. */
  readonly #root: string

  constructor(folder: string, symlinks: boolean) {
    this.#folder = resolve(folder)
    this.#symlinks = symlinks
    this.#root = symlinks ? parse(this.#folder).root : this.#folder
  }

  path(file: string): string {
    return file === '' ? this.#folder : `${this.#folder}${sep}${file}`
  }

  /** What is there; undefined for nothing. */
  async look(file: string): Promise<Stats | undefined> {
    try {
      return await stat(this.path(file))
    } catch (error) {
      const code = systemCode(error)
      if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') return undefined
      throw fileFault(file, error)
    }
  }

  /** Where it really is. Rejects with `XPS_FORBIDDEN` (403) if links lead out of the root. */
  async mustBeWithin(file: string): Promise<string> {
    try {
      const folder = await realpath(this.#root)
      const real = await realpath(this.path(file))
      if (real === folder || real.startsWith(folder.endsWith(sep) ? folder : folder + sep)) return real
    } catch (error) {
      throw fileFault(file, error)
    }
    throw forbidden(file, 'is a link out of the folder')
  }

  /** What is there, and within the root: nothing is told of a file that a link was turned to meanwhile. */
  async lookWithin(file: string): Promise<FileState> {
    const real = await this.mustBeWithin(file)
    try {
      const stats = await stat(real)
      if ((await realpath(real)) === real && stats.isFile()) return stateOf(stats, real)
    } catch (error) {
      throw fileFault(file, error)
    }
    throw forbidden(file, 'was replaced while it was looked at')
  }

  /**
   * Opens a file, if it is a regular one and within the root. Whoever gets it closes the descriptor.
   *
   * What is opened is the file that is known, which was found to be within the root, or it is checked anew.
   */
  async open(file: string, known: FileState): Promise<OpenedFile> {
    const again = await openKnown(known)
    if (again !== undefined) return again
    const path = this.#symlinks ? relative(this.#root, this.path(file)) : file
    for (let attempt = 1; ; attempt++) {
      try {
        const { fd, path: real } = await openWithin(this.#root, path)
        const state = await fdState(fd, real)
        return { fd, state }
      } catch (error) {
        // A new file that is renamed to the place of the old one, while that is opened, is refused like an attack.
        // Whoever deploys that way means no harm, and the new one can be had.
        if (attempt === maxOpenings || !isXpsError(error, 'XPS_FORBIDDEN') || error.cause !== undefined) throw error
      }
    }
  }

  /** Reads a file at one go; undefined if it has more than `max` bytes. Several tries, if it changes meanwhile. */
  async read(file: string, known: FileState, max: number): Promise<FileContent | undefined> {
    for (let attempt = 1; ; attempt++) {
      const { fd, state: before } = await this.open(file, known)
      try {
        if (before.size > max) return undefined
        const bytes = Buffer.allocUnsafeSlow(before.size)
        let length = 0
        while (length < bytes.length) {
          const { bytesRead } = await read(fd, bytes, length, bytes.length - length, length)
          if (bytesRead === 0) break
          length += bytesRead
        }
        const after = stateOf(await fstat(fd), before.path)
        if (length === bytes.length && after.version === before.version) return { state: before, bytes }
        // What only grows, as a log does, is still what it was up to here.
        if (attempt === maxReads && after.size > length && length === bytes.length) {
          return { state: { ...before, unsettled: true }, bytes }
        }
      } finally {
        await close(fd)
      }
      if (attempt === maxReads) throw keepsChanging(file)
    }
  }
}

/** The state that a file's numbers tell. */
export function stateOf(stats: Stats, path: string): FileState {
  const { dev, ino, size, mtimeMs, ctimeMs } = stats
  return {
    path,
    size,
    modified: stats.mtime.getTime(),
    version: `${dev} ${ino} ${size} ${mtimeMs} ${ctimeMs}`,
    // The times of files are those of the wall clock.
    unsettled: Date.now() - ctimeMs < tick,
  }
}
