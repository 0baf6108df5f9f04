import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { link, readFile, unlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { systemCode, XpsError } from '../../errors.ts'
import { temporaryIn } from './file-name.ts'

/** The file that says who uses a folder: the process, when that began, and which of its stores. */
const claimName = '.xps-lock'
/** The claims of what is being taken away, and of those in turn. */
const turnName = /^\.xps-lock(?:\.[0-9a-f]{16})+$/

/**
 * Says of a folder that one store has it, for as long as its process lives: two that do not know of each other would lose
 * what the other writes. A process that was killed has nothing any more; on Linux neither has one whose number another has now.
 */
export class FolderClaim {
  readonly #path: string
  readonly #text: string

  private constructor(path: string, text: string) {
    this.#path = path
    this.#text = text
  }

  /** Rejects with `XPS_BUSY` if another store has the folder, and names its process. */
  static take(folder: string): Promise<FolderClaim> {
    return FolderClaim.#put(join(folder, claimName), folder)
  }

  /**
   * Puts a claim there; one that is of nobody any more is taken away first. To do that is claimed too, by the name of what
   * is taken away: two who found the same could else take away what the first of them has put in its place.
   */
  static async #put(path: string, folder: string): Promise<FolderClaim> {
    const text = `${process.pid} ${beginningOf(process.pid) ?? '-'} ${randomBytes(8).toString('hex')}\n`
    while (!(await put(path, text))) {
      const found = await readFile(path, 'latin1').catch(ifGone)
      if (found === undefined) continue
      const owner = liveOwner(found)
      if (owner !== undefined) throw inUse(folder, owner)
      const turn = await FolderClaim.#put(`${path}.${nameOf(found)}`, folder)
      if ((await readFile(path, 'latin1').catch(ifGone)) === found) await unlink(path).catch(ifGone)
      await turn.release()
    }
    return new FolderClaim(path, text)
  }

  /**
   * Removes a file of the folder if it is the claim of a process that was killed while it took something away. What that was
   * about is gone, so that nobody asks for it again; who asks for it now is about to find out that the folder is ours.
   */
  async tidy(name: string): Promise<void> {
    if (!turnName.test(name)) return
    const path = join(dirname(this.#path), name)
    const text = await readFile(path, 'latin1').catch(ifGone)
    if (text !== undefined && liveOwner(text) === undefined) await unlink(path).catch(ifGone)
  }

  /** Gives the folder up. */
  async release(): Promise<void> {
    if ((await readFile(this.#path, 'latin1').catch(ifGone)) === this.#text) await unlink(this.#path).catch(ifGone)
  }
}

/** Puts the file there, whole, if there is none; false if there is. */
async function put(path: string, text: string): Promise<boolean> {
  const fresh = temporaryIn(dirname(path))
  await writeFile(fresh, text, { flag: 'wx', mode: 0o600 })
  try {
    await link(fresh, path)
    return true
  } catch (error) {
    // The one who has the folder may just have cleaned up in it.
    if (systemCode(error) === 'EEXIST' || systemCode(error) === 'ENOENT') return false
    throw error
  } finally {
    await unlink(fresh).catch(ifGone)
  }
}

function nameOf(claim: string): string {
  return createHash('sha256').update(claim).digest('hex').slice(0, 16)
}

/** The number of the process that a claim is of; undefined if that is gone. */
function liveOwner(text: string): number | undefined {
  const [, pid, began] = /^(\d+) (\d+|-) /.exec(text) ?? []
  if (pid === undefined) return undefined
  const number = Number(pid)
  try {
    process.kill(number, 0)
  } catch (error) {
    // Otherwise it is there, and somebody else's.
    if (systemCode(error) !== 'EPERM') return undefined
  }
  return began === '-' || began === beginningOf(number) ? number : undefined
}

/** When a process began, as Linux counts; undefined for one that has ended, and on other systems. See proc(5). */
function beginningOf(pid: number): string | undefined {
  try {
    const [state, ...rest] = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ') ?? []
    return state === 'Z' ? undefined : rest[18]
  } catch {
    return undefined
  }
}

function inUse(folder: string, pid: number): XpsError {
  const owner = pid === process.pid ? 'this process' : `process ${pid}`
  return new XpsError('XPS_BUSY', `${folder} is in use by ${owner}: one store at a time may have a folder`)
}

function ifGone(error: unknown): undefined {
  if (systemCode(error) !== 'ENOENT') throw error
}
