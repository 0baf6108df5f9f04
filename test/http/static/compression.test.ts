import { randomBytes } from 'node:crypto'
import { truncate } from 'node:fs/promises'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { StaticOptions } from '../../../src/http/static/static-options.ts'
import { Pipe } from '../../../src/pipe/pipe.ts'
import type { PipeSource } from '../../../src/pipe/source.ts'
import { HandSink, turns } from '../../pipe/hand-ends.ts'
import { ask, request, Site } from './site.ts'

const text = 'A line of text that comes again and again.\n'.repeat(100)
const long = text.repeat(300)
const br = { 'Accept-Encoding': 'gzip, br' }
const gzip = { 'Accept-Encoding': 'gzip' }

const ways: [name: string, options: StaticOptions][] = [
  ['with a cache', { compress: true }],
  ['without a cache', { compress: true, cache: false }],
]

describe.each(ways)('compression on the fly, %s', (_name, options) => {
  it('sends compressible files in the coding that is asked for', async () => {
    await using site = await Site.of({ 'small.css': text, 'large.css': long })
    const files = site.files(options)
    for (const [path, content] of [
      ['/small.css', text],
      ['/large.css', long],
    ] as const) {
      const first = await ask(files, path, { headers: br })
      expect(first).toMatchObject({ status: 200, headers: { 'content-encoding': 'br', vary: 'accept-encoding' } })
      expect(brotliDecompressSync(first.body).toString()).toBe(content)
      const second = await ask(files, path, { headers: gzip })
      expect(second.headers['content-encoding']).toBe('gzip')
      expect(gunzipSync(second.body).toString()).toBe(content)
      const plain = await ask(files, path)
      expect(plain).toMatchObject({ status: 200, text: content, headers: { vary: 'accept-encoding' } })
      expect(plain.headers['content-encoding']).toBeUndefined()
    }
  })

  it('gives each coding a weak tag of its own, and no parts', async () => {
    await using site = await Site.of({ 'a.css': text })
    const files = site.files(options)
    const coded = await ask(files, '/a.css', { headers: br })
    const other = await ask(files, '/a.css', { headers: gzip })
    const plain = await ask(files, '/a.css')
    expect(coded.headers['etag']).toMatch(/^W\/"/)
    expect(new Set([coded, other, plain].map((one) => one.headers['etag']?.replace('W/', ''))).size).toBe(3)
    expect(coded.headers['accept-ranges']).toBeUndefined()
    const conditional = { ...br, 'If-None-Match': coded.headers['etag'] as string }
    expect((await ask(files, '/a.css', { headers: conditional })).status).toBe(304)
    expect((await ask(files, '/a.css', { headers: { ...conditional, ...gzip } })).status).toBe(200)
    for (const range of [{ Range: 'bytes=0-9' }, { Range: 'bytes=0-9', 'If-Range': coded.headers['etag'] as string }]) {
      const whole = await ask(files, '/a.css', { headers: { ...br, ...range } })
      expect(whole.status).toBe(200)
      expect(brotliDecompressSync(whole.body).toString()).toBe(text)
    }
    expect((await ask(files, '/a.css', { headers: { Range: 'bytes=0-9' } })).status).toBe(206)
  })

  it('leaves alone what is small, not compressible, or compressed beside it', async () => {
    await using site = await Site.of({ 'tiny.css': 'a{}', 'a.png': text, 'a.js': text, 'a.js.gz': 'gz' })
    const files = site.files(options)
    for (const path of ['/tiny.css', '/a.png']) {
      const reply = await ask(files, path, { headers: br })
      expect(reply.headers['content-encoding']).toBeUndefined()
      expect(reply.headers['vary']).toBeUndefined()
    }
    expect(await ask(files, '/a.js', { headers: br })).toMatchObject({ text: 'gz' })
    expect(await ask(files, '/a.js', { headers: { 'Accept-Encoding': 'br' } })).toMatchObject({ text })
  })

  it('answers HEAD with the same head, less what nobody knows yet', async () => {
    await using site = await Site.of({ 'a.css': text, 'b.css': text })
    const files = site.files(options)
    const head = await ask(files, '/a.css', { method: 'HEAD', headers: br })
    expect(head.answer?.body).toBeUndefined()
    expect(head.headers['content-length']).toBeUndefined()
    const get = await ask(files, '/a.css', { headers: br })
    expect(head.headers).toEqual(get.headers)
    const again = await ask(files, '/a.css', { method: 'HEAD', headers: br })
    if (options.cache !== false) expect(again.headers['content-length']).toBe(String(get.body.length))
  })

  it('lets go of the file when nobody wants the body, or nobody wants more of it', async () => {
    await using site = await Site.of({ 'large.css': long })
    const files = site.files(options)
    const unwanted = await files.answer(request('/large.css', { headers: br }), '/large.css', '')
    expect(unwanted.length).toBeUndefined()
    ;(unwanted.body as PipeSource).end()
    await site.settled()
    for (const headers of [br, gzip]) {
      const { body } = await files.answer(request('/large.css', { headers }), '/large.css', '')
      const to = new HandSink()
      to.busy = true
      const pipe = new Pipe(body as PipeSource, to.sink)
      while (to.chunks.length === 0) await turns(1)
      pipe.abort()
      await site.settled()
    }
  })

  it('ends with an error when the file becomes shorter meanwhile', async () => {
    await using site = await Site.of({ 'noise.txt': randomBytes(3_000_000).toString('hex') })
    const { body } = await site.files(options).answer(request('/noise.txt', { headers: br }), '/noise.txt', '')
    await truncate(site.path('noise.txt'), 100_000)
    const to = new HandSink()
    expect(await new Pipe(body as PipeSource, to.sink).closed).toMatchObject({ code: 'XPS_TRUNCATED' })
  })

  it('holds no more than the pipe does when the client is slow', async () => {
    await using site = await Site.of({ 'noise.txt': randomBytes(2_000_000).toString('hex') })
    const files = site.files({ ...options, chunkSize: '64 KiB' })
    const { body } = await files.answer(request('/noise.txt', { headers: gzip }), '/noise.txt', '')
    const to = new HandSink()
    to.busy = true
    const pipe = new Pipe(body as PipeSource, to.sink)
    while (to.ends.length === 0) {
      await turns(1)
      expect(pipe.buffered).toBeLessThanOrEqual(65_536)
      to.next()
    }
    expect(gunzipSync(to.bytes)).toHaveLength(4_000_000)
  })
})

describe('compression on the fly', () => {
  it('keeps what came of small files, and compresses them once', async () => {
    await using site = await Site.of({ 'a.css': text })
    const files = site.files({ compress: { brotli: 11, gzip: 9, minSize: 10 } })
    const replies = await Promise.all(Array.from({ length: 20 }, () => ask(files, '/a.css', { headers: br })))
    expect(new Set(replies.map((one) => one.answer)).size).toBe(1)
    expect(Object.isFrozen(replies[0]?.answer)).toBe(true)
    expect(await ask(files, '/a.css', { headers: br })).toMatchObject({ sync: true })
    expect(files.numbers.reads).toBe(1)
  })

  it('sends as it is what does not become smaller, and does not try again', async () => {
    // Few repetitions: headers and tables outweigh what is saved.
    await using site = await Site.of({ 'noise.txt': randomBytes(2_000) })
    const files = site.files({ compress: true })
    const first = await ask(files, '/noise.txt', { headers: br })
    expect(first.status).toBe(200)
    expect(first.body).toHaveLength(2_000)
    expect(first.headers['content-encoding']).toBeUndefined()
    expect(await ask(files, '/noise.txt', { headers: { 'Accept-Encoding': 'br' } })).toMatchObject({ sync: true })
    const { reads } = files.numbers
    await ask(files, '/noise.txt', { headers: gzip })
    const again = await ask(files, '/noise.txt', { headers: gzip })
    expect(again.sync).toBe(true)
    expect(again.headers['content-encoding']).toBeUndefined()
    expect(files.numbers.reads).toBeLessThanOrEqual(reads + 2)
  })

  it('is off unless it is asked for', async () => {
    await using site = await Site.of({ 'a.css': text })
    const reply = await ask(site.files(), '/a.css', { headers: br })
    expect(reply.headers['content-encoding']).toBeUndefined()
    expect(reply.headers['vary']).toBeUndefined()
  })
})
