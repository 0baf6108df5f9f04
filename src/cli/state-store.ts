import { type Container, FileStore, LmdbStore, MemoryStore } from '../state/index.ts'
import { postgresStore } from './postgres-store.ts'
import { redisStore } from './redis-store.ts'
import { UsageError } from './usage.ts'

/** Where `xps state` keeps sessions. */
export interface StateStore {
  readonly store: Container
  /** What to print. */
  readonly text: string
  /** Lets go of what is not the store's own. */
  close?(): Promise<void>
}

/** Makes the store of `--store`; nothing is connected yet. Rejects with a {@link UsageError} for what is none. */
export async function stateStore(text: string): Promise<StateStore> {
  if (text === 'memory') return { store: new MemoryStore(), text }
  const [, kind, folder] = /^(file|lmdb):(.+)$/.exec(text) ?? []
  if (folder !== undefined) {
    return kind === 'lmdb'
      ? { store: new LmdbStore(folder), text: `LMDB in ${folder}` }
      : { store: new FileStore(folder), text: `files in ${folder}` }
  }
  if (/^postgres(ql)?:\/\//.test(text)) {
    // What is typed may have a password in it.
    if (!URL.canParse(text)) throw new UsageError('--store postgres://… is no address such as postgres://user@host/db')
    return postgresStore(new URL(text))
  }
  if (/^rediss?:/.test(text)) {
    if (!isRedisUrl(text)) throw new UsageError('--store redis://… is no address such as redis://host:6379/0')
    return redisStore(new URL(text))
  }
  throw new UsageError(
    `--store must be memory, file:DIR, lmdb:DIR, redis://HOST:PORT or postgres://USER@HOST/DB, got '${text}'`,
  )
}

function isRedisUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { hostname, pathname, search, hash } = new URL(text)
  return hostname !== '' && /^(\/\d{0,9})?$/.test(pathname) && search === '' && hash === ''
}
