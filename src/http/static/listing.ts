import type { Dirent } from 'node:fs'
import { opendir } from 'node:fs/promises'
import type { Disk } from './disk.ts'
import { fileFault } from './faults.ts'

/** The page, as it is answered with. */
export interface ListedPage {
  readonly status: 200
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** One line of a list. */
interface ListedFile {
  readonly name: string
  readonly folder: boolean
  readonly size: number
  readonly modified: Date
}

// How many entries are looked at at the same time: the threads that do it are few, and others want them, too.
const atOnce = 16

const order = new Intl.Collator('en', { numeric: true })

/**
 * A page that lists what is in a folder: folders first, by name, with size and date (UTC).
 *
 * Left out is what could not be asked for: hidden names (unless `dotfiles`), links out of the root, what is neither
 * file nor folder, names that no path can have. Of more than `maxEntries` entries it shows the first that the disk
 * tells of, and says so. `title` is the path as the client knows it.
 */
export async function listFolder(
  disk: Disk,
  folder: string,
  title: string,
  options: { maxEntries: number; dotfiles: boolean; parent: boolean },
): Promise<ListedPage> {
  await disk.mustBeWithin(folder)
  const { names, more } = await namesIn(disk, folder, options)
  const files: ListedFile[] = []
  for (let at = 0; at < names.length; at += atOnce) {
    const looked = await Promise.all(names.slice(at, at + atOnce).map((name) => lookAt(disk, folder, name)))
    for (const file of looked) if (file !== undefined) files.push(file)
  }
  // Another folder may have been put in its place meanwhile, or a link: then nothing of it is told.
  await disk.mustBeWithin(folder)
  files.sort((a, b) => Number(b.folder) - Number(a.folder) || order.compare(a.name, b.name))
  return { status: 200, headers: pageFields, body: page(title, files, more, options.parent) }
}

async function namesIn(
  disk: Disk,
  folder: string,
  options: { maxEntries: number; dotfiles: boolean },
): Promise<{ names: string[]; more: boolean }> {
  const names: string[] = []
  try {
    for await (const entry of await opendir(disk.path(folder))) {
      if (!isListed(entry, options.dotfiles)) continue
      if (names.length === options.maxEntries) return { names, more: true }
      names.push(entry.name)
    }
  } catch (error) {
    throw fileFault(folder, error)
  }
  return { names, more: false }
}

function isListed(entry: Dirent, dotfiles: boolean): boolean {
  if (!entry.isFile() && !entry.isDirectory() && !entry.isSymbolicLink()) return false
  // A backslash is refused in paths; halves of characters cannot be written in UTF-8.
  if (entry.name.includes('\\') || Buffer.from(entry.name).toString() !== entry.name) return false
  return dotfiles || !entry.name.startsWith('.')
}

async function lookAt(disk: Disk, folder: string, name: string): Promise<ListedFile | undefined> {
  const file = folder === '' ? name : `${folder}/${name}`
  try {
    const stats = await disk.look(file)
    if (stats === undefined || (!stats.isFile() && !stats.isDirectory())) return undefined
    await disk.mustBeWithin(file)
    return { name, folder: stats.isDirectory(), size: stats.size, modified: stats.mtime }
  } catch {
    return undefined // What cannot be had is not offered.
  }
}

/** A page of ours runs nothing and loads nothing, whatever the names in it are. */
const pageFields: Readonly<Record<string, string>> = Object.freeze({
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-cache',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'",
  'x-content-type-options': 'nosniff',
})

function page(title: string, files: readonly ListedFile[], more: boolean, parent: boolean): string {
  const rows = files.map((file) => {
    const name = file.folder ? `${file.name}/` : file.name
    // The dot in front keeps a name from being taken for a scheme, or for a host.
    const link = `./${encodeURIComponent(file.name)}${file.folder ? '/' : ''}`
    const size = file.folder ? '' : String(file.size)
    return `<tr><td><a href="${escapeHtml(link)}">${escapeHtml(name)}</a><td>${size}<td>${dateOf(file.modified)}`
  })
  if (parent) rows.unshift('<tr><td><a href="../">../</a><td><td>')
  const note = more ? `<p>There is more; these are ${files.length} of the entries.</p>\n` : ''
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title>
<style>body{font:14px/1.5 system-ui,sans-serif;margin:2em}td,th{padding:0 2em 0 0;text-align:left}
td:nth-child(2),th:nth-child(2){text-align:right;font-variant-numeric:tabular-nums}</style>
<h1>${escapeHtml(title)}</h1>
<table>
<tr><th>Name<th>Bytes<th>Changed (UTC)
${rows.join('\n')}
</table>
${note}</html>
`
}

/** `2026-11-21 13:42:05` */
function dateOf(date: Date): string {
  return Number.isNaN(date.getTime()) ? '' : date.toISOString().slice(0, 19).replace('T', ' ')
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
