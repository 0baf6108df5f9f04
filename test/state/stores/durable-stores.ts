import { join } from 'node:path'

/** A store of `xps state` whose commits are to survive whatever ends the server. */
export interface DurableStore {
  /** What `--store` is given. */
  readonly store: string
  /** Kills the engine together with the server, and starts it again. @default there is none besides the server */
  crash?: () => Promise<void>
  close?: () => Promise<void>
}

/** Every durable store, made anew within a folder of the test's. */
export const durableStores: Record<string, (folder: string) => Promise<DurableStore>> = {
  file: async (folder) => ({ store: `file:${join(folder, 'file')}` }),
  lmdb: async (folder) => ({ store: `lmdb:${join(folder, 'lmdb')}` }),
}
