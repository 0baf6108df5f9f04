import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FileStore } from '../../../src/state/index.ts'
import { FolderClaim } from '../../../src/state/stores/folder-claim.ts'
import { run } from '../../support/programs.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xps-claim-'))
})
afterEach(() => rm(folder, { recursive: true }))

describe('The claim of a folder', () => {
  it('is had by one of many who ask at once, and by the next when that gives it up', async () => {
    const asked = await Promise.allSettled(Array.from({ length: 20 }, () => FolderClaim.take(folder)))
    const had = asked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    expect(had).toHaveLength(1)
    for (const one of asked) if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'XPS_BUSY' })
    expect(await readdir(folder)).toEqual(['.xps-lock'])
    await had[0]?.release()
    expect(await readdir(folder)).toEqual([])
    await (await FolderClaim.take(folder)).release()
  })

  it.each<[string, () => Promise<string>]>([
    ['a process that has ended', async () => `${String(await run('sh', ['-c', 'echo $$'])).trim()} 1 0\n`],
    ['an earlier process of the same number', () => Promise.resolve(`${process.pid} 1 0\n`)],
    ['nobody that can be told', () => Promise.resolve('')],
  ])('is taken over from %s, by one of many', async (_, left) => {
    await writeFile(join(folder, '.xps-lock'), await left())
    const asked = await Promise.allSettled(Array.from({ length: 20 }, () => FolderClaim.take(folder)))
    expect(asked.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(await readdir(folder)).toEqual(['.xps-lock'])
    expect(await readFile(join(folder, '.xps-lock'), 'latin1')).toMatch(new RegExp(`^${process.pid} \\d+ `))
  })

  it('is taken by a store that takes away what others have left behind that were killed at that, and nothing else', async () => {
    const dead = `${process.pid} 1 0\n`
    const other = await FolderClaim.take(folder)
    const live = await readFile(join(folder, '.xps-lock'), 'latin1')
    await other.release()
    const turns = ['.xps-lock.0123456789abcdef', '.xps-lock.0123456789abcdef.fedcba9876543210']
    for (const name of turns) await writeFile(join(folder, name), dead)
    const kept = ['.xps-lock.00000000000000ff', '.xps-lock.of.somebody', '.xps-lock.tar']
    for (const name of kept) await writeFile(join(folder, name), name.endsWith('ff') ? live : dead)
    const stores = Array.from({ length: 5 }, () => new FileStore(folder))
    const lifetimes = { idleLifetime: 0, absoluteLifetime: 0 }
    const asked = await Promise.allSettled(stores.map((store) => store.open(lifetimes)))
    expect(asked.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(asked.filter((one) => one.status === 'rejected' && one.reason.code !== 'XPS_BUSY')).toEqual([])
    for (const store of stores) for await (const { id } of store.list()) expect(id).toBe(undefined)
    expect((await readdir(folder)).toSorted()).toEqual(['.xps-lock', ...kept].toSorted())
  })

  it('is not given up by one who has lost it', async () => {
    const claim = await FolderClaim.take(folder)
    await writeFile(join(folder, '.xps-lock'), "another's")
    await claim.release()
    expect(await readFile(join(folder, '.xps-lock'), 'latin1')).toBe("another's")
  })
})
