import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Commit, Stored } from '../../../src/state/container.ts'
import { LmdbStore } from '../../../src/state/stores/lmdb-store.ts'
import { containerContract } from '../../../src/testing/index.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xps-lmdb-'))
})
afterEach(() => rm(folder, { recursive: true }))

describe('LmdbStore', () => {
  let made = 0
  const kind = {
    make: () => new LmdbStore(join(folder, `${++made}`)),
    again: () => new LmdbStore(join(folder, `${made}`)),
  }
  for (const { name, run } of containerContract(kind)) it(name, run)
})
