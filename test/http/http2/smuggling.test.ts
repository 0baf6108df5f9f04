import { describe, expect, it } from 'vitest'
import { encodeFields, type Field } from '../../support/hpack.ts'
import { type Http2Wire, request } from '../../support/http2-wire.ts'
import { TestServer } from '../../support/net.ts'
import { Backend, ok, type Served, until } from '../e2e/support.ts'
import { connected, proxy2 } from './proxied.ts'

/** An upstream that notes every byte as it is, and answers each head. */
class Recorder implements AsyncDisposable {
  text = ''
  readonly server: TestServer

  private constructor(server: TestServer) {
    this.server = server
  }

  static async start(): Promise<Recorder> {
    const server = await TestServer.start((peer, socket) => {
      socket.on('data', (chunk: Buffer) => {
        it.text += chunk.toString('latin1')
        if (/\r\n\r\n$/.test(it.text)) void peer.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine')
      })
    })
    const it: Recorder = new Recorder(server)
    return it
  }

  get address(): string {
    return this.server.address
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.server[Symbol.asyncDispose]()
  }
}

/** The pseudo fields with changes, and more fields. */
function pseudo(changes: Record<string, string>, ...rest: Field[]): Field[] {
  return [...request().map(([name, value]): Field => [name, changes[name] ?? value]), ...rest]
}

const smuggled = 'GET /smuggled HTTP/1.1'
const tail = `\r\n\r\n${smuggled}\r\nHost: a.test\r\n\r\n`

/** What must end with a 4xx or a reset, and no byte at the upstream. */
const refused: [name: string, fields: Field[]][] = [
  ...['\r', '\n', '\r\n', '\0', ' ', '\t', '\x7f', '\x0b', '\x85', '\xff'].flatMap((bad): [string, Field[]][] => [
    [`${JSON.stringify(bad)} in :path`, pseudo({ ':path': `/a${bad}b` })],
    [`${JSON.stringify(bad)} in :method`, pseudo({ ':method': `GE${bad}T` })],
    [`${JSON.stringify(bad)} in :authority`, pseudo({ ':authority': `a.te${bad}st` })],
    [`${JSON.stringify(bad)} in :scheme`, pseudo({ ':scheme': `ht${bad}tp` })],
    [`${JSON.stringify(bad)} in host`, [...request().filter(([name]) => name !== ':authority'), ['host', `a${bad}b`]]],
  ]),
  ['a request in :path', pseudo({ ':path': `/ HTTP/1.1${tail}` })],
  ['a request in :method', pseudo({ ':method': `GET / HTTP/1.1${tail}GET` })],
  ['a request in :authority', pseudo({ ':authority': `a.test${tail}` })],
  ['a request in :scheme', pseudo({ ':scheme': `http://a.test/${tail}` })],
  ['a version in :path', pseudo({ ':path': '/ HTTP/1.1' })],
  ['an absolute :path', pseudo({ ':path': 'http://evil.test/' })],
  ['an absolute :path of https', pseudo({ ':path': 'https://a.test/' })],
  ['a :path without its slash', pseudo({ ':path': 'evil' })],
  ['a :path of a query only', pseudo({ ':path': '?a=b' })],
  ['a :path of @', pseudo({ ':path': '@evil.test/' })],
  ['a :path of :80', pseudo({ ':path': ':80/' })],
  ['a :path of *', pseudo({ ':path': '*' })],
  ['a :path of * and more', pseudo({ ':method': 'OPTIONS', ':path': '*/x' })],
  ['an empty :path', pseudo({ ':path': '' })],
  ['a fragment in :path', pseudo({ ':path': '/a#b' })],
  ['an empty :method', pseudo({ ':method': '' })],
  ['a :method with a colon', pseudo({ ':method': 'GET:' })],
  ['a :scheme of ftp', pseudo({ ':scheme': 'ftp' })],
  ['userinfo in :authority', pseudo({ ':authority': 'user:secret@a.test' })],
  ['a path in :authority', pseudo({ ':authority': 'a.test/evil' })],
  ['a query in :authority', pseudo({ ':authority': 'a.test?evil' })],
  ['a fragment in :authority', pseudo({ ':authority': 'a.test#evil' })],
  ['a backslash in :authority', pseudo({ ':authority': 'a.test\\evil' })],
  ['a list in :authority', pseudo({ ':authority': 'a.test, b.test' })],
  ['a wrong port in :authority', pseudo({ ':authority': 'a.test:99999' })],
  ['letters for a port in :authority', pseudo({ ':authority': 'a.test:8o' })],
  ['an open bracket in :authority', pseudo({ ':authority': '[::1' })],
  ['an empty :authority', pseudo({ ':authority': '' })],
  ['no :authority, no host', request().filter(([name]) => name !== ':authority')],
  ['host that is not :authority', [...request(), ['host', 'evil.test']]],
  ['host twice', [...request(), ['host', 'a.test'], ['host', 'evil.test']]],
  ['an empty host', [...request(), ['host', '']]],
  ['transfer-encoding', [...request(), ['transfer-encoding', 'chunked']]],
  ['transfer-encoding: identity', [...request(), ['transfer-encoding', 'identity']]],
  ['connection', [...request(), ['connection', 'x-secret']]],
  ['connection: upgrade', [...request(), ['connection', 'upgrade, http2-settings']]],
  ['upgrade', [...request(), ['upgrade', 'websocket']]],
  ['keep-alive', [...request(), ['keep-alive', '1']]],
  ['proxy-connection', [...request(), ['proxy-connection', 'close']]],
  ['te: chunked', [...request(), ['te', 'chunked']]],
  ['Transfer-Encoding in uppercase', [...request(), ['Transfer-Encoding', 'chunked']]],
  ['content-length of a list', [...request(), ['content-length', '0, 5']]],
  ['content-length twice', [...request(), ['content-length', '0'], ['content-length', '5']]],
  ['content-length twice, the same', [...request(), ['content-length', '0'], ['content-length', '0']]],
  ['content-length: -1', [...request(), ['content-length', '-1']]],
  ['content-length: +5', [...request(), ['content-length', '+5']]],
  ['content-length: 0x5', [...request(), ['content-length', '0x5']]],
  ['content-length: 5e0', [...request(), ['content-length', '5e0']]],
  ['an empty content-length', [...request(), ['content-length', '']]],
  ['content-length of 2^64', [...request(), ['content-length', '18446744073709551616']]],
  ['content-length: 5, and the end', [...request('POST'), ['content-length', '5']]],
  [':method twice', [[':method', 'GET'], ...request()]],
  [':path twice', [[':path', '/admin'], ...request()]],
  [':authority twice', [[':authority', 'evil.test'], ...request()]],
  [':scheme twice', [[':scheme', 'https'], ...request()]],
  ['an unknown pseudo field', [...request(), [':host', 'evil.test']]],
  ['a pseudo field after others', [...request().slice(0, 3), ['a', 'b'], [':path', '/']]],
  [
    'CONNECT',
    [
      [':method', 'CONNECT'],
      [':authority', 'evil.test:80'],
    ],
  ],
  ['CONNECT with a path', pseudo({ ':method': 'CONNECT' })],
  ['an expectation that nobody knows', [...request('POST'), ['expect', 'evil']]],
]

/** What Node takes out of a request before anybody sees it: the request is served without, or refused. */
const dropped: [name: string, field: Field][] = [
  ['CR LF and a field in a value', ['x', `v\r\nTransfer-Encoding: chunked`]],
  ['CR LF and a request in a value', ['x', `v${tail}`]],
  ['LF in a value', ['x', 'v\nTransfer-Encoding: chunked']],
  ['CR in a value', ['x', 'v\rTransfer-Encoding: chunked']],
  ['NUL in a value', ['x', 'v\0Transfer-Encoding: chunked']],
  ['CR LF in a name', ['x: v\r\ntransfer-encoding', 'chunked']],
  ['a colon in a name', ['transfer-encoding: chunked\r\nx', 'v']],
  ['a colon at the end of a name', ['transfer-encoding:', 'chunked']],
  ['a space at the end of a name', ['transfer-encoding ', 'chunked']],
  ['a space before a name', [' transfer-encoding', 'chunked']],
  ['a tab at the end of a name', ['transfer-encoding\t', 'chunked']],
  ['NUL in a name', ['transfer-encoding\0', 'chunked']],
  ['an empty name', ['', 'transfer-encoding: chunked']],
  ['a cookie with CR LF', ['cookie', 'a=b\r\nTransfer-Encoding: chunked']],
]

async function ending(wire: Http2Wire, stream: number): Promise<number | string> {
  const how = await wire.ending(stream)
  const { status } = wire.stream(stream)
  return how.kind === 'message' || status > 0 ? status : how.kind
}

describe('A request that would be another one in HTTP/1.1', () => {
  it.each(refused)('with %s is refused, and its upstream hears nothing', async (_name, fields) => {
    await using upstream = await Recorder.start()
    await using served = await proxy2(upstream)
    await using wire = await connected(served)
    wire.headers(1, fields, { endStream: true })
    const came = await ending(wire, 1)
    if (typeof came === 'number') expect(Math.floor(came / 100), wire.transcript()).toBe(4)
    else expect(came).toMatch(/reset|goaway/)
    expect(upstream.text).toBe('')
    expect(upstream.server.accepted).toBe(0)
  })

  it.each(dropped)('with %s comes without it, or not at all', async (_name, field) => {
    await using upstream = await Recorder.start()
    await using served = await proxy2(upstream)
    await using wire = await connected(served)
    wire.headers(1, [...request(), field, ['after', 'it']], { endStream: true })
    const came = await ending(wire, 1)
    expect(came === 200 || came === 400 || came === 'reset', String(came)).toBe(true)
    expect(upstream.text.split('\r\n\r\n')).toHaveLength(came === 200 ? 2 : 1)
    expect(upstream.text).not.toMatch(/transfer-encoding|chunked|smuggled|\0/i)
    if (came === 200) expect(upstream.text).toMatch(/\r\nafter: it\r\n/i)
  })
})

describe('The framing that the upstream sees', () => {
  async function asked(
    send: (wire: Http2Wire) => void | Promise<void>,
    check: (backend: Backend, served: Served, wire: Http2Wire) => void | Promise<void>,
  ): Promise<void> {
    await using backend = await Backend.start(() => ok('fine'))
    await using served = await proxy2(backend)
    await using wire = await connected(served)
    await send(wire)
    await check(backend, served, wire)
  }

  it.each([
    ['chunks', '5\r\nhello\r\n0\r\n\r\n'],
    ['the end of chunks and a request', `0${tail}`],
    ['a request', `${smuggled}\r\nHost: a.test\r\n\r\n`],
  ])('is its own: a body of %s is a body', async (_what, body) => {
    for (const fields of [[], [['content-length', String(body.length)]]] as Field[][]) {
      await asked(
        (wire) => wire.post(1, '/p', body, fields),
        async (backend, _served, wire) => {
          expect((await wire.response(1)).body).toBe('fine')
          wire.get(3, '/next')
          await wire.response(3)
          expect(backend.requests.map(({ method, target }) => [method, target])).toEqual([
            ['POST', '/p'],
            ['GET', '/next'],
          ])
          expect(backend.requests[0]?.body).toBe(body)
        },
      )
    }
  })

  it('a GET with a body has one there too, and nothing of it is a request', () =>
    asked(
      (wire) => {
        wire.headers(1, request('GET', '/g'))
        wire.data(1, `${smuggled}\r\n\r\n`, { endStream: true })
      },
      async (backend, _served, wire) => {
        expect((await wire.response(1)).body).toBe('fine')
        expect(backend.requests.map(({ target, body }) => [target, body])).toEqual([['/g', `${smuggled}\r\n\r\n`]])
      },
    ))

  it.each([
    ['shorter', '10', 'short'],
    ['longer', '3', 'longer'],
  ])('a body %s than its content-length ends the upstream connection, not the request', async (_what, length, body) => {
    await asked(
      async (wire) => {
        wire.headers(1, request('POST', '/p', [['content-length', length]]))
        await wire.alive()
        wire.data(1, body, { endStream: true })
      },
      async (backend, served, wire) => {
        const how = await wire.ending(1)
        if (how.kind === 'message') expect(Math.floor(wire.stream(1).status / 100)).toBe(4)
        await until(() => expect(served.http.stats().transactions).toBe(0))
        await until(() => expect(backend.open).toBe(0))
        // Of the longer one, what the length says may have come before the rest was seen.
        expect(backend.requests.every((one) => one.body.length === Number(length))).toBe(true)
      },
    )
  })

  it.each([
    ['content-length', '5'],
    ['transfer-encoding', 'chunked'],
    ['host', 'evil.test'],
    ['x-fine', 'v\r\nTransfer-Encoding: chunked'],
    ['trailer', 'x'],
    ['authorization', 'secret'],
    ['content-encoding', 'gzip'],
    ['te', 'trailers'],
  ])('a trailer %s: %j is no header of anything', async (name, value) => {
    await asked(
      (wire) => {
        wire.headers(1, request('POST', '/p'))
        wire.data(1, 'body')
        wire.headers(
          1,
          [
            [name, value],
            ['x-sum', '1'],
          ],
          { endStream: true },
        )
      },
      async (backend, _served, wire) => {
        const how = await wire.ending(1)
        if (how.kind !== 'message') return expect(backend.requests).toHaveLength(0)
        const [one] = backend.requests
        expect(one?.body).toBe('body')
        const sent = one?.trailers.map(([key]) => key.toLowerCase())
        expect(sent).not.toContain(name)
        expect(one?.header('x-sum')).toBeUndefined()
      },
    )
  })

  it('names that a client gave by underscores, or of ours, do not become others', () =>
    asked(
      (wire) =>
        wire.get(1, '/', [
          ['content_length', '5'],
          ['transfer_encoding', 'chunked'],
          ['x-forwarded-for', '6.6.6.6'],
        ]),
      async (backend, _served, wire) => {
        expect((await wire.response(1)).body).toBe('fine')
        const [one] = backend.requests
        expect(one?.header('content-length')).toBeUndefined()
        expect(one?.header('x-forwarded-for')).not.toContain('6.6.6.6')
      },
    ))

  it('bytes above 0x7f in a value arrive as they were', async () => {
    await using upstream = await Recorder.start()
    await using served = await proxy2(upstream)
    await using wire = await connected(served)
    wire.get(1, '/', [['x-bytes', 'caf\xe9 \x80\xff']])
    expect((await wire.response(1)).body).toBe('fine')
    expect(upstream.text).toContain('caf\xe9 \x80\xff\r\n')
  })

  it('one Host, which is :authority, and one Cookie', () =>
    asked(
      (wire) => {
        const fields = encodeFields(
          request('GET', '/', [
            ['cookie', 'a=1'],
            ['host', 'A.test'],
            ['cookie', 'b=2'],
          ]),
        )
        wire.headers(1, fields, { endStream: true })
      },
      async (backend, _served, wire) => {
        expect((await wire.response(1)).body).toBe('fine')
        const [one] = backend.requests
        expect(one?.fields.filter(([name]) => name.toLowerCase() === 'host')).toHaveLength(1)
        expect(one?.fields.filter(([name]) => name.toLowerCase() === 'cookie')).toEqual([
          [expect.anything(), 'a=1; b=2'],
        ])
      },
    ))
})
