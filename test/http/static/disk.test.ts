import { appendFileSync, truncateSync, writeFileSync } from 'node:fs'
import { rename, rm, symlink } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { XpsError } from '../../../src/errors.ts'
import { Disk } from '../../../src/http/static/disk.ts'
import { fileFault } from '../../../src/http/static/faults.ts'
import { pattern } from '../../pipe/hand-ends.ts'
import { ask, Site } from './site.ts'

const large = pattern(8_000_000)

/** Does something in every turn of the event loop, as long as the other thing lasts. */
async function during<T>(work: Promise<T>, each: (turn: number) => void): Promise<T> {
  let over = false
  const tick = (turn: number): void => {
    if (over) return
    each(turn)
    setImmediate(tick, turn + 1)
  }
  tick(0)
  return await work.finally(() => {
    over = true
  })
}

describe('Disk', () => {
  it('reads what a file that only grows was up to then', async () => {
    await using site = await Site.of({ 'grows.log': large })
    const files = site.files({ cache: { maxFileSize: '20 MB' } })
    const path = site.path('grows.log')
    const reply = await during(ask(files, '/grows.log'), () => appendFileSync(path, 'more'))
    expect(reply.status).toBe(200)
    expect(reply.body.length).toBeGreaterThanOrEqual(8_000_000)
    expect(reply.body.subarray(0, 8_000_000).equals(large)).toBe(true)
    expect(Buffer.from(reply.body.subarray(8_000_000)).toString()).toMatch(/^(more)*$/)
  })

  it('gives up on a file that is never the same, with 503, and has it when it is at rest', async () => {
    await using site = await Site.of({ 'busy.bin': large })
    const files = site.files({ cache: { maxFileSize: '20 MB' } })
    const path = site.path('busy.bin')
    const reply = await during(ask(files, '/busy.bin'), (turn) => truncateSync(path, 8_000_000 - turn))
    expect(reply).toMatchObject({ status: 503, error: { code: 'XPS_TRUNCATED' } })
    writeFileSync(path, 'at rest')
    expect((await ask(site.files(), '/busy.bin')).text).toBe('at rest')
  })

  it('opens the file that is known, and checks anew when there is another in its place', async () => {
    await using site = await Site.of({ 'a.txt': 'first', '../secret.txt': 'secret' })
    const disk = new Disk(site.root, false)
    const known = await disk.lookWithin('a.txt')
    const content = async (): Promise<string | undefined> => (await disk.read('a.txt', known, 100))?.bytes.toString()
    expect(await content()).toBe('first')
    await site.write('../next', 'second')
    await rename(site.path('../next'), site.path('a.txt'))
    expect(await content()).toBe('second')
    await rm(site.path('a.txt'))
    await expect(content()).rejects.toMatchObject({ code: 'XPS_NOT_FOUND' })
    await symlink('../secret.txt', site.path('a.txt'))
    await expect(content()).rejects.toMatchObject({ code: 'XPS_FORBIDDEN' })
    // Also when a folder on the way is another one.
    await site.write('folder/b.txt', 'inside')
    await site.write('../other/b.txt', 'outside')
    const below = await disk.lookWithin('folder/b.txt')
    await rm(site.path('folder'), { recursive: true })
    await symlink('../other', site.path('folder'))
    await expect(disk.read('folder/b.txt', below, 100)).rejects.toMatchObject({ code: 'XPS_FORBIDDEN' })
  })

  it('reads nothing that is larger than it may be', async () => {
    await using site = await Site.of({ 'a.txt': '12345' })
    const disk = new Disk(site.root, false)
    const known = await disk.lookWithin('a.txt')
    expect(await disk.read('a.txt', known, 4)).toBeUndefined()
    expect((await disk.read('a.txt', known, 5))?.bytes.toString()).toBe('12345')
  })
})

describe('fileFault', () => {
  const system = (code: string): Error => Object.assign(new Error(code), { code })

  it.each([
    ['ENOENT', 404, 'XPS_NOT_FOUND'],
    ['ENOTDIR', 404, 'XPS_NOT_FOUND'],
    ['ENAMETOOLONG', 404, 'XPS_NOT_FOUND'],
    ['EACCES', 403, 'XPS_FORBIDDEN'],
    ['EPERM', 403, 'XPS_FORBIDDEN'],
    ['ELOOP', 403, 'XPS_FORBIDDEN'],
    ['EMFILE', 503, 'XPS_BUSY'],
    ['ENFILE', 503, 'XPS_BUSY'],
    ['EIO', 500, 'XPS_READ'],
  ])('tells of %s by %i', (code, status, name) => {
    expect(fileFault('a', system(code))).toMatchObject({ status, code: name, cause: { code } })
    const wrapped = new XpsError('XPS_READ', 'cannot open', { cause: system(code) })
    expect(fileFault('a', wrapped)).toMatchObject({ status, code: name })
  })

  it('leaves a fault that has a status as it is, and gives one to those that have none', () => {
    const fault = new XpsError('XPS_NOT_FOUND', 'gone', { status: 410 })
    expect(fileFault('a', fault)).toBe(fault)
    expect(fileFault('a', new XpsError('XPS_NOT_FOUND', 'gone'))).toMatchObject({ status: 404 })
    expect(fileFault('a', new XpsError('XPS_FORBIDDEN', 'no'))).toMatchObject({ status: 403 })
    expect(fileFault('a', new Error('odd'))).toMatchObject({ status: 500, code: 'XPS_READ' })
  })
})
