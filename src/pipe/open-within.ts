import { close as closeFd, constants, fstat as fstatFd, open as openFd } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import { resolve, sep } from 'node:path'
import { promisify } from 'node:util'
import { asXpsError, systemCode, XpsError } from '../errors.ts'

/** A regular file that lies within a root, open for reading. Whoever gets it closes the descriptor. */
export interface OpenFile {
  fd: number
  size: number
  modified: Date
  /** The real path, links resolved. */
  path: string
}

// Plain descriptors, not FileHandles: reads with a callback cost less, and the owner is told when it is closed.
const open = promisify(openFd)
const fstat = promisify(fstatFd)
const close = promisify(closeFd)

// Not blocking, so that opening a named pipe that nobody writes to returns; no link as the last part, because the
// path is resolved already, and a link there was put there since.
const openFlags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOFOLLOW ?? 0)

/**
 * Opens a regular file for reading if it lies within a folder, links resolved.
 *
 * What is checked is what is opened: after opening, the path must still lead, without links, to the very file that
 * the descriptor has. Rejects with `XPS_NOT_FOUND`, `XPS_FORBIDDEN` or `XPS_READ`.
 */
export async function openWithin(root: string, path: string): Promise<OpenFile> {
  let fd: number | undefined
  try {
    const folder = await realpath(root)
    const real = await realpath(resolve(folder, path))
    if (!isWithin(folder, real)) throw forbidden(path, `lies outside ${root}`)
    fd = await open(real, openFlags)
    const stats = await fstat(fd)
    if (!stats.isFile()) throw forbidden(path, 'is not a regular file')
    const there = await stat(real)
    if ((await realpath(real)) !== real || there.ino !== stats.ino || there.dev !== stats.dev) {
      throw forbidden(path, 'was replaced while it was opened')
    }
    return { fd, size: stats.size, modified: stats.mtime, path: real }
  } catch (error) {
    if (fd !== undefined) await close(fd)
    throw wrap(path, error)
  }
}

function isWithin(folder: string, path: string): boolean {
  return path.startsWith(folder.endsWith(sep) ? folder : folder + sep)
}

function forbidden(path: string, why: string): XpsError {
  return new XpsError('XPS_FORBIDDEN', `${path} ${why}`)
}

function wrap(path: string, error: unknown): XpsError {
  const code = systemCode(error)
  if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ERR_INVALID_ARG_VALUE') {
    return new XpsError('XPS_NOT_FOUND', `${path} does not exist`, { cause: error })
  }
  // What a socket, or a device without a driver, says to being opened.
  if (code === 'ENXIO' || code === 'EOPNOTSUPP') return forbidden(path, 'is not a regular file')
  if (code === 'EACCES' || code === 'EPERM' || code === 'ELOOP') {
    return new XpsError('XPS_FORBIDDEN', `${path} may not be read`, { cause: error })
  }
  return asXpsError(error, 'XPS_READ', `cannot open ${path}`)
}
