import { type ErrorCode, isXpsError, systemCode, XpsError } from '../../errors.ts'

/** The fault for a path that leads to nothing that is served. */
export function notFound(path: string, cause?: unknown): XpsError {
  return fault('XPS_NOT_FOUND', 404, `${path} is not there`, cause)
}

/** The fault for something that is there, but must not be read. */
export function forbidden(path: string, why: string, cause?: unknown): XpsError {
  return fault('XPS_FORBIDDEN', 403, `${path} ${why}`, cause)
}

/** The fault for a path that cannot be one. */
export function badPath(why: string): XpsError {
  return fault('XPS_BAD_REQUEST', 400, `the path ${why}`)
}

/** What went wrong with a file, with the status that tells a client of it. */
export function fileFault(path: string, error: unknown): XpsError {
  if (isXpsError(error)) {
    if (error.status !== undefined) return error
    if (error.code === 'XPS_NOT_FOUND') return notFound(path, error)
    if (error.code === 'XPS_FORBIDDEN') return forbidden(path, 'may not be read', error)
  }
  const code = systemCode(isXpsError(error) ? error.cause : error)
  // A name that is too long for the disk cannot be on it.
  if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') return notFound(path, error)
  if (code === 'EACCES' || code === 'EPERM' || code === 'ELOOP') return forbidden(path, 'may not be read', error)
  // It will pass: the process, or the machine, has too many files open.
  if (code === 'EMFILE' || code === 'ENFILE')
    return internal('XPS_BUSY', 503, `no descriptor is left for ${path}`, error)
  return internal('XPS_READ', 500, `cannot read ${path}`, error)
}

/** The fault for a file that is never the same twice in a row. */
export function keepsChanging(path: string): XpsError {
  return internal('XPS_TRUNCATED', 503, `${path} keeps changing while it is read`)
}

function fault(code: ErrorCode, status: number, message: string, cause?: unknown): XpsError {
  return new XpsError(code, message, { origin: 'client', status, ...(cause === undefined ? {} : { cause }) })
}

function internal(code: ErrorCode, status: number, message: string, cause?: unknown): XpsError {
  return new XpsError(code, message, { status, ...(cause === undefined ? {} : { cause }) })
}
