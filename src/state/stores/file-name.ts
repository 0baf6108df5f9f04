import { randomBytes } from 'node:crypto'
import { join } from 'node:path'

// Ids differ by the case of their letters, and names of files do not everywhere. So a capital letter is written as `=`
// and the small one. All other characters of an id are good in names of files, on every system.

/** The name of the file for an id: `<id>.txt` for ids as the reference makes them. */
export function fileNameOf(id: string): string {
  return `${id.replace(/[A-Z]/g, (letter) => `=${letter.toLowerCase()}`)}.txt`
}

/** The id that a file is named after; undefined if it is no file of ours. */
export function idOf(name: string): string | undefined {
  if (!/^(?:[a-z0-9_,-]|=[a-z])+\.txt$/.test(name)) return undefined
  return name.slice(0, -4).replace(/=[a-z]/g, ([, letter = '']) => letter.toUpperCase())
}

/** A name that nobody else has, for a file that is to take another's place when it is whole. */
export function temporaryIn(folder: string): string {
  return join(folder, `.${randomBytes(12).toString('hex')}.tmp`)
}

/** Whether it is such a name. */
export function isTemporary(name: string): boolean {
  return /^\.[0-9a-f]{24}\.tmp$/.test(name)
}
