import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { PipeSource } from '../../../src/pipe/source.ts'
import { request } from '../../support/http2-wire.ts'
import { Backend, client, gate, ok, played, posting, proxying, serving, until } from './support.ts'

const sizes = [0, 1, 130, 8_192, 8_193, 65_536, 300_000, 1_000_000]

function bytes(size: number): string {
  return Array.from({ length: Math.ceil(size / 8) }, (_, at) => String(at).padStart(8, '.'))
    .join('')
    .slice(0, size)
}

const digest = (text: string): string => createHash('sha256').update(text, 'latin1').digest('hex')

describe('The body of a request', () => {
  it.each(sizes)('of %i bytes reaches the upstream whole, with its length or without', async (size) => {
    await using backend = await Backend.start((message) => ok(digest(message.body)))
    await using served = await proxying(backend)
    await using wire = await client(served)
    const body = bytes(size)
    await wire.post(1, '/', body, [['content-length', String(size)]])
    await wire.post(3, '/', body)
    for (const stream of [1, 3]) expect((await wire.response(stream)).body).toBe(digest(body))
    const [one, two] = backend.requests
    expect(one?.header('content-length')).toBe(String(size))
    expect(one?.header('transfer-encoding')).toBeUndefined()
    expect(two?.header('transfer-encoding')).toBe('chunked')
  })

  it('in pieces, padded, with empty frames between, is whole', async () => {
    await using backend = await Backend.start((message) => ok(message.body))
    await using served = await proxying(backend)
    await using wire = await client(served)
    wire.headers(1, posting(), { padding: 20 })
    wire.data(1, 'one ', { padding: 100 })
    wire.data(1, '')
    await wire.alive()
    wire.data(1, 'two ')
    wire.data(1, 'three', { padding: 0 })
    wire.data(1, '', { endStream: true })
    expect((await wire.response(1)).body).toBe('one two three')
  })

  it('has its trailers behind it', async () => {
    await using backend = await Backend.start((message) => ok(message.trailers.map((one) => one.join('=')).join(' ')))
    await using served = await proxying(backend)
    await using wire = await client(served)
    wire.headers(1, posting('/', [['trailer', 'x-sum']]))
    wire.data(1, 'body')
    wire.headers(
      1,
      [
        ['x-sum', '17'],
        ['host', 'evil.test'],
      ],
      { endStream: true },
    )
    expect((await wire.response(1)).body).toBe('x-sum=17')
  })

  it('that is longer than the limit is answered 413, whether it said so or not', async () => {
    await using backend = await Backend.start(() => ok('read'))
    await using served = await proxying(backend, { bodyLimit: 1_000 })
    await using wire = await client(served)
    wire.headers(1, posting('/', [['content-length', '2000']]))
    expect((await wire.head(1)).status).toBe(413)
    wire.headers(3, posting())
    wire.data(3, bytes(900))
    wire.data(3, bytes(900))
    expect((await wire.head(3)).status).toBe(413)
    await wire.post(5, '/', bytes(1_000))
    expect((await wire.response(5)).status).toBe(200)
    expect(backend.requests).toHaveLength(1)
  })

  it('that does not keep to its length is reset, and the upstream never sees a whole one', async () => {
    await using backend = await Backend.start(() => ok('read'))
    await using served = await proxying(backend)
    await using wire = await client(served)
    wire.headers(1, posting('/', [['content-length', '10']]))
    wire.data(1, 'five!', { endStream: true })
    expect(await wire.ending(1)).toEqual({ kind: 'reset', code: 'PROTOCOL_ERROR' })
    wire.headers(3, posting('/', [['content-length', '2']]))
    wire.data(3, 'five!')
    // Newer versions of nghttp2 end the connection for it.
    expect(await wire.ending(3)).toMatchObject({ code: 'PROTOCOL_ERROR' })
    await until(() => expect(served.http.stats().transactions).toBe(0))
    expect(backend.requests).toEqual([])
  })

  it('that nobody wants is stopped when the answer has gone out', async () => {
    await using served = await serving({ routes: [{ reply: 200 }] })
    await using wire = await client(served)
    wire.headers(1, posting())
    wire.data(1, bytes(5_000))
    expect((await wire.response(1)).status).toBe(200)
    await wire.until('RST_STREAM', () => wire.stream(1).reset !== undefined)
    expect(wire.stream(1).reset).toBe('NO_ERROR')
    expect(await wire.alive()).toBe(true)
  })

  it('that the upstream has enough of is stopped, and its answer comes whole', async () => {
    await using early = await played(async (peer) => {
      await peer.read('\r\n\r\n')
      await peer.write(Buffer.from('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno'))
    })
    await using served = await proxying(early)
    await using wire = await client(served)
    wire.headers(1, posting())
    wire.data(1, bytes(10_000))
    expect(await wire.response(1)).toMatchObject({ status: 403, body: 'no' })
    await wire.until('RST_STREAM', () => wire.stream(1).reset !== undefined)
    expect(wire.stream(1).reset).toBe('NO_ERROR')
    await until(() => expect(served.http.stats().transactions).toBe(0))
  })

  it('is asked for by 100 where a handler reads it, and only then', async () => {
    await using served = await serving({
      routes: [
        { path: '/read', fetch: async (message) => new Response(await message.text()) },
        { path: '/not', reply: 204 },
      ],
    })
    await using wire = await client(served)
    wire.headers(1, posting('/read', [['expect', '100-continue']]))
    await wire.until('100', () => wire.stream(1).blocks.length > 0)
    expect(wire.stream(1).interim).toEqual([[[':status', '100']]])
    wire.data(1, 'said', { endStream: true })
    expect((await wire.response(1)).body).toBe('said')
    wire.headers(3, posting('/not', [['expect', '100-continue']]))
    expect((await wire.response(3)).interim).toEqual([])
  })

  it('is asked for by the 100 of the upstream where it is forwarded', async () => {
    await using backend = await played(async (peer) => {
      await peer.read('\r\n\r\n')
      await peer.write(Buffer.from('HTTP/1.1 100 Continue\r\n\r\n'))
      await peer.read(4)
      await peer.write(Buffer.from(ok('got it')))
    })
    await using served = await proxying(backend)
    await using wire = await client(served)
    wire.headers(
      1,
      posting('/', [
        ['expect', '100-continue'],
        ['content-length', '4'],
      ]),
    )
    await wire.until('100', () => wire.stream(1).blocks.length > 0)
    wire.data(1, 'body', { endStream: true })
    const response = await wire.response(1)
    expect([response.interim.length, response.body]).toEqual([1, 'got it'])
  })
})

describe('The body of a response', () => {
  it.each(sizes)('of %i bytes comes whole, however the upstream frames it', async (size) => {
    const body = bytes(size)
    await using backend = await Backend.start((message) => {
      if (message.target === '/length') return ok(body)
      if (message.target === '/end') return `HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n${body}`
      const chunk = size === 0 ? '' : `${size.toString(16)}\r\n${body}\r\n`
      return `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}0\r\n\r\n`
    })
    await using served = await proxying(backend)
    await using wire = await client(served)
    wire.get(1, '/length')
    wire.get(3, '/chunks')
    wire.get(5, '/end')
    for (const stream of [1, 3, 5]) expect(digest((await wire.response(stream)).body)).toBe(digest(body))
    expect(wire.stream(1).header('content-length')).toBe(String(size))
    for (const stream of [1, 3, 5]) {
      expect(wire.stream(stream).header('transfer-encoding')).toBeUndefined()
      expect(wire.stream(stream).header('connection')).toBeUndefined()
    }
  })

  it('ends with the last of its frames, and not by one more, where its length is known', async () => {
    await using backend = await Backend.start((message) => ok(bytes(message.target === '/long' ? 40_000 : 130)))
    await using served = await proxying(backend)
    await using wire = await client(served)
    wire.get(1)
    wire.get(3, '/long')
    for (const stream of [1, 3]) await wire.response(stream)
    for (const stream of [1, 3]) {
      const frames = wire.frames.filter((one) => one.stream === stream && one.type === 0)
      expect(frames.at(-1)?.payload.length).toBeGreaterThan(0)
    }
  })

  it('has its trailers behind it, without those that only a head may have', async () => {
    await using backend = await Backend.start(
      () =>
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 17\r\nX-More: a\r\nX-More: b\r\nSet-Cookie: a=1\r\n\r\n',
    )
    await using served = await proxying(backend)
    await using wire = await client(served)
    wire.get(1)
    const { body, trailers } = await wire.response(1)
    expect(body).toBe('body')
    expect(trailers).toEqual([
      ['x-sum', '17'],
      ['x-more', 'a'],
      ['x-more', 'b'],
    ])
  })

  it('may be none, whatever is said of its length', async () => {
    await using backend = await Backend.start((message) => {
      if (message.method === 'HEAD') return 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'
      const status = message.target.slice(1)
      return `HTTP/1.1 ${status} X\r\n${status === '205' ? 'Content-Length: 0\r\n' : ''}\r\n`
    })
    await using served = await proxying(backend)
    await using wire = await client(served)
    wire.headers(1, request('HEAD'), { endStream: true })
    expect((await wire.response(1)).header('content-length')).toBe('5')
    for (const [at, status] of ['204', '304', '205'].entries()) {
      wire.get(3 + at * 2, `/${status}`)
      const response = await wire.response(3 + at * 2)
      expect([response.status, response.received]).toEqual([Number(status), 0])
    }
  })

  it('comes with early hints in front of it', async () => {
    await using backend = await Backend.start(
      () => `HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: close\r\n\r\n${ok('body')}`,
    )
    await using served = await proxying(backend)
    await using wire = await client(served)
    wire.get(1)
    const response = await wire.response(1)
    expect(response.interim).toEqual([
      [
        [':status', '103'],
        ['link', '</a.css>'],
        ['via', '1.1 xps'],
      ],
    ])
    expect(response.body).toBe('body')
  })

  it('that is cut short by the upstream is reset', async () => {
    await using backend = await Backend.start((message, peer) => {
      void peer.write(
        message.target === '/length'
          ? 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort'
          : 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n',
      )
      peer.end()
      return undefined
    })
    await using served = await proxying(backend)
    await using wire = await client(served)
    wire.get(1, '/length')
    wire.get(3, '/chunks')
    for (const stream of [1, 3]) {
      expect(await wire.ending(stream)).toEqual({ kind: 'reset', code: 'INTERNAL_ERROR' })
      expect(wire.stream(stream).body).toBe('short')
    }
    expect(await wire.alive()).toBe(true)
  })

  it('has fields that HTTP/2 does not like, and comes all the same', async () => {
    await using backend = await Backend.start(
      () =>
        'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\nETag: "a"\r\nETag: "b"\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nHTTP2-Settings: x\r\nConstructor: c\r\nX-Byte: \xe4\r\n\r\nok',
    )
    await using served = await proxying(backend)
    await using wire = await client(served)
    wire.get(1)
    const { head } = await wire.response(1)
    const fields = new Map((head ?? []).map(([name]) => [name, wire.stream(1).header(name)]))
    expect(Object.fromEntries(fields)).toMatchObject({
      etag: '"a", "b"',
      'set-cookie': 'a=1, b=2',
      constructor: 'c',
      'x-byte': '\xe4',
    })
    expect(fields.has('connection')).toBe(false)
    expect(head?.filter(([name]) => name === 'set-cookie')).toHaveLength(2)
  })

  it('with a status that HTTP/2 has no room for is answered 502', async () => {
    await using backend = await Backend.start(() => 'HTTP/1.1 777 X\r\nContent-Length: 0\r\n\r\n')
    await using served = await proxying(backend)
    await using wire = await client(served)
    wire.get(1)
    expect((await wire.response(1)).status).toBe(502)
  })

  it('comes from a file, a text, a list of bytes or a source, of any length', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'xps-h2-'))
    const text = bytes(700_000)
    writeFileSync(join(folder, 'small.txt'), 'small')
    writeFileSync(join(folder, 'large.txt'), text)
    const long = Buffer.from(text)
    await using served = await serving({
      routes: [
        { path: '/files', files: folder },
        { path: '/text', reply: { status: 200, body: 'text' } },
        { path: '/bytes', reply: { status: 200, body: long } },
        { path: '/fetch', fetch: () => new Response(text) },
      ],
      hooks: {
        request: (transaction) =>
          transaction.request.path === '/source'
            ? transaction.reply({ status: 200, body: PipeSource.from([Buffer.from('so'), Buffer.from('urce')]) })
            : undefined,
      },
    })
    await using wire = await client(served)
    const paths = ['/files/small.txt', '/files/large.txt', '/text', '/bytes', '/fetch', '/source']
    for (let round = 0; round < 2; round++) {
      const first = 1 + round * 2 * paths.length
      wire.together(() => {
        for (const [at, path] of paths.entries()) wire.get(first + at * 2, path)
      })
      const bodies: string[] = []
      for (const at of paths.keys()) bodies.push((await wire.response(first + at * 2)).body)
      expect(bodies.map(digest)).toEqual(['small', text, 'text', text, text, 'source'].map(digest))
    }
    wire.headers(51, request('GET', '/files/large.txt', [['range', 'bytes=5-14']]), { endStream: true })
    expect(await wire.response(51)).toMatchObject({ status: 206, body: text.slice(5, 15) })
    rmSync(folder, { recursive: true })
  })

  it('goes both ways at the same time', async () => {
    await using backend = await played(async (peer) => {
      await peer.read('\r\n\r\n')
      await peer.write(Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'))
      // Each chunk is sent back as it is, the last one too.
      for (let size = 1; size > 0; ) {
        const line = await peer.read('\r\n')
        size = Number.parseInt(line, 16)
        await peer.write(Buffer.from(line + (await peer.read(size + 2))))
      }
    })
    await using served = await proxying(backend)
    await using wire = await client(served)
    wire.headers(1, posting())
    await wire.head(1)
    for (const word of ['one', 'two', 'three']) {
      const before = wire.stream(1).body
      wire.data(1, word)
      await wire.until(word, () => wire.stream(1).body === before + word)
    }
    wire.data(1, '', { endStream: true })
    expect((await wire.response(1)).body).toBe('onetwothree')
  })

  it('can be changed and seen on its way', async () => {
    await using backend = await Backend.start(() => ok('body'))
    const seen: string[] = []
    const held = gate()
    await using served = await proxying(backend, {
      hooks: {
        responseBody: () => (chunk: Uint8Array) => Buffer.from(Buffer.from(chunk).toString().toUpperCase()),
        responseChunk: (_, chunk) => void seen.push(Buffer.from(chunk).toString()),
        transactionClose: () => held.open(),
      },
    })
    await using wire = await client(served)
    wire.get(1)
    expect((await wire.response(1)).body).toBe('BODY')
    await held.promise
    expect(seen).toEqual(['BODY'])
  })
})
