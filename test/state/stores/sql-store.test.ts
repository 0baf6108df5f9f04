import { Pool } from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { SqlStore, type SqlStoreOptions } from '../../../src/state/index.ts'
import { containerContract } from '../../../src/testing/index.ts'
import { Postgres } from '../../support/postgres.ts'

let postgres: Postgres
beforeAll(async () => {
  postgres = await Postgres.start()
}, 30_000)
afterAll(() => postgres[Symbol.asyncDispose]())

const pools: Pool[] = []
afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.end()))
})

function poolOf(max = 5): Pool {
  const pool = new Pool({ connectionString: postgres.url, max })
  pool.on('error', () => {})
  pools.push(pool)
  return pool
}

let made = 0
function storeOf(options: Partial<SqlStoreOptions> = {}): SqlStore {
  return new SqlStore({ pool: poolOf(), table: `sessions_${made}`, ...options })
}

describe('SqlStore', () => {
  const kind = { make: () => storeOf({ table: `sessions_${++made}` }), again: () => storeOf() }
  for (const { name, run } of containerContract(kind)) it(name, run)
})
