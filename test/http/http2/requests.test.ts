import { describe, expect, it } from 'vitest'
import type { Field } from '../../support/hpack.ts'
import { request } from '../../support/http2-wire.ts'
import { Backend, client, gate, ok, proxying, serving } from './support.ts'

/** Answers with what the request said. */
const telling = (): Promise<Backend> =>
  Backend.start((message) =>
    ok([message.start, ...message.fields.map(([name, value]) => `${name.toLowerCase()}: ${value}`)].join('\n')),
  )

const plain = { xForwarded: 'remove', via: false } as const

describe('A request of HTTP/2', () => {
  it('reaches an upstream of HTTP/1.1 as one of its own', async () => {
    await using backend = await telling()
    await using served = await serving({ routes: [{ upstream: backend.address, ...plain }] })
    await using wire = await client(served)
    wire.get(1, '/path?query=1', [
      ['x-one', '1'],
      ['cookie', 'a=1'],
      ['x-two', 'b'],
      ['cookie', 'b=2'],
      ['te', 'trailers'],
      ['cookie', 'c=3'],
    ])
    expect((await wire.response(1)).body.split('\n')).toEqual([
      'GET /path?query=1 HTTP/1.1',
      'host: a.test',
      'x-one: 1',
      'cookie: a=1; b=2; c=3',
      'x-two: b',
      'te: trailers',
      'connection: TE',
    ])
  })

  it('has a Host that is its :authority, whichever of the two it came with', async () => {
    const seen: string[] = []
    await using backend = await telling()
    await using served = await proxying(backend, {
      hooks: {
        request: ({ request }) => void seen.push(`${request.authority} ${request.host} ${request.headers.get('host')}`),
      },
    })
    await using wire = await client(served)
    const head = (fields: readonly Field[]): Field[] => [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':path', '/'],
      ...fields,
    ]
    wire.headers(1, head([[':authority', 'A.test:80']]), { endStream: true })
    wire.headers(3, head([['host', 'b.test']]), { endStream: true })
    wire.headers(
      5,
      head([
        [':authority', 'c.test'],
        ['host', 'C.test'],
      ]),
      { endStream: true },
    )
    for (const stream of [1, 3, 5]) expect((await wire.response(stream)).status).toBe(200)
    expect(seen).toEqual(['A.test:80 a.test A.test:80', 'b.test b.test b.test', 'c.test c.test c.test'])
  })

  const refused: readonly [what: string, status: number, fields: readonly Field[]][] = [
    ['a Host that is not its :authority', 400, request('GET', '/', [['host', 'b.test']])],
    [
      'neither :authority nor Host',
      400,
      [
        [':method', 'GET'],
        [':scheme', 'http'],
        [':path', '/'],
      ],
    ],
    [
      'an :authority with a user',
      400,
      [
        [':method', 'GET'],
        [':scheme', 'http'],
        [':path', '/'],
        [':authority', 'a@b'],
      ],
    ],
    [
      'another scheme',
      400,
      [
        [':method', 'GET'],
        [':scheme', 'ftp'],
        [':path', '/'],
        [':authority', 'a'],
      ],
    ],
    ['a path with a backslash', 400, request('GET', '/a\\b')],
    ['a path with a fragment', 400, request('GET', '/a#b')],
    ['a path with a quotation mark', 400, request('GET', '/"')],
    ['a path with a byte beyond ASCII', 400, request('GET', '/\xe4')],
    ['a star that is not for OPTIONS', 400, request('GET', '*')],
    ['a method that is too long', 400, request('A'.repeat(33))],
    ['an expectation that is unknown', 417, request('GET', '/', [['expect', 'the unexpected']])],
    ['a path that is too long', 414, request('GET', `/${'a'.repeat(8_200)}`)],
    ['a head that is too long', 431, request('GET', '/', [['x-long', 'a'.repeat(33_000)]])],
    [
      'too many fields',
      431,
      request(
        'GET',
        '/',
        Array.from({ length: 101 }, (_, at): Field => [`x-${at}`, '1']),
      ),
    ],
    ['a path that servers read in different ways', 400, request('GET', '/..%2fadmin')],
  ]
  it.each(refused)('with %s is answered %i, and no upstream hears of it', async (_what, status, fields) => {
    await using backend = await telling()
    await using served = await proxying(backend)
    await using wire = await client(served)
    // The settings that say what a head may have are acknowledged, and hold, by now.
    wire.headers(1, fields, { endStream: true, pieces: [16_000, 16_000] })
    const ending = await wire.ending(1)
    // nghttp2 itself resets some of them.
    if (ending.kind === 'message') expect(wire.stream(1).status).toBe(status)
    else expect(ending).toMatchObject({ kind: 'reset', code: 'PROTOCOL_ERROR' })
    wire.get(3)
    expect((await wire.response(3)).status).toBe(200)
    expect(backend.requests).toHaveLength(1)
  })

  it.each([
    ['connection', 'close'],
    ['keep-alive', '1'],
    ['proxy-connection', 'close'],
    ['transfer-encoding', 'chunked'],
    ['upgrade', 'websocket'],
    ['te', 'gzip'],
    ['Upper', 'case'],
    ['content-length', '12a'],
    [':status', '200'],
    [':unknown', '1'],
  ])('with %s: %s is reset, and no upstream hears of it', async (name, value) => {
    await using backend = await telling()
    await using served = await proxying(backend)
    await using wire = await client(served)
    wire.get(1, '/', [[name, value]])
    expect(await wire.ending(1)).toEqual({ kind: 'reset', code: 'PROTOCOL_ERROR' })
    wire.get(3)
    expect((await wire.response(3)).status).toBe(200)
    expect(backend.requests).toHaveLength(1)
  })

  it.each([
    ['a line feed', 'a\nb'],
    ['a carriage return', 'a\rx: 1'],
    ['a zero', 'a\0b'],
    ['a blank in front', ' a'],
  ])('never brings %s in a value to an upstream', async (_what, value) => {
    await using backend = await telling()
    await using served = await proxying(backend)
    await using wire = await client(served)
    wire.get(1, '/', [['x-bad', value]])
    await wire.ending(1)
    for (const one of backend.requests) expect(one.header('x-bad')).toBeUndefined()
  })

  it('that is too large by far is reset, and the connection goes on', async () => {
    await using backend = await telling()
    await using served = await proxying(backend, { headLimit: 4_096 })
    await using wire = await client(served)
    wire.headers(1, request('GET', '/', [['x-long', 'a'.repeat(60_000)]]), {
      endStream: true,
      pieces: [16_000, 16_000, 16_000],
    })
    const ending = await wire.ending(1)
    expect(ending.kind === 'message' ? wire.stream(1).status : ending.kind).toBe('reset')
    wire.get(3)
    expect((await wire.response(3)).status).toBe(200)
  })

  it('with CONNECT or TRACE is refused as in HTTP/1.1, where no route is for it', async () => {
    await using served = await serving({ routes: [{ path: '/', method: 'GET', reply: 200 }] })
    await using wire = await client(served)
    wire.headers(1, request('TRACE'), { endStream: true })
    expect((await wire.response(1)).status).toBe(405)
    wire.headers(3, [
      [':method', 'CONNECT'],
      [':authority', 'a.test:80'],
    ])
    expect((await wire.head(3)).status).toBeGreaterThanOrEqual(400)
  })

  it('beyond the limit of those under way is refused, and those under way are answered', async () => {
    const held = gate()
    await using backend = await Backend.start(async (message) => {
      await held.promise
      return ok(message.target)
    })
    await using served = await proxying(backend, { http2: { maxStreams: 3 } })
    // Before it has acknowledged our settings a client may not know of the limit.
    await using wire = await client(served, { greet: false })
    wire.together(() => {
      wire.raw(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'))
      wire.settings({})
      for (const stream of [1, 3, 5, 7, 9]) wire.get(stream, `/${stream}`)
    })
    for (const stream of [7, 9]) expect(await wire.ending(stream)).toEqual({ kind: 'reset', code: 'REFUSED_STREAM' })
    held.open()
    for (const stream of [1, 3, 5]) expect((await wire.response(stream)).body).toBe(`/${stream}`)
  })

  it('is one of as many as are allowed, again and again', async () => {
    await using backend = await telling()
    await using served = await proxying(backend, { http2: { maxStreams: 10 } })
    await using wire = await client(served)
    let stream = 1
    const open = new Set<number>()
    // The next one follows at once when one has ended.
    for (let done = 0; done < 300; ) {
      wire.together(() => {
        for (; open.size < 10; stream += 2) {
          wire.get(stream)
          open.add(stream)
        }
      })
      await wire.until('an end', () =>
        [...open].some((id) => wire.stream(id).ended || wire.stream(id).reset !== undefined),
      )
      for (const id of [...open]) {
        const { ended, reset } = wire.stream(id)
        expect(reset).toBeUndefined()
        if (!ended) continue
        open.delete(id)
        done++
      }
    }
  })
})
