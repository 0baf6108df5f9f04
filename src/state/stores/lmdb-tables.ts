import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Database, RootDatabase } from 'lmdb'
import { asXpsError } from '../../errors.ts'

/** Who has a lock, and until when if that process does not prolong it, in milliseconds since 1970. */
export interface LockRecord {
  readonly by: string
  readonly until: number
}

/** A process that uses the folder, and until when it is believed to live if nothing is heard of it. */
export interface MemberRecord {
  readonly pid: number
  readonly until: number
}

/** What lies in a folder of an LMDB store. Versions of records are fences, but that of the owner, which is its epoch. */
export interface LmdbTables {
  readonly env: RootDatabase
  /** Ids and what {@link encodeStored} makes of a session. */
  readonly sessions: Database<Buffer, string>
  /**
   * Ids and when they expire at the soonest: eight bytes, so that a use or a sweep moves no data. One whose version is
   * that of the session was written after it, and holds; an older one tells less than the session itself.
   */
  readonly times: Database<Buffer, string>
  /** Locks that other processes must see. */
  readonly locks: Database<LockRecord, string>
  /** Processes, by a token of each. */
  readonly members: Database<MemberRecord, string>
  /** `owner`: the token of the one process that has the folder for itself. `epoch`, `fence`: numbers that only grow. */
  readonly meta: Database<string | number, string>
  /** Stands for any version, in a condition that asks only whether a record exists. */
  readonly exists: number
  /** The version of what was read last. */
  lastVersion(): number
}

/** Opens a folder, and makes it if it is not there. Rejects with `XPS_NOT_FOUND` if the package is not installed. */
export async function openTables(folder: string, durable: boolean): Promise<LmdbTables> {
  const { open, getLastVersion, IF_EXISTS } = await loadLmdb()
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const env = open({
    path: folder,
    noSubdir: false,
    encoding: 'binary',
    separateFlushed: true,
    noSync: !durable,
    // It would wrap all of a turn in a write whose failure nobody can catch.
    eventTurnBatching: false,
  })
  try {
    for (const name of ['data.mdb', 'lock.mdb']) await chmod(join(folder, name), 0o600)
    return {
      env,
      sessions: env.openDB('sessions', { encoding: 'binary', useVersions: true }),
      times: env.openDB('times', { encoding: 'binary', useVersions: true }),
      locks: env.openDB('locks', { encoding: 'json', useVersions: true }),
      members: env.openDB('members', { encoding: 'json' }),
      meta: env.openDB('meta', { encoding: 'json', useVersions: true }),
      exists: IF_EXISTS,
      lastVersion: getLastVersion,
    }
  } catch (error) {
    await env.close()
    throw error
  }
}

/** Why a transaction has failed: the engine rejects with an error that promises another. */
export async function reasonOf(error: unknown): Promise<unknown> {
  const { commitError } = error as { commitError?: Promise<unknown> }
  return commitError === undefined ? error : commitError.catch((reason: unknown) => reason)
}

async function loadLmdb(): Promise<typeof import('lmdb') & { IF_EXISTS: number }> {
  try {
    return await import('lmdb')
  } catch (cause) {
    throw asXpsError(cause, 'XPS_NOT_FOUND', 'an LmdbStore needs the package lmdb (npm install lmdb)')
  }
}
