import { statSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Stored } from '../../../src/state/container.ts'
import { FileCache } from '../../../src/state/stores/file-cache.ts'

const stored: Stored = { data: new Map(), created: 0, expires: 1, idle: undefined }

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xps-cache-'))
})
afterEach(() => rm(folder, { recursive: true }))

describe('FileCache', () => {
  async function keep(cache: FileCache, name: string, size = 100): Promise<string> {
    const path = join(folder, name)
    await writeFile(path, 'x'.repeat(size))
    cache.set(path, statSync(path), stored)
    return path
  }

  it('forgets what was not used for longest when it is full', async () => {
    const cache = new FileCache(2 * (100 + 512))
    const one = await keep(cache, 'one')
    const two = await keep(cache, 'two')
    expect(cache.get(one)).toBe(stored)
    const three = await keep(cache, 'three')
    expect([one, two, three].map((path) => cache.get(path))).toEqual([stored, undefined, stored])
  })

  it('keeps nothing that is larger than itself, and none of the one before', async () => {
    const cache = new FileCache(1_000)
    const small = await keep(cache, 'one')
    const other = await keep(cache, 'one', 2_000)
    expect(small).toBe(other)
    expect(cache.get(small)).toBe(undefined)
    expect(cache.has(small)).toBe(undefined)
  })

  it('knows nothing of a file that is another, and says that one is gone', async () => {
    const cache = new FileCache(1_000_000)
    const path = await keep(cache, 'one')
    expect(cache.has(path)).toBe(true)
    await writeFile(path, 'other')
    expect(cache.get(path)).toBe(undefined)
    await keep(cache, 'one')
    await rm(path)
    expect(cache.has(path)).toBe(false)
  })

  it('counts one that is set again once', async () => {
    const cache = new FileCache(3 * (100 + 512))
    const two = await keep(cache, 'two')
    for (let n = 0; n < 10; n++) await keep(cache, 'one')
    expect(cache.get(two)).toBe(stored)
    cache.clear()
    expect(cache.has(two)).toBe(undefined)
  })
})
