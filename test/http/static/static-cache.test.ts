import { rmSync, writeFileSync } from 'node:fs'
import { rename, rm, stat, utimes } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import type { Answer } from '../../../src/http/messages.ts'
import type { StaticFiles } from '../../../src/http/static/static-files.ts'
import type { StaticOptions } from '../../../src/http/static/static-options.ts'
import { PipeSource } from '../../../src/pipe/source.ts'
import { ManualClock } from '../../../src/testing/manual-clock.ts'
import { turns } from '../../pipe/hand-ends.ts'
import { Random } from '../../support/random.ts'
import { ask, request, Site } from './site.ts'

const day = new Date(Date.UTC(2024, 0, 10, 12, 0, 0))
const page = { Accept: 'text/html' }

/** Files with a clock by hand, which are fresh for a second. */
function timed(site: Site, options: StaticOptions = {}): { files: StaticFiles; clock: ManualClock } {
  const clock = new ManualClock()
  return { files: site.files({ clock, ...options }), clock }
}

/** The answer, which must come in the same call. */
function now(files: StaticFiles, path: string, headers = {}, method = 'GET'): Answer {
  const answer = files.answer(request(path, { headers, method }), path, '')
  if (answer instanceof Promise) throw new Error(`${path} is not answered at once`)
  return answer
}

/** Lets the disk be asked what it was asked, but not the answer come. */
function spin(): void {
  const until = performance.now() + 20
  while (performance.now() < until);
}

/** Waits until what changed last can be told from another change by its time. */
async function settled(site: Site, ...names: string[]): Promise<void> {
  for (const name of names) {
    const { ctimeMs } = await stat(site.path(name))
    while (Date.now() - ctimeMs < 150) await turns(20)
  }
}

describe('the cache of StaticFiles', () => {
  describe('and what it holds', () => {
    it('gives a plain GET the same frozen answer each time, in the same call', async () => {
      await using site = await Site.of({ 'a.txt': 'content', 'a.txt.br': 'br' })
      const { files } = timed(site)
      const first = files.answer(request('/a.txt'), '/a.txt', '')
      expect(first).toBeInstanceOf(Promise)
      const answer = await first
      expect(Object.isFrozen(answer)).toBe(true)
      expect(Object.isFrozen(answer.headers)).toBe(true)
      expect(answer.body).toBeInstanceOf(Uint8Array)
      for (let count = 0; count < 3; count++) expect(now(files, '/a.txt')).toBe(answer)
      // Each coding has its own.
      const br = await files.answer(request('/a.txt', { headers: { 'Accept-Encoding': 'br' } }), '/a.txt', '')
      expect(br).not.toBe(answer)
      expect(now(files, '/a.txt', { 'Accept-Encoding': 'gzip, br' })).toBe(br)
      expect(now(files, '/a.txt')).toBe(answer)
    })

    it('answers everything about a known file in the same call', async () => {
      await using site = await Site.of({ 'a.txt': 'content', 'index.html': 'home' })
      const { files } = timed(site, { fallback: 'index.html' })
      const { headers } = await ask(files, '/a.txt')
      await ask(files, '/route', { headers: page })
      expect(now(files, '/a.txt', {}, 'HEAD')).toBe(now(files, '/a.txt', {}, 'HEAD'))
      const again = { 'If-None-Match': headers['etag'] as string }
      expect(now(files, '/a.txt', again)).toMatchObject({ status: 304 })
      expect(now(files, '/a.txt', again)).toBe(now(files, '/a.txt', again))
      expect(now(files, '/a.txt', { 'If-Match': '"x"' }).status).toBe(412)
      expect(String(now(files, '/a.txt', { Range: 'bytes=0-2' }).body)).toBe('con')
      expect(String(now(files, '/a.txt', { Range: 'bytes=0-0,-1' }).body)).toMatch(/\r\n\r\nc\r\n.*\r\n\r\nt\r\n/s)
      expect(now(files, '/a.txt', { Range: 'bytes=7-' }).status).toBe(416)
      expect(now(files, '/route', page)).toBe(now(files, '/route', page))
      expect(() => now(files, '/route')).toThrow('is not there')
    })

    it('knows without the contents what needs no contents', async () => {
      await using site = await Site.of({ 'a.txt': 'content' })
      const { files } = timed(site)
      expect((await ask(files, '/a.txt', { method: 'HEAD' })).headers['content-length']).toBe('7')
      expect((await ask(files, '/a.txt', { headers: { 'If-None-Match': '*' } })).status).toBe(304)
      expect(now(files, '/a.txt', {}, 'HEAD').status).toBe(200)
      expect(files.numbers.reads).toBe(0)
    })

    it('reads a file once, however many ask for it at the same time and by whichever path', async () => {
      await using site = await Site.of({ 'index.html': 'home' })
      const { files } = timed(site, { fallback: 'index.html' })
      const paths = ['/', '/index.html', '/%69ndex.html', '/a/route', '/another']
      const answers = await Promise.all(
        Array.from({ length: 100 }, async (_, index) => {
          const path = paths[index % 3] as string
          return await files.answer(request(path), path, '')
        }),
      )
      expect(new Set(answers).size).toBe(1)
      expect(files.numbers.reads).toBe(1)
      for (const path of paths) expect((await ask(files, path, { headers: page })).text).toBe('home')
      expect(files.numbers).toMatchObject({ reads: 1, paths: 5 })
    })

    it('does not hold what is too large, and sends it from the disk', async () => {
      await using site = await Site.of({ 'fits.bin': Buffer.alloc(1_000), 'large.bin': Buffer.alloc(1_001) })
      const { files } = timed(site, { cache: { maxFileSize: 1_000 } })
      for (let count = 0; count < 3; count++) {
        expect((await ask(files, '/fits.bin')).body).toHaveLength(1_000)
        const large = await ask(files, '/large.bin')
        expect(large.body).toHaveLength(1_001)
        expect(large.answer?.body).toBeInstanceOf(PipeSource)
      }
      expect(files.numbers.reads).toBe(1)
      expect(now(files, '/large.bin', {}, 'HEAD').status).toBe(200)
      expect(now(files, '/large.bin', { Range: 'bytes=2000-' }).status).toBe(416)
    })
  })

  describe('and changes', () => {
    it('sees a change a second after it at the latest, and not before it looks', async () => {
      await using site = await Site.of({ 'a.txt': 'old content' })
      const { files, clock } = timed(site)
      clock.advance(5_000)
      const old = (await ask(files, '/a.txt')).answer
      clock.advance(400)
      await site.write('a.txt', 'new')
      clock.advance(599)
      expect(now(files, '/a.txt')).toBe(old)
      clock.advance(1)
      const reply = await ask(files, '/a.txt')
      expect(reply).toMatchObject({ text: 'new', sync: false })
      expect(reply.headers['etag']).not.toBe((old?.headers as Record<string, string>)['etag'])
      expect(now(files, '/a.txt')).toBe(reply.answer)
    })

    it('sees a change that leaves size and time as they were', async () => {
      await using site = await Site.of({ 'a.txt': 'aaaa' })
      await utimes(site.path('a.txt'), day, day)
      const { files, clock } = timed(site)
      await settled(site, 'a.txt')
      expect((await ask(files, '/a.txt')).text).toBe('aaaa')
      await site.write('a.txt', 'bbbb')
      await utimes(site.path('a.txt'), day, day)
      clock.advance(1_000)
      expect((await ask(files, '/a.txt')).text).toBe('bbbb')
    })

    it('sees a change that comes within the same tick of the disk, each time', async () => {
      await using site = await Site.of({})
      const { files, clock } = timed(site)
      for (let round = 0; round < 100; round++) {
        writeFileSync(site.path('a.txt'), 'before')
        clock.advance(1_000)
        await ask(files, '/a.txt')
        writeFileSync(site.path('a.txt'), `${round}`.padStart(6))
        clock.advance(1_000)
        expect((await ask(files, '/a.txt')).text).toBe(`${round}`.padStart(6))
      }
    })

    it('does not read again what has not changed, also when it is touched by another path', async () => {
      await using site = await Site.of({ 'index.html': 'home', 'a.js': 'js', 'a.js.br': 'br' })
      const { files, clock } = timed(site)
      await settled(site, 'index.html', 'a.js', 'a.js.br')
      const { answer } = await ask(files, '/')
      const br = { headers: { 'Accept-Encoding': 'br' } }
      const coded = (await ask(files, '/a.js', br)).answer
      for (let round = 0; round < 5; round++) {
        clock.advance(1_000)
        expect((await ask(files, round % 2 === 0 ? '/' : '/index.html')).answer).toBe(answer)
        expect((await ask(files, '/a.js', br)).answer).toBe(coded)
      }
      expect(files.numbers.reads).toBe(2)
    })

    it('answers 404 for what is deleted, and 200 when it is back', async () => {
      await using site = await Site.of({ 'a.txt': 'one', 'folder/index.html': 'in' })
      const { files, clock } = timed(site)
      await ask(files, '/a.txt')
      await ask(files, '/folder/')
      await rm(site.path('a.txt'))
      await rm(site.path('folder'), { recursive: true })
      expect(String(now(files, '/a.txt').body)).toBe('one')
      clock.advance(1_000)
      expect((await ask(files, '/a.txt')).status).toBe(404)
      expect((await ask(files, '/folder/')).status).toBe(404)
      expect(files.numbers).toMatchObject({ bytes: 0, paths: 0 })
      await site.write('a.txt', 'two')
      expect((await ask(files, '/a.txt')).text).toBe('two')
    })

    it('sends what has grown too large from the disk, and holds it when it is small again', async () => {
      await using site = await Site.of({ 'a.bin': Buffer.alloc(100, 1) })
      const { files, clock } = timed(site, { cache: { maxFileSize: 1_000 } })
      await ask(files, '/a.bin')
      await site.write('a.bin', Buffer.alloc(5_000, 2))
      clock.advance(1_000)
      const large = await ask(files, '/a.bin')
      expect(large.body.equals(Buffer.alloc(5_000, 2))).toBe(true)
      expect(large.answer?.body).toBeInstanceOf(PipeSource)
      await site.write('a.bin', Buffer.alloc(10, 3))
      clock.advance(1_000)
      await ask(files, '/a.bin')
      expect(now(files, '/a.bin').body).toEqual(Buffer.alloc(10, 3))
    })

    it('sees that a coding has come or gone, and says so in Vary', async () => {
      await using site = await Site.of({ 'a.js': 'plain' })
      const { files, clock } = timed(site)
      const br = { headers: { 'Accept-Encoding': 'br' } }
      expect((await ask(files, '/a.js', br)).headers['vary']).toBeUndefined()
      await site.write('a.js.br', 'coded')
      clock.advance(1_000)
      expect(await ask(files, '/a.js', br)).toMatchObject({ text: 'coded', headers: { vary: 'accept-encoding' } })
      expect(await ask(files, '/a.js')).toMatchObject({ text: 'plain', headers: { vary: 'accept-encoding' } })
      await site.write('a.js.br', 'coded again')
      clock.advance(1_000)
      expect((await ask(files, '/a.js', br)).text).toBe('coded again')
      await rm(site.path('a.js.br'))
      clock.advance(1_000)
      const without = await ask(files, '/a.js', br)
      expect(without.text).toBe('plain')
      expect(without.headers['vary']).toBeUndefined()
    })

    it('sees that a better index has come, a folder in place of a file, and a file in place of the fallback', async () => {
      await using site = await Site.of({ 'second.html': '2', name: 'file', 'app.html': 'app' })
      const { files, clock } = timed(site, { index: ['first.html', 'second.html'], fallback: 'app.html' })
      const get = async (path: string): Promise<string | number> => {
        const reply = await ask(files, path, { headers: page })
        return reply.status === 200 ? reply.text : reply.status
      }
      expect([await get('/'), await get('/name'), await get('/route')]).toEqual(['2', 'file', 'app'])
      await site.write('first.html', '1')
      await rm(site.path('name'))
      await site.write('name/first.html', 'folder')
      await site.write('route', 'routed')
      clock.advance(1_000)
      expect([await get('/'), await get('/name'), await get('/route')]).toEqual(['1', 301, 'routed'])
    })

    it('reads again what it read so soon after a change that another one could look the same', async () => {
      await using site = await Site.of({})
      const { files, clock } = timed(site)
      const readsOf = async (): Promise<number> => {
        const { reads } = files.numbers
        clock.advance(1_000)
        await ask(files, '/a.txt')
        return files.numbers.reads - reads
      }
      for (let inTime = false; !inTime; ) {
        await site.write('a.txt', 'content')
        const { ctimeMs } = await stat(site.path('a.txt'))
        await readsOf()
        const reads = await readsOf()
        // A busy machine may take too long to try it.
        inTime = Date.now() - ctimeMs < 100
        if (inTime) expect(reads).toBe(1)
      }
      await settled(site, 'a.txt')
      await readsOf()
      expect(await readsOf()).toBe(0)
    })

    it('does not let a request wait for a look that began before a change it must see', async () => {
      await using site = await Site.of({ 'a.txt': 'old' })
      const { files, clock } = timed(site)
      for (const text of ['one', 'two', 'three']) {
        // In memory, and known well enough not to be read again.
        await settled(site, 'a.txt')
        clock.advance(1_000)
        await ask(files, '/a.txt')
        clock.advance(1_000)
        await ask(files, '/a.txt')
        clock.advance(1_000)
        const early = ask(files, '/a.txt')
        spin()
        writeFileSync(site.path('a.txt'), text)
        clock.advance(1_000)
        const late = ask(files, '/a.txt')
        expect((await late).text).toBe(text)
        await early
        expect((await ask(files, '/a.txt')).text).toBe(text)
      }
    })

    it('counts from before the look, however long the look takes', async () => {
      await using site = await Site.of({ 'a.txt': 'old' })
      const { files, clock } = timed(site)
      await settled(site, 'a.txt')
      await ask(files, '/a.txt')
      clock.advance(1_000)
      const early = ask(files, '/a.txt')
      spin()
      writeFileSync(site.path('a.txt'), 'new')
      clock.advance(900)
      await early
      clock.advance(100)
      expect((await ask(files, '/a.txt')).text).toBe('new')
    })

    it('sends another coding when the one that it knows of has gone, and nothing when all has', async () => {
      await using site = await Site.of({ 'a.js': 'plain', 'a.js.br': 'coded', 'b.txt': 'b' })
      const { files } = timed(site)
      const br = { headers: { 'Accept-Encoding': 'br' } }
      for (const path of ['/a.js', '/%61.js']) expect((await ask(files, path)).text).toBe('plain')
      await ask(files, '/b.txt', { method: 'HEAD' })
      await rm(site.path('a.js.br'))
      await rm(site.path('b.txt'))
      expect((await ask(files, '/a.js', br)).text).toBe('plain')
      expect((await ask(files, '/b.txt')).status).toBe(404)
    })

    it('looks each time if nothing is to be fresh, and still keeps the contents', async () => {
      await using site = await Site.of({ 'a.txt': 'one' })
      const files = site.files({ cache: { freshFor: 0 } })
      await settled(site, 'a.txt')
      const first = await ask(files, '/a.txt')
      const second = await ask(files, '/a.txt')
      expect(second).toMatchObject({ text: 'one', sync: false })
      expect(second.answer).toBe(first.answer)
      expect(files.numbers.reads).toBe(1)
      await site.write('a.txt', 'two')
      expect((await ask(files, '/a.txt')).text).toBe('two')
    })

    it('never answers with what was over for a second, whatever happens in whichever order', async () => {
      await using site = await Site.of({})
      const random = new Random()
      const { files, clock } = timed(site, { cache: { maxBytes: 20_000, maxFileSize: 2_000 } })
      const names = ['a.txt', 'a.txt.br', 'b.txt', 'b.txt.gz']
      /** What a file has been, and until when; undefined for not there. */
      const past = new Map<string, { content: string | undefined; until: number }[]>()
      const current = new Map<string, string | undefined>()
      const possible = (name: string): (string | undefined)[] => {
        const recent = (past.get(name) ?? []).filter(({ until }) => clock.now() < until + 1_000)
        return [current.get(name), ...recent.map(({ content }) => content)]
      }
      for (let step = 0; step < 1_500; step++) {
        const name = random.pick(names)
        const action = random.below(10)
        if (action < 3) {
          past.set(name, [...(past.get(name) ?? []), { content: current.get(name), until: clock.now() }].slice(-20))
          const content = random.below(5) === 0 ? undefined : `${step}`.padEnd(random.pick([4, 4, 1_500, 3_000]))
          if (content === undefined) rmSync(site.path(name), { force: true })
          else writeFileSync(site.path(name), content)
          current.set(name, content)
        } else if (action < 5) {
          clock.advance(random.pick([1, 100, 400, 999, 1_000]))
        } else {
          const path = `/${name.slice(0, 5)}`
          const replies = [
            ask(files, path, { headers: { 'Accept-Encoding': random.pick(['br', 'gzip', 'identity']) } }),
          ]
          if (action === 9) replies.push(ask(files, path))
          for (const reply of await Promise.all(replies)) {
            const coding = reply.headers['content-encoding']
            const file = path.slice(1) + (coding === undefined ? '' : coding === 'br' ? '.br' : '.gz')
            const got = reply.status === 404 ? undefined : reply.text
            expect(
              possible(reply.status === 404 ? path.slice(1) : file),
              `seed ${random.seed}, step ${step}`,
            ).toContain(got)
          }
        }
        expect(files.numbers.bytes).toBeLessThanOrEqual(20_000)
      }
    })
  })

  describe('and its bounds', () => {
    it('never takes more than it may, and keeps what is used', async () => {
      const many = Object.fromEntries(
        Array.from({ length: 100 }, (_, index) => [`${index}.bin`, Buffer.alloc(10_000, index)]),
      )
      await using site = await Site.of({ ...many, 'hot.bin': Buffer.alloc(10_000, 255) })
      const { files } = timed(site, { cache: { maxBytes: 100_000, maxFileSize: 50_000 } })
      const hot = (await ask(files, '/hot.bin')).answer
      for (let index = 0; index < 100; index++) {
        const reply = await ask(files, `/${index}.bin`)
        expect(reply.body.equals(Buffer.alloc(10_000, index))).toBe(true)
        expect(files.numbers.bytes).toBeLessThanOrEqual(100_000)
        expect(now(files, '/hot.bin')).toBe(hot)
      }
      expect(files.numbers.paths).toBeGreaterThan(4)
      expect(files.numbers.paths).toBeLessThan(10)
      // What was dropped is read again.
      expect((await ask(files, '/0.bin')).body.equals(Buffer.alloc(10_000, 0))).toBe(true)
    })

    it('holds no more paths than it has memory for, whatever is made up', async () => {
      await using site = await Site.of({ 'index.html': 'home' })
      const { files } = timed(site, { fallback: 'index.html', cache: { maxBytes: 50_000, maxFileSize: 10_000 } })
      for (let index = 0; index < 400; index++) {
        expect((await ask(files, `/made/up/${index}`, { headers: page })).text).toBe('home')
        expect(files.numbers.bytes).toBeLessThanOrEqual(50_000)
      }
      expect(files.numbers.paths).toBeLessThan(200)
      expect(files.numbers.reads).toBe(1)
    })

    it('remembers nothing of what is not there', async () => {
      await using site = await Site.of({})
      const { files } = timed(site)
      for (let index = 0; index < 100; index++) expect((await ask(files, `/made/up/${index}`)).status).toBe(404)
      expect(files.numbers).toEqual({ bytes: 0, paths: 0, reads: 0 })
    })

    it('holds not even one file if its codings together are too much', async () => {
      const content = Buffer.alloc(4_000, 7)
      await using site = await Site.of({ 'a.js': content, 'a.js.br': content, 'a.js.gz': content, 'a.js.zst': content })
      const { files } = timed(site, { cache: { maxBytes: 8_000, maxFileSize: 4_000 } })
      for (const coding of ['br', 'gzip', 'zstd', 'identity', 'br', 'gzip']) {
        const reply = await ask(files, '/a.js', { headers: { 'Accept-Encoding': coding } })
        expect(reply.body.equals(content)).toBe(true)
        expect(files.numbers.bytes).toBeLessThanOrEqual(8_000)
      }
    })
  })

  it('is let go of by close, more than once, and requests are answered without it', async () => {
    await using site = await Site.of({ 'a.txt': 'one' })
    const { files } = timed(site)
    const pending = ask(files, '/a.txt')
    await ask(files, '/a.txt')
    files.close()
    files.close()
    expect((await pending).text).toBe('one')
    expect(files.numbers).toMatchObject({ bytes: 0, paths: 0 })
    await site.write('a.txt', 'two')
    expect(await ask(files, '/a.txt')).toMatchObject({ text: 'two', sync: false })
    expect(files.numbers).toMatchObject({ bytes: 0, paths: 0 })
  })

  it('is not there without the option: each request sees what is on the disk', async () => {
    await using site = await Site.of({ 'a.txt': 'one' })
    const files = site.files({ cache: false })
    for (const text of ['one', 'two', 'three']) {
      await site.write('../next', text)
      await rename(site.path('../next'), site.path('a.txt'))
      expect(await ask(files, '/a.txt')).toMatchObject({ text, sync: false })
    }
    expect(files.numbers).toEqual({ bytes: 0, paths: 0, reads: 0 })
  })
})
