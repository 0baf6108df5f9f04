import { execFileSync } from 'node:child_process'
import { chmod, mkdir, rename, rm, symlink, truncate, utimes } from 'node:fs/promises'
import { createServer } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { StaticFiles } from '../../../src/http/static/static-files.ts'
import type { StaticOptions } from '../../../src/http/static/static-options.ts'
import { Pipe } from '../../../src/pipe/pipe.ts'
import { PipeSource } from '../../../src/pipe/source.ts'
import { HandSink, pattern, turns } from '../../pipe/hand-ends.ts'
import { type Ask, ask, type Reply, request, Site } from './site.ts'

const data = pattern(5_000)
const big = pattern(700_000)
const day = new Date(Date.UTC(2024, 0, 10, 12, 0, 0))
const browser = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8'

let site: Site

beforeAll(async () => {
  site = await Site.of({
    'index.html': '<p>home</p>',
    'data.bin': data,
    'big.bin': big,
    'empty.txt': '',
    'app.js': 'let identity = 1',
    'app.js.br': 'br of app',
    'app.js.zst': 'zst of app',
    'app.js.gz': 'gz of app',
    'only-gz.css': 'a{}',
    'only-gz.css.gz': 'gz of css',
    'folder/index.html': '<p>folder</p>',
    'folder/deep/page.html': '<p>page</p>',
    'bare/file.txt': 'bare',
    '.env': 'SECRET=1',
    '.git/config': 'secret',
    '.well-known/security.txt': 'mail us',
    'a b&"<x>.txt': 'odd',
    '100%.txt': 'percent',
    'été.txt': 'summer',
    LICENSE: 'MIT',
    'x.constructor': '?',
    'x.__proto__': '?',
    'about.html': '<p>about</p>',
    'news/index.html': '<p>news</p>',
    'news.html': '<p>not news</p>',
    '../secret.txt': 'secret',
    '../other/secret.txt': 'secret',
    '../public-old/secret.txt': 'secret',
  })
  for (const name of ['data.bin', 'big.bin', 'empty.txt', 'app.js', 'app.js.br', 'index.html']) {
    await utimes(site.path(name), day, day)
  }
  await symlink('../secret.txt', site.path('out.txt'))
  await symlink('../other', site.path('outdir'))
  await symlink('data.bin', site.path('in.bin'))
  await symlink('folder', site.path('infolder'))
  await symlink('nowhere', site.path('dangling'))
  await symlink('loop', site.path('loop'))
})
afterAll(() => site[Symbol.asyncDispose]())
afterEach(() => site.settled())

/** The same with a cache and without. */
const ways: [name: string, options: StaticOptions][] = [
  ['with a cache', {}],
  ['without a cache', { cache: false }],
]

describe.each(ways)('StaticFiles %s', (_name, common) => {
  const get = (path: string, how: Ask = {}, options: StaticOptions = {}): Promise<Reply> =>
    ask(site.files({ ...common, ...options }), path, how)
  const ranged = (range: string, path = '/data.bin'): Promise<Reply> => get(path, { headers: { Range: range } })
  const tag = async (path = '/data.bin', headers = {}): Promise<string> =>
    (await get(path, { headers })).headers['etag'] as string

  // One test for each row of the comparison with send, serve-static, sirv, serve-handler, @fastify/static and nginx.
  describe('and the probes that were put to its peers', () => {
    it('single range: 206 with those bytes', async () => {
      const reply = await ranged('bytes=0-9')
      expect(reply).toMatchObject({ status: 206, headers: { 'content-range': 'bytes 0-9/5000' } })
      expect(reply.body.equals(data.subarray(0, 10))).toBe(true)
    })

    it('suffix range: the last bytes', async () => {
      const reply = await ranged('bytes=-5')
      expect(reply).toMatchObject({ status: 206, headers: { 'content-range': 'bytes 4995-4999/5000' } })
      expect(reply.body.equals(data.subarray(4_995))).toBe(true)
    })

    it('several ranges: multipart/byteranges', async () => {
      for (const [path, bytes] of [
        ['/data.bin', data],
        ['/big.bin', big],
      ] as const) {
        const reply = await ranged('bytes=0-1,100-4000,-3', path)
        expect(reply.status).toBe(206)
        expect(reply.headers['content-range']).toBeUndefined()
        const boundary = /^multipart\/byteranges; boundary=(.+)$/.exec(reply.headers['content-type'] ?? '')?.[1]
        const size = bytes.length
        const part = (start: number, end: number): Buffer[] => [
          Buffer.from(`--${boundary}\r\nContent-Type: application/octet-stream\r\n`),
          Buffer.from(`Content-Range: bytes ${start}-${end - 1}/${size}\r\n\r\n`),
          bytes.subarray(start, end),
          Buffer.from('\r\n'),
        ]
        const parts = [...part(0, 2), ...part(100, 4_001), ...part(size - 3, size)]
        expect(reply.body.equals(Buffer.concat([...parts, Buffer.from(`--${boundary}--\r\n`)]))).toBe(true)
      }
    })

    it('unsatisfiable: 416, with the length', async () => {
      const reply = await ranged('bytes=5000-')
      expect(reply).toMatchObject({ status: 416, headers: { 'content-range': 'bytes */5000' } })
      expect(reply.body).toHaveLength(0)
    })

    it('unknown unit: the whole file', async () => {
      expect(await ranged('chars=0-9')).toMatchObject({ status: 200, body: data })
    })

    it('malformed range: the whole file', async () => {
      expect(await ranged('bytes=9-x')).toMatchObject({ status: 200, body: data })
    })

    it('If-Range: a range of what the client has part of, else the whole file', async () => {
      const headers = { Range: 'bytes=0-9', 'If-Range': '"other"' }
      expect(await get('/data.bin', { headers })).toMatchObject({ status: 200, body: data })
      for (const validator of [await tag(), day.toUTCString()]) {
        const reply = await get('/data.bin', { headers: { Range: 'bytes=0-9', 'If-Range': validator } })
        expect(reply.status).toBe(206)
      }
    })

    it('ETag: strong', async () => {
      expect(await tag()).toMatch(/^"[^"]+"$/)
    })

    it('Accept-Ranges: bytes', async () => {
      expect((await get('/data.bin')).headers['accept-ranges']).toBe('bytes')
    })

    it('Last-Modified: there', async () => {
      expect((await get('/data.bin')).headers['last-modified']).toBe(day.toUTCString())
    })

    it('If-None-Match: 304, without what is about a body', async () => {
      const reply = await get('/data.bin', { headers: { 'If-None-Match': await tag() } })
      expect(reply.status).toBe(304)
      expect(reply.answer?.body).toBeUndefined()
      expect(Object.keys(reply.headers).sort()).toEqual([
        'cache-control',
        'etag',
        'last-modified',
        'x-content-type-options',
      ])
    })

    it('If-None-Match, a list: 304', async () => {
      const value = `"a", W/"b", ${await tag()}`
      expect((await get('/data.bin', { headers: { 'If-None-Match': value } })).status).toBe(304)
    })

    it('If-Modified-Since: 304', async () => {
      expect((await get('/data.bin', { headers: { 'If-Modified-Since': day.toUTCString() } })).status).toBe(304)
      const before = new Date(day.getTime() - 1_000).toUTCString()
      expect((await get('/data.bin', { headers: { 'If-Modified-Since': before } })).status).toBe(200)
    })

    it('If-Match that fails: 412', async () => {
      expect((await get('/data.bin', { headers: { 'If-Match': '"other"' } })).status).toBe(412)
      expect((await get('/data.bin', { headers: { 'If-Match': await tag() } })).status).toBe(200)
    })

    it('If-Unmodified-Since that fails: 412', async () => {
      const before = new Date(day.getTime() - 1_000).toUTCString()
      expect((await get('/data.bin', { headers: { 'If-Unmodified-Since': before } })).status).toBe(412)
      expect((await get('/data.bin', { headers: { 'If-Unmodified-Since': day.toUTCString() } })).status).toBe(200)
    })

    it('HEAD: the same head with the length, and no body', async () => {
      for (const [path, length] of [
        ['/data.bin', '5000'],
        ['/big.bin', '700000'],
        ['/empty.txt', '0'],
      ] as const) {
        const head = await get(path, { method: 'HEAD', headers: { Range: 'bytes=0-9' } })
        expect(head.status).toBe(200)
        expect(head.answer?.body).toBeUndefined()
        expect(head.headers).toEqual({ ...(await get(path)).headers, 'content-length': length })
      }
    })

    it.each([
      'POST',
      'PUT',
      'DELETE',
      'OPTIONS',
      'PATCH',
      'get',
      'TRACE',
    ])('%s: 405, with what is allowed', async (method) => {
      const reply = await get('/data.bin', { method })
      expect(reply).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' }, sync: true })
      expect((await get('/nothing', { method })).status).toBe(405)
    })

    it.each([
      ['gzip', 'gzip', 'gz of app'],
      ['br', 'br', 'br of app'],
      ['zstd', 'zstd', 'zst of app'],
      ['gzip, deflate, br, zstd', 'br', 'br of app'],
      ['br;q=0.1, gzip;q=0.9', 'gzip', 'gz of app'],
      ['br;q=0, gzip', 'gzip', 'gz of app'],
      ['br;q=0', undefined, 'let identity = 1'],
      ['identity', undefined, 'let identity = 1'],
      ['*;q=0', undefined, 'let identity = 1'],
    ])('precompressed, Accept-Encoding: %s gets %s', async (accepted, coding, text) => {
      const reply = await get('/app.js', { headers: { 'Accept-Encoding': accepted } })
      expect(reply).toMatchObject({ status: 200, text })
      expect(reply.headers['content-encoding']).toBe(coding)
      expect(reply.headers['vary']).toBe('accept-encoding')
      expect(reply.headers['content-type']).toBe('text/javascript; charset=utf-8')
    })

    it('a dotfile: 404, and so is a file in a folder with a dot', async () => {
      for (const path of ['/.env', '/%2eenv', '/.git/config', '/.git', '/.git/']) {
        expect(await get(path)).toMatchObject({ status: 404, error: { code: 'XPS_NOT_FOUND' } })
        expect((await get(path, {}, { dotfiles: 'deny' })).status).toBe(404)
      }
      expect((await get('/.well-known/security.txt')).text).toBe('mail us')
      expect((await get('/.env', {}, { dotfiles: 'allow' })).text).toBe('SECRET=1')
      expect((await get('/.git/config', {}, { dotfiles: 'allow' })).text).toBe('secret')
    })

    it.each([
      '/../secret.txt',
      '/folder/../../secret.txt',
      '/%2e%2e/secret.txt',
      '/..%2fsecret.txt',
      '/%2e%2e%2fsecret.txt',
      '/..%5csecret.txt',
      '/..\\secret.txt',
      '/%252e%252e/secret.txt',
      '/..%252fsecret.txt',
      '/%c0%ae%c0%ae/secret.txt',
      '/.%00./secret.txt',
      '/....//secret.txt',
      '/../public-old/secret.txt',
      '/../public/data.bin',
      '//etc/passwd',
      '/%2fetc/passwd',
    ])('traversal by %s: blocked', async (path) => {
      for (const dotfiles of ['deny', 'allow'] as const) {
        const reply = await get(path, {}, { dotfiles })
        expect([400, 404]).toContain(reply.status)
        expect(reply.text).toBe('')
      }
    })

    it('a link out of the root: 403, unless links may lead out', async () => {
      for (const path of ['/out.txt', '/outdir/secret.txt']) {
        for (const method of ['GET', 'HEAD']) {
          const reply = await get(path, { method })
          expect(reply).toMatchObject({ status: 403, error: { code: 'XPS_FORBIDDEN' } })
        }
        expect((await get(path, {}, { symlinks: true })).text).toBe('secret')
      }
    })

    it('NUL: 400', async () => {
      expect(await get('/data.bin%00')).toMatchObject({ status: 400, error: { code: 'XPS_BAD_REQUEST' } })
    })

    it('bad percent-encoding: 400', async () => {
      for (const path of ['/%', '/%zz', '/%ff', '/a%2']) expect((await get(path)).status).toBe(400)
    })

    it('a folder without slash: 301 to the one with it', async () => {
      expect(await get('/folder')).toMatchObject({ status: 301, headers: { location: '/folder/' } })
      expect((await get('/folder', { base: '/static' })).headers['location']).toBe('/static/folder/')
      expect((await get('/folder', { base: '/static/' })).headers['location']).toBe('/static/folder/')
      expect((await get('/folder', { query: '?a=1&b' })).headers['location']).toBe('/folder/?a=1&b')
      expect((await get('/folder', { base: '/x', method: 'HEAD' })).status).toBe(301)
    })

    it('a folder with slash: its index', async () => {
      expect(await get('/folder/')).toMatchObject({ status: 200, text: '<p>folder</p>' })
      expect(await get('/')).toMatchObject({ status: 200, text: '<p>home</p>' })
    })

    it('a folder without index: 404, with slash or without', async () => {
      expect((await get('/bare/')).status).toBe(404)
      expect((await get('/bare')).status).toBe(404)
    })

    it.each([
      '//evil.com/%2e%2e/',
      '//evil.com',
      '//evil.com/folder',
      '//folder',
      '/%2fevil.com',
      '/\\evil.com',
      '/%5cevil.com/..',
    ])('%s redirects nowhere', async (path) => {
      for (const base of ['', '/', '/static']) {
        const reply = await get(path, { base })
        expect([400, 404]).toContain(reply.status)
        expect(reply.headers['location']).toBeUndefined()
      }
    })

    it('a range of an empty file: the whole of it', async () => {
      for (const range of ['bytes=0-0', 'bytes=0-', 'bytes=-5']) {
        expect(await ranged(range, '/empty.txt')).toMatchObject({ status: 200, text: '' })
      }
    })

    it('a query: ignored', async () => {
      expect((await get('/data.bin', { query: '?v=1' })).body.equals(data)).toBe(true)
    })

    it('Content-Type: by extension, with a charset for text', async () => {
      expect((await get('/index.html')).headers['content-type']).toBe('text/html; charset=utf-8')
    })

    it('Cache-Control: what may be kept is asked about again', async () => {
      expect((await get('/index.html')).headers['cache-control']).toBe('no-cache')
    })
  })

  describe('and names', () => {
    it.each([
      ['/a%20b%26%22%3Cx%3E.txt', 'odd'],
      ['/100%25.txt', 'percent'],
      ['/%C3%A9t%C3%A9.txt', 'summer'],
      ['/folder/deep/page.html', '<p>page</p>'],
      ['/infolder/deep/page.html', '<p>page</p>'],
    ])('sends %s', async (path, text) => {
      expect(await get(path)).toMatchObject({ status: 200, text })
    })

    it.each([
      '/nothing',
      '/index.html/',
      '/index.html/x',
      '/data.bin/..',
      '/Index.html',
      '/dangling',
      `/${'x'.repeat(300)}`,
      `/${'x/'.repeat(3_000)}`,
    ])('does not find %.40s', async (path) => {
      const { status } = await get(path)
      expect(path.includes('..') ? status === 400 : status === 404).toBe(true)
    })

    it('follows links inside, and refuses those that lead nowhere at last', async () => {
      expect((await get('/in.bin')).body.equals(data)).toBe(true)
      expect((await get('/loop')).status).toBe(403)
    })

    it('follows the links of a mounted volume, which lead through hidden folders', async () => {
      // What Kubernetes makes of a ConfigMap.
      await using mounted = await Site.of({ '..2024_01/page.html': 'mounted' })
      await symlink('..2024_01', mounted.path('..data'))
      await symlink('..data/page.html', mounted.path('page.html'))
      expect((await ask(mounted.files(common), '/page.html')).text).toBe('mounted')
    })

    it('finds the folder through a link, also after the link leads elsewhere', async () => {
      await using releases = await Site.of({ '../one/a.txt': 'one', '../two/a.txt': 'number two' })
      const current = releases.path('../current')
      await symlink('one', current)
      const files = new StaticFiles(current, {
        ...common,
        ...(common.cache === false ? {} : { cache: { freshFor: 0 } }),
      })
      expect((await ask(files, '/a.txt')).text).toBe('one')
      await rm(current)
      await symlink('two', current)
      expect((await ask(files, '/a.txt')).text).toBe('number two')
      files.close()
    })

    it('refuses what is neither file nor folder, without being held up by it', async () => {
      await using odd = await Site.of({})
      execFileSync('mkfifo', [odd.path('fifo')])
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(odd.path('socket'), resolve))
      for (const path of ['/fifo', '/socket']) expect((await ask(odd.files(common), path)).status).toBe(403)
      server.close()
    })

    it('refuses what may not be read', async () => {
      await using closed = await Site.of({ 'closed.txt': 'x', 'folder/a.txt': 'x' })
      await chmod(closed.path('closed.txt'), 0)
      await chmod(closed.path('folder'), 0)
      await chmod(closed.path('.'), 0o755)
      // To an administrator nothing is closed: for the length of these two requests this is somebody else.
      const root = process.getuid?.() === 0
      if (root) process.seteuid?.(65_534)
      try {
        expect((await ask(closed.files(common), '/closed.txt')).status).toBe(403)
        expect((await ask(closed.files(common), '/folder/a.txt')).status).toBe(403)
      } finally {
        if (root) process.seteuid?.(0)
      }
      await chmod(closed.path('folder'), 0o700)
    })

    it('finds nothing if the folder is not there', async () => {
      expect((await ask(new StaticFiles(site.path('missing'), common), '/a')).status).toBe(404)
      expect((await ask(new StaticFiles(site.path('data.bin'), common), '/a')).status).toBe(404)
      expect((await ask(new StaticFiles(site.path('data.bin'), common), '/')).status).toBe(404)
    })

    it('takes a prefix without slash for a folder without slash', async () => {
      expect(await get('', { base: '/static' })).toMatchObject({ status: 301, headers: { location: '/static/' } })
      expect((await get('/', { base: '/static' })).text).toBe('<p>home</p>')
    })

    it('encodes the names in a redirect, and leaves out a query that cannot be sent', async () => {
      await using odd = await Site.of({ 'a b/é:?#/index.html': '' })
      const files = odd.files(common)
      const path = '/a%20b/%C3%A9%3A%3F%23'
      expect((await ask(files, path)).headers['location']).toBe(`${path}/`)
      expect((await ask(files, path, { query: '?a\r\nSet-Cookie: b' })).headers['location']).toBe(`${path}/`)
      expect((await ask(files, path, { base: '//evil' })).headers['location']).toBe(`/evil${path}/`)
      expect((await ask(files, path, { base: '/\\evil' })).headers['location']).toBe(`/evil${path}/`)
    })
  })

  describe('and its options', () => {
    it('tries the names of an index in order, or none', async () => {
      const index = ['nothing.html', 'page.html', 'index.html']
      expect((await get('/folder/deep/', {}, { index })).text).toBe('<p>page</p>')
      expect((await get('/folder/', {}, { index })).text).toBe('<p>folder</p>')
      expect((await get('/folder/', {}, { index: [] })).status).toBe(404)
      expect((await get('/folder', {}, { index: [] })).status).toBe(404)
    })

    it('tries extensions after the file itself and a folder that has an answer', async () => {
      const extensions = ['htm', '.html']
      expect((await get('/about', {}, { extensions })).text).toBe('<p>about</p>')
      expect((await get('/about.html', {}, { extensions })).text).toBe('<p>about</p>')
      expect((await get('/news', {}, { extensions })).status).toBe(301)
      expect((await get('/news', {}, { extensions, index: [] })).text).toBe('<p>not news</p>')
      expect((await get('/about/', {}, { extensions })).status).toBe(404)
      expect((await get('/about')).status).toBe(404)
    })

    it.each([
      '/route',
      '/deep/route/',
      '/user/john.doe',
      '/bare/',
      '/index.html/',
    ])('sends the fallback for %s, if a page is asked for', async (path) => {
      const options = { fallback: '/index.html' }
      const reply = await get(path, { headers: { Accept: browser } }, options)
      expect(reply).toMatchObject({ status: 200, text: '<p>home</p>', headers: { vary: 'accept' } })
      const head = await get(path, { method: 'HEAD', headers: { Accept: browser } }, options)
      expect(head).toMatchObject({ status: 200, headers: { 'content-length': '11', vary: 'accept' } })
      const again = { Accept: browser, 'If-None-Match': reply.headers['etag'] as string }
      expect((await get(path, { headers: again }, options)).status).toBe(304)
      for (const Accept of ['*/*', 'application/json', 'text/html;q=0, */*']) {
        expect((await get(path, { headers: { Accept } }, options)).status).toBe(404)
      }
      expect((await get(path, {}, options)).status).toBe(404)
      expect((await get(path, { method: 'POST', headers: { Accept: browser } }, options)).status).toBe(405)
    })

    it('sends no fallback in place of what is there, is refused, or cannot be a path', async () => {
      const page = { headers: { Accept: browser } }
      const options = { fallback: 'index.html' }
      expect((await get('/about.html', page, options)).text).toBe('<p>about</p>')
      expect((await get('/about.html', page, options)).headers['vary']).toBeUndefined()
      expect((await get('/.env', page, options)).status).toBe(404)
      expect((await get('/out.txt', page, options)).status).toBe(403)
      expect((await get('/%', page, options)).status).toBe(400)
      expect((await get('/route', page, { fallback: 'nothing.html' })).status).toBe(404)
    })

    it('knows types by extension, also its own, and calls the rest bytes', async () => {
      const types = { '.JS': 'text/x-mine', '': 'text/plain; charset=utf-8' }
      const type = async (path: string, options = {}): Promise<unknown> =>
        (await get(path, {}, options)).headers['content-type']
      expect(await type('/app.js', { types })).toBe('text/x-mine')
      expect(await type('/LICENSE', { types })).toBe('text/plain; charset=utf-8')
      expect(await type('/LICENSE')).toBe('application/octet-stream')
      expect(await type('/x.constructor')).toBe('application/octet-stream')
      expect(await type('/x.__proto__')).toBe('application/octet-stream')
      expect(await type('/app.js.gz')).toBe('application/gzip')
    })

    it('says how long files may be kept', async () => {
      const kept = async (path: string, options: StaticOptions): Promise<unknown> =>
        (await get(path, {}, options)).headers['cache-control']
      expect(await kept('/data.bin', { maxAge: 60 })).toBe('max-age=60')
      expect(await kept('/data.bin', { maxAge: 60, immutable: true })).toBe('max-age=60, immutable')
      expect(await kept('/data.bin', { cacheControl: false })).toBeUndefined()
      expect(await kept('/data.bin', { cacheControl: 'private' })).toBe('private')
      const cacheControl = { '*.html': 'no-store', 'folder/**': 'max-age=5', '/*.bin': 'max-age=7' }
      expect(await kept('/', { cacheControl })).toBe('no-store')
      expect(await kept('/folder/', { cacheControl })).toBe('no-store')
      expect(await kept('/folder/deep/page.html', { cacheControl })).toBe('no-store')
      expect(await kept('/data.bin', { cacheControl })).toBe('max-age=7')
      expect(await kept('/app.js', { cacheControl, maxAge: 9 })).toBe('max-age=9')
    })

    it('adds fields, and leaves out what it is told to', async () => {
      const options = { extraHeaders: { 'Content-Security-Policy': "default-src 'self'" }, nosniff: false }
      const reply = await get('/data.bin', {}, options)
      expect(reply.headers['content-security-policy']).toBe("default-src 'self'")
      expect(reply.headers['x-content-type-options']).toBeUndefined()
      expect((await get('/data.bin')).headers['x-content-type-options']).toBe('nosniff')
      const range = await get('/data.bin', { headers: { Range: 'bytes=0-1' } }, options)
      expect(range.headers['content-security-policy']).toBe("default-src 'self'")
    })

    it('looks only for the precompressed files that it is told to, in their order', async () => {
      const headers = { 'Accept-Encoding': 'gzip, br, zstd' }
      const coding = async (precompressed: StaticOptions['precompressed']): Promise<unknown> =>
        (await get('/app.js', { headers }, precompressed === undefined ? {} : { precompressed })).headers[
          'content-encoding'
        ]
      expect(await coding(['gzip', 'zstd'])).toBe('gzip')
      expect(await coding(['zstd', 'br'])).toBe('zstd')
      expect(await coding(true)).toBe('br')
      expect(await coding(false)).toBeUndefined()
      expect((await get('/app.js', { headers }, { precompressed: false })).headers['vary']).toBeUndefined()
    })
  })

  describe('and codings', () => {
    it('gives each its own tag, length and time, and the type of the file', async () => {
      const of = (coding: string, method = 'GET'): Promise<Reply> =>
        get('/app.js', { method, headers: { 'Accept-Encoding': coding } })
      const tags = new Set<unknown>()
      for (const coding of ['identity', 'br', 'zstd', 'gzip']) {
        const reply = await of(coding)
        tags.add(reply.headers['etag'])
        expect(reply.headers['etag']).toMatch(/^"/)
        expect((await of(coding, 'HEAD')).headers['content-length']).toBe(String(reply.body.length))
      }
      expect(tags.size).toBe(4)
    })

    it('holds conditions against the coding that is chosen', async () => {
      const br = await tag('/app.js', { 'Accept-Encoding': 'br' })
      const conditional = (coding: string, name: string): Promise<Reply> =>
        get('/app.js', { headers: { 'Accept-Encoding': coding, [name]: br } })
      expect((await conditional('br', 'If-None-Match')).status).toBe(304)
      expect((await conditional('br', 'If-None-Match')).headers['vary']).toBe('accept-encoding')
      expect((await conditional('gzip', 'If-None-Match')).status).toBe(200)
      expect((await conditional('br', 'If-Match')).status).toBe(200)
      expect((await conditional('gzip', 'If-Match')).status).toBe(412)
    })

    it('cuts ranges from the coded bytes; several of them are the whole', async () => {
      const headers = { 'Accept-Encoding': 'br', Range: 'bytes=0-1' }
      const one = await get('/app.js', { headers })
      expect(one).toMatchObject({ status: 206, text: 'br' })
      expect(one.headers).toMatchObject({ 'content-encoding': 'br', 'content-range': 'bytes 0-1/9' })
      const several = await get('/app.js', { headers: { ...headers, Range: 'bytes=0-1,4-5' } })
      expect(several).toMatchObject({ status: 200, text: 'br of app' })
    })

    it('looks for no coding of a coding', async () => {
      const reply = await get('/app.js.gz', { headers: { 'Accept-Encoding': 'gzip' } })
      expect(reply.text).toBe('gz of app')
      expect(reply.headers['content-encoding']).toBeUndefined()
      expect(reply.headers['vary']).toBeUndefined()
    })

    it('does not follow a sibling out of the root', async () => {
      await using linked = await Site.of({ 'a.txt': 'a', '../secret.br': 'secret' })
      await symlink('../secret.br', linked.path('a.txt.br'))
      const reply = await ask(linked.files(common), '/a.txt', { headers: { 'Accept-Encoding': 'br' } })
      expect(reply.status).toBe(403)
    })

    it('takes no folder for a sibling', async () => {
      await using odd = await Site.of({ 'a.txt': 'a', 'a.txt.br/x': '' })
      const reply = await ask(odd.files(common), '/a.txt', { headers: { 'Accept-Encoding': 'br' } })
      expect(reply).toMatchObject({ status: 200, text: 'a' })
    })
  })

  describe('and large files', () => {
    it('sends them whole, in ranges and in parts, however they are read', async () => {
      for (const chunkSize of [10_000, '64 KiB', '1 MB']) {
        const whole = await get('/big.bin', {}, { chunkSize })
        expect(whole.body.equals(big)).toBe(true)
        expect(whole.answer?.length).toBe(700_000)
        expect(whole.answer?.body).toBeInstanceOf(PipeSource)
        const headers = { Range: 'bytes=300000-599999' }
        const part = await get('/big.bin', { headers }, { chunkSize })
        expect(part.body.equals(big.subarray(300_000, 600_000))).toBe(true)
        expect(part.answer?.length).toBe(300_000)
      }
    })

    it('closes the file when nobody wants the body', async () => {
      const files = site.files(common)
      for (const headers of [{}, { Range: 'bytes=0-9' }, { Range: 'bytes=0-9,20-29' }]) {
        const { body } = await files.answer(request('/big.bin', { headers }), '/big.bin', '')
        expect(site.open).toBe(1)
        ;(body as PipeSource).end()
        await site.settled()
      }
    })

    it('ends with an error when the file becomes shorter while it is sent', async () => {
      await using changing = await Site.of({ 'big.bin': big })
      const { body } = await changing.files(common).answer(request('/big.bin'), '/big.bin', '')
      await truncate(changing.path('big.bin'), 1_000)
      const to = new HandSink()
      expect(await new Pipe(body as PipeSource, to.sink).closed).toMatchObject({ code: 'XPS_TRUNCATED' })
      expect(to.bytes.equals(big.subarray(0, 1_000))).toBe(true)
    })

    it('says of a file what is true of the one that is open, whatever happens to it meanwhile', async () => {
      await using changing = await Site.of({ 'file.bin': big })
      const files = changing.files({ ...common, ...(common.cache === false ? {} : { cache: { maxFileSize: 100 } }) })
      const sizes = [700_000, 400_000, 500, 600_000]
      const replace = async (round: number): Promise<void> => {
        await changing.write('../next.bin', big.subarray(0, sizes[round % sizes.length]))
        await turns(round % 7)
        await rename(changing.path('../next.bin'), changing.path('file.bin'))
      }
      const seen = new Set<number>()
      for (let count = 0; count < 150; count++) {
        const kind = count % 3
        const headers = kind === 0 ? {} : { Range: kind === 1 ? 'bytes=300-450' : 'bytes=0-9,-10' }
        const [reply] = await Promise.all([ask(files, '/file.bin', { headers }), replace(count)])
        expect(reply.error).toBeUndefined()
        if (kind === 0) {
          seen.add(reply.body.length)
          expect(reply.body.equals(big.subarray(0, reply.body.length))).toBe(true)
        } else if (kind === 1) {
          expect(reply.body.equals(big.subarray(300, 451))).toBe(true)
        } else {
          const size = Number(/bytes 0-9\/(\d+)/.exec(reply.text)?.[1])
          expect(sizes).toContain(size)
          expect(reply.body.includes(big.subarray(size - 10, size))).toBe(true)
        }
      }
      for (const size of seen) expect(sizes).toContain(size)
    })
  })

  it('never sends what a link was swapped to', async () => {
    await using swapped = await Site.of({ 'inside.txt': 'inside', '../outside.txt': 'SECRET' })
    const files = swapped.files({ ...common, ...(common.cache === false ? {} : { cache: { freshFor: 0 } }) })
    const swap = async (round: number): Promise<void> => {
      await symlink(round % 3 === 0 ? 'inside.txt' : '../outside.txt', swapped.path('../link'))
      await turns(round % 11)
      await rename(swapped.path('../link'), swapped.path('link.txt'))
    }
    await swap(0)
    const seen = new Map<number, number>()
    for (let count = 0; count < 400; count++) {
      const method = count % 4 === 0 ? 'HEAD' : 'GET'
      const [reply] = await Promise.all([ask(files, '/link.txt', { method }), swap(count)])
      seen.set(reply.status, (seen.get(reply.status) ?? 0) + 1)
      expect([200, 403]).toContain(reply.status)
      if (reply.status === 200 && method === 'GET') expect(reply.text).toBe('inside')
    }
    expect([...seen.keys()].sort()).toEqual([200, 403])
  })

  it('leaves nothing open after many requests of all kinds', async () => {
    const files = site.files(common)
    const paths = ['/', '/data.bin', '/big.bin', '/app.js', '/nothing', '/out.txt', '/folder', '/loop', '/empty.txt']
    await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        ask(files, paths[index % paths.length] as string, {
          method: index % 5 === 0 ? 'HEAD' : 'GET',
          headers: index % 3 === 0 ? { Range: 'bytes=0-9,20-29' } : { 'Accept-Encoding': 'br' },
        }),
      ),
    )
    await site.settled()
  })

  it('does not promise a time that has not come', async () => {
    await using future = await Site.of({ 'a.txt': 'a' })
    const then = new Date(Date.now() + 86_400_000)
    await utimes(future.path('a.txt'), then, then)
    const { headers } = await ask(future.files(common), '/a.txt')
    expect(Date.parse(headers['last-modified'] as string)).toBeLessThanOrEqual(Date.now())
  })

  it('makes new folders and files seen at once where nothing was known', async () => {
    await using growing = await Site.of({})
    const files = growing.files(common)
    expect((await ask(files, '/new/')).status).toBe(404)
    await mkdir(growing.path('new'))
    await growing.write('new/index.html', 'new')
    expect((await ask(files, '/new/')).text).toBe('new')
  })
})

describe('StaticFiles', () => {
  it('throws faults of a path in the same call', () => {
    const files = site.files()
    for (const path of ['/%', '/../x', '/.env', '//']) expect(() => files.answer(request(path), path, '')).toThrow()
  })
})
