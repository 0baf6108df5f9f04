import { join } from 'node:path'
import { Postgres } from '../../support/postgres.ts'
import { run, ServerProgram } from '../../support/programs.ts'
import { until } from '../../support/until.ts'

/** A store of `xps state` whose commits are to survive whatever ends the server. */
export interface DurableStore {
  /** What `--store` is given. */
  readonly store: string
  /** More that `xps state` is told: where locks are the engine's, those of a killed server last as long as their lease. */
  readonly options?: readonly string[]
  /** Kills the engine together with the server, and starts it again. @default there is none besides the server */
  crash?: () => Promise<void>
  close?: () => Promise<void>
}

/** Every durable store, made anew within a folder of the test's. */
export const durableStores: Record<string, (folder: string) => Promise<DurableStore>> = {
  file: async (folder) => ({ store: `file:${join(folder, 'file')}` }),
  lmdb: async (folder) => ({ store: `lmdb:${join(folder, 'lmdb')}` }),
  async redis(folder) {
    const options = ['--bind', '127.0.0.1', '--dir', folder, '--appendonly', 'yes', '--appendfsync', 'always']
    const start = (port?: number): Promise<ServerProgram> =>
      ServerProgram.start('redis-server', (given) => ['--port', String(given), ...options], port)
    let redis = await start()
    return {
      store: `redis://${redis.address}`,
      options: shortLease,
      async crash() {
        await redis.stop('SIGKILL')
        redis = await start(redis.port)
        // It listens before it has read what it had.
        await until(async () => {
          const said = await run('redis-cli', ['-p', String(redis.port), 'ping'])
          if (!said.includes('PONG')) throw new Error(String(said))
        })
      },
      close: () => redis.stop('SIGKILL'),
    }
  },
  async postgres() {
    const postgres = await Postgres.start()
    return {
      store: postgres.url,
      options: shortLease,
      async crash() {
        await postgres.down('SIGQUIT')
        await postgres.up()
      },
      close: () => postgres[Symbol.asyncDispose](),
    }
  },
}

const shortLease = ['--lock-lease', '300']
