import { extname } from 'node:path'
import { lookup } from 'mrmime'

/**
 * The content type of a file, by its extension: first from the given table (written as it is given), then from the
 * library's. Text is said to be UTF-8; what nobody knows is bytes.
 */
export function contentType(file: string, own: ReadonlyMap<string, string>): string {
  const extension = extname(file).slice(1).toLowerCase()
  const given = own.get(extension)
  if (given !== undefined) return given
  const type: unknown = extension === '' ? undefined : lookup(extension)
  // A table that is an object knows 'constructor', too.
  if (typeof type !== 'string') return 'application/octet-stream'
  return type.startsWith('text/') ? `${type}; charset=utf-8` : type
}
