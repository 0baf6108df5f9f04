import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Fields } from '../../../src/http/fields.ts'
import { ForwardedClient } from '../../../src/http/forwarding/forwarded-client.ts'
import { type Answered, Forwarding, type ForwardingOptions } from '../../../src/http/forwarding/forwarding.ts'
import { bitsOf } from '../../../src/http/forwarding/hop-by-hop.ts'
import { RequestHead } from '../../../src/http/messages.ts'
import { answer, asList, get, linesOf, parsed, readBlock } from './heads.ts'

const client = new ForwardedClient({ address: '192.0.2.7', port: 4711 })
const bare: ForwardingOptions = { via: false, xForwarded: 'remove' }

function answered(given: Partial<Answered> = {}): Answered {
  return { request: get(), client, upstreamHost: '127.0.0.1:3000', prefix: '', ...given }
}

describe('the fields of a request for an upstream', () => {
  it('are those that came, in their order and spelling, and what a proxy adds', () => {
    const request = get('user-AGENT:curl', 'X-Dup: 1', 'Accept: */*', 'X-Dup:  2 ', 'Empty:', 'Latin: \xe9')
    expect(new Forwarding().requestBlock(request, client, 'up')).toBe(
      'Host: app.test\r\nuser-AGENT:curl\r\nX-Dup: 1\r\nAccept: */*\r\nX-Dup:  2 \r\nEmpty:\r\nLatin: \xe9\r\n' +
        'X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: app.test\r\nX-Forwarded-Proto: http\r\nVia: 1.1 xps\r\n',
    )
  })

  it('have none that are for one hop, and no framing', () => {
    const request = parsed(
      'POST /x HTTP/1.1',
      'Host: app.test',
      'Connection: close, X-Secret, Upgrade, TE',
      'connection: x-other',
      'X-Secret: 1',
      'x-SECRET: 2',
      'X-Other: 3',
      'Keep-Alive: timeout=5',
      'Proxy-Connection: keep-alive',
      'Proxy-Authorization: Basic eDp5',
      'Proxy-Authenticate: Basic',
      'TE: gzip',
      'Upgrade: websocket',
      'Transfer-Encoding: chunked',
      'Trailer: X-Sum',
      'Cookie: a=1',
    )
    expect(linesOf(new Forwarding(bare).requestBlock(request, client, 'up'))).toEqual([
      'Host: app.test',
      'Trailer: X-Sum',
      'Cookie: a=1',
    ])
    const sized = parsed('POST /x HTTP/1.1', 'Content-Length: 7', 'Host: app.test')
    expect(new Forwarding(bare).requestBlock(sized, client, 'up')).toBe('Host: app.test\r\n')
  })

  it('keep what is for all recipients, even if Connection names it', () => {
    const kept = ['Authorization: Bearer x', 'Cookie: a=1', 'Cache-Control: no-store', 'X-User: me', 'Origin: null']
    const request = get(
      'Connection: Host, Authorization, Cookie, Cache-Control, X-User, Origin, X-Forwarded-For, Via',
      ...kept,
    )
    const block = new Forwarding({ protect: ['X-User'] }).requestBlock(request, client, 'up')
    expect(linesOf(block)).toEqual(
      expect.arrayContaining(['Host: app.test', 'X-Forwarded-For: 192.0.2.7', 'Via: 1.1 xps', ...kept]),
    )
  })

  it('keep what a trusted proxy says of the client, even if Connection names it', () => {
    const forwarding = new Forwarding({ trusted: ['192.0.2.7'] })
    const request = get(
      'Connection: X-Forwarded-For, X-Forwarded-Proto',
      'X-Forwarded-For: 203.0.113.5',
      'X-Forwarded-Proto: https',
    )
    const block = forwarding.requestBlock(request, client, 'up')
    expect(block).toContain('X-Forwarded-For: 203.0.113.5, 192.0.2.7\r\n')
    expect(block).toContain('X-Forwarded-Proto: https\r\n')
  })

  it('have none that a server behind could take for one of them because of underscores', () => {
    const request = get(
      'X_Forwarded_For: 1.1.1.1',
      'X-Forwarded_Proto: https',
      'Content_Length: 7',
      'X_User: root',
      'X_Free: 1',
    )
    const block = new Forwarding({ ...bare, protect: ['x-user'] }).requestBlock(request, client, 'up')
    expect(linesOf(block)).toEqual(['Host: app.test', 'X_Free: 1'])
  })

  it('say TE: trailers for a client that takes trailers, as RFC 9110 wants it', () => {
    const block = (options: ForwardingOptions, ...lines: string[]) =>
      new Forwarding({ ...bare, ...options }).requestBlock(parsed(...lines), client, 'up')
    const said = 'Host: a\r\nTE: trailers\r\nConnection: TE\r\n'
    expect(block({}, 'GET / HTTP/1.1', 'Host: a', 'TE: trailers', 'Connection: TE')).toBe(said)
    expect(block({}, 'GET / HTTP/1.1', 'Host: a', 'te: gzip;q=0.5, Trailers')).toBe(said)
    expect(block({}, 'GET / HTTP/1.1', 'Host: a', 'TE: gzip')).toBe('Host: a\r\n')
    expect(block({}, 'GET / HTTP/1.0', 'Host: a', 'TE: trailers')).toBe('Host: a\r\n')
    expect(block({ trailers: false }, 'GET / HTTP/1.1', 'Host: a', 'TE: trailers')).toBe('Host: a\r\n')
  })

  it('have the Host that is asked for', () => {
    const block = (hostHeader: string | undefined, ...lines: string[]) =>
      new Forwarding({ ...bare, ...(hostHeader === undefined ? {} : { hostHeader }) }).requestBlock(
        parsed(...lines),
        client,
        '127.0.0.1:3000',
      )
    expect(block(undefined, 'GET / HTTP/1.1', 'A: 1', 'hOst: App.test:80')).toBe('A: 1\r\nhOst: App.test:80\r\n')
    expect(block('upstream', 'GET / HTTP/1.1', 'A: 1', 'Host: a')).toBe('Host: 127.0.0.1:3000\r\nA: 1\r\n')
    expect(block('inner.test:81', 'GET / HTTP/1.1', 'Host: a', 'A: 1')).toBe('Host: inner.test:81\r\nA: 1\r\n')
    expect(block(undefined, 'GET / HTTP/1.0', 'A: 1')).toBe('Host: 127.0.0.1:3000\r\nA: 1\r\n')
    expect(block(undefined, 'GET http://b.test/ HTTP/1.0', 'A: 1')).toBe('Host: b.test\r\nA: 1\r\n')
  })

  it('have what a hook has made of them', () => {
    const request = get('X-A: 1', 'Connection: X-A')
    request.headers.set('host', 'other.test').set('X-B', '2').delete('connection')
    expect(linesOf(new Forwarding(bare).requestBlock(request, client, 'up'))).toEqual([
      'Host: other.test',
      'X-A: 1',
      'X-B: 2',
    ])
  })

  it('cannot be cut in two by what a hook puts in the place of the host', () => {
    const evil = 'a\r\nX-Evil: 1'
    const request = new RequestHead('GET', '/', '1.1', new Fields({ a: '1' }), evil)
    const refused = expect.objectContaining({ code: 'XPS_INVALID_HEADER' })
    expect(() => new Forwarding().requestBlock(request, client, 'up')).toThrow(refused)
    expect(() => new Forwarding(bare).requestBlock(request, client, 'up')).toThrow(refused)
    const forwarding = new Forwarding()
    for (const authority of ['good.test', evil, evil, '\u010d\u010a', 'good.test']) {
      const one = new RequestHead('GET', '/', '1.1', new Fields({ a: '1' }), authority)
      if (authority !== 'good.test') expect(() => forwarding.requestBlock(one, client, 'up')).toThrow(refused)
      else expect(forwarding.requestBlock(one, client, 'up')).toContain('X-Forwarded-Host: good.test\r\n')
    }
    expect(() => new Forwarding().requestFields(request, client)).toThrow(refused)
    expect(() => new Forwarding({ hostHeader: 'upstream' }).requestBlock(get(), client, evil)).toThrow(refused)
  })

  it('leave out more known fields if they are told to', () => {
    const request = get('Expect: 100-continue', 'Trailer: a')
    expect(new Forwarding(bare).requestBlock(request, client, 'up', bitsOf('expect', 'trailer'))).toBe(
      'Host: app.test\r\n',
    )
  })

  it('count the hops that an OPTIONS may take', () => {
    const options = (value: string, method = 'OPTIONS') =>
      parsed(`${method} * HTTP/1.1`, 'Host: a', `max-forwards: ${value}`)
    const forwarding = new Forwarding(bare)
    expect(forwarding.requestBlock(options('3'), client, 'up')).toBe('Host: a\r\nMax-Forwards: 2\r\n')
    expect(forwarding.requestBlock(options('x'), client, 'up')).toBe('Host: a\r\nmax-forwards: x\r\n')
    expect(forwarding.requestBlock(get('Max-Forwards: 3'), client, 'up')).toBe('Host: app.test\r\nMax-Forwards: 3\r\n')
    expect(forwarding.stops(options('0'))).toBe('max-forwards')
    expect(forwarding.stops(options('1'))).toBeUndefined()
    expect(forwarding.stops(get('Max-Forwards: 0'))).toBeUndefined()
  })
})

describe('the fields of a response for a client', () => {
  it('are those that came, without what is for one hop', () => {
    const response = answer(
      200,
      'Server: nginx',
      'Connection: close, X-Secret, Set-Cookie, Date',
      'X-Secret: 1',
      'Keep-Alive: timeout=5',
      'Proxy-Authenticate: Basic',
      'Transfer-Encoding: chunked',
      'Upgrade: h2c',
      'Set-Cookie: a=1; Path=/',
      'set-cookie: b=2',
      'Trailer: x-sum',
      'Date: x',
    )
    expect(linesOf(new Forwarding().responseBlock(response, answered()))).toEqual([
      'Server: nginx',
      'Set-Cookie: a=1; Path=/',
      'set-cookie: b=2',
      'Trailer: x-sum',
      'Date: x',
      'Via: 1.1 xps',
    ])
    expect(new Forwarding(bare).responseBlock(response, answered(), bitsOf('trailer', 'server', 'date'))).toBe(
      'Set-Cookie: a=1; Path=/\r\nset-cookie: b=2\r\n',
    )
  })

  it('lead a client back to this server where the upstream names itself', () => {
    const forwarding = new Forwarding({ ...bare, stripPrefix: true })
    const response = answer(
      302,
      'location: http://127.0.0.1:3000/x',
      'A: 1',
      'Content-Location: /y',
      'Refresh: 1; url=/z',
    )
    const want = ['A: 1', 'Location: http://app.test/api/x', 'Content-Location: /api/y', 'Refresh: 1; url=/api/z']
    expect(linesOf(forwarding.responseBlock(response, answered({ prefix: '/api' })))).toEqual(want)
    const left = new Forwarding({ ...bare, stripPrefix: true, redirects: 'leave' })
    expect(linesOf(left.responseBlock(response, answered({ prefix: '/api' })))).toContain(
      'location: http://127.0.0.1:3000/x',
    )
    const ok = answer(200, 'Location: http://127.0.0.1:3000/x')
    expect(forwarding.responseBlock(ok, answered())).toBe('Location: http://127.0.0.1:3000/x\r\n')
  })

  it('lead it to the server that it knows, if a trusted proxy stands before this one', () => {
    const forwarding = new Forwarding({ ...bare, trusted: ['192.0.2.7'] })
    const request = get('X-Forwarded-Proto: https', 'X-Forwarded-Host: www.test')
    const response = answer(301, 'Location: http://127.0.0.1:3000/x')
    expect(forwarding.responseBlock(response, answered({ request }))).toBe('Location: https://www.test/x\r\n')
    expect(new Forwarding(bare).responseBlock(response, answered({ request }))).toBe('Location: http://app.test/x\r\n')
  })

  it('know the upstream by the Host that it was given', () => {
    const forwarding = new Forwarding({ ...bare, hostHeader: 'inner.test' })
    const response = answer(301, 'Location: https://inner.test/x')
    expect(forwarding.responseBlock(response, answered())).toBe('Location: http://app.test/x\r\n')
  })

  it('have cookies for this server', () => {
    const forwarding = new Forwarding({ ...bare, cookieDomain: 'app.test', cookiePath: { '/': '/api' } })
    const response = answer(200, 'Set-Cookie: a=1; Domain=up; Path=/', 'A: 1', 'set-cookie: b=2; path=/x')
    expect(linesOf(forwarding.responseBlock(response, answered()))).toEqual([
      'A: 1',
      'Set-Cookie: a=1; Domain=app.test; Path=/api',
      'Set-Cookie: b=2; path=/x',
    ])
    expect(forwarding.responseBlock(answer(200, 'A: 1'), answered())).toBe('A: 1\r\n')
  })
})

describe('trailers', () => {
  it('are passed on, but for those that belong into a head or to one hop', () => {
    const trailers = new Fields({
      'X-Sum': '1',
      'Content-MD5': '2',
      Digest: '3',
      'X-Named': '4',
      Authorization: '5',
      'Set-Cookie': '6',
      Connection: 'close',
      'Content-Type': '7',
      'X-Forwarded-For': '8',
      X_Forwarded_For: '9',
      'If-Match': '10',
      'grpc-status': '0',
      TE: 'trailers',
      Upgrade: 'x',
    })
    const head = new Fields({ Connection: 'X-Named, close' })
    expect([...new Forwarding().trailers(trailers, head)]).toEqual([
      ['X-Sum', '1'],
      ['Content-MD5', '2'],
      ['Digest', '3'],
      ['grpc-status', '0'],
    ])
    expect(new Forwarding({ protect: ['x-named'] }).trailers(trailers, head).has('x-named')).toBe(true)
  })
})

describe('a removed field', () => {
  const hop = [
    'Keep-Alive',
    'Proxy-Connection',
    'Proxy-Authorization',
    'Proxy-Authenticate',
    'TE',
    'Upgrade',
    'X-Named',
  ]
  const claims = ['X-Forwarded-For', 'X-Forwarded-Host', 'X-Forwarded-Proto', 'Forwarded']
  const guarded = [
    ...claims.slice(0, 3),
    'X-Forwarded-Port',
    'X-Real-Ip',
    'Content-Length',
    'Transfer-Encoding',
    'Keep-Alive',
  ]

  /** A name in any case. */
  const spelled = (name: string) =>
    fc
      .array(fc.boolean(), { minLength: name.length, maxLength: name.length })
      .map((up) =>
        [...name].map((letter, at) => (up[at] === true ? letter.toUpperCase() : letter.toLowerCase())).join(''),
      )
  /** A name with an underscore or more for its hyphens. */
  const underscored = (name: string) =>
    fc.integer({ min: 1, max: 7 }).map((which) => {
      let at = 0
      return name.replace(/-/g, () => ((which >> at++) % 2 === 1 || at === 1 ? '_' : '-'))
    })
  const value = fc.stringMatching(/^[!-~\xa1-\xff]?(?:[ \t!-~]{0,10}[!-~])?$/).map((text) => text.trim())
  const blank = fc.constantFrom('', ' ', '\t', '  ')
  const field = (names: readonly string[], goes: boolean, alike = false) =>
    fc
      .constantFrom(...names)
      .chain((name) => (alike ? underscored(name) : fc.constant(name)))
      .chain((name) => fc.tuple(spelled(name), blank, value, blank, fc.constant(goes)))
  const kept = field(
    ['X-Kept', 'accept', 'X_Free', 'Via', 'Cookie', 'Set-Cookie', 'Trailer', 'x', 'Connections'],
    false,
  )
  const connection = fc.tuple(
    spelled('Connection'),
    blank,
    fc.constantFrom('', 'close', 'keep-alive', 'Keep-Alive, X-NAMED', 'TE, Upgrade', 'Cookie, via', 'x-forwarded-for'),
    blank,
    fc.constant(true),
  )
  const naming = fc.tuple(spelled('Connection'), blank, spelled('close,x-named'), blank, fc.constant(true))
  /** The fields of a message that names X-Named, in any order. */
  const message = (...arbitraries: ReturnType<typeof field>[]) =>
    fc
      .tuple(naming, fc.array(fc.oneof(kept, connection, field(hop, true), ...arbitraries), { maxLength: 12 }))
      .chain(([one, more]) => fc.shuffledSubarray([one, ...more], { minLength: more.length + 1 }))
  const linesAndRest = (given: readonly (readonly [string, string, string, string, boolean])[]) => ({
    lines: given.map(([name, before, text, after]) => `${name}:${before}${text}${after}`),
    rest: given.filter(([, , , , goes]) => !goes).map(([name, , text]) => [name, text]),
  })

  it('never survives, in any case or spelling, from a parsed block or a list; and all others do, in order', () => {
    const forwarding = new Forwarding({ ...bare, trailers: false })
    fc.assert(
      fc.property(message(field(claims, true), field(guarded, true, true)), (given) => {
        const { lines, rest } = linesAndRest(given)
        const request = get(...lines)
        expect(readBlock(forwarding.requestBlock(request, client, 'up'))).toEqual([['Host', 'app.test'], ...rest])
        const list = new RequestHead('GET', '/x', '1.1', asList(request.headers), 'app.test')
        expect(readBlock(forwarding.requestBlock(list, client, 'up'))).toEqual([['Host', 'app.test'], ...rest])
        expect([...forwarding.requestFields(request, client)]).toEqual(rest)
      }),
      { numRuns: 1_000 },
    )
  })

  it('never survives in a response either', () => {
    const forwarding = new Forwarding(bare)
    fc.assert(
      fc.property(message(), (given) => {
        const { lines, rest } = linesAndRest(given)
        const response = answer(200, ...lines)
        expect(readBlock(forwarding.responseBlock(response, answered()))).toEqual(rest)
        expect([...forwarding.responseFields(response, answered())]).toEqual(rest)
        response.headers = asList(response.headers)
        expect(readBlock(forwarding.responseBlock(response, answered()))).toEqual(rest)
      }),
      { numRuns: 500 },
    )
  })
})

describe('the block and the list', () => {
  it('say the same', () => {
    for (const options of [
      {},
      bare,
      { forwarded: 'append', trusted: ['192.0.2.7'] },
      { hostHeader: 'upstream' },
    ] as ForwardingOptions[]) {
      const forwarding = new Forwarding(options)
      for (const request of [
        get('A: 1', 'TE: trailers'),
        get(),
        get('X-Forwarded-For: 1.1.1.1', 'Forwarded: for=a', 'Connection: A', 'A: 1'),
      ]) {
        const block = readBlock(forwarding.requestBlock(request, client, '127.0.0.1:3000'))
        expect(block.filter(([name]) => !/^(?:host|connection)$/i.test(name)).sort()).toEqual(
          [...forwarding.requestFields(request, client)].sort(),
        )
        expect(block.find(([name]) => /^host$/i.test(name))?.[1]).toBe(forwarding.hostFor(request, '127.0.0.1:3000'))
      }
      const response = answer(302, 'Location: http://127.0.0.1:3000/', 'Connection: A', 'A: 1', 'B: 2')
      expect(readBlock(forwarding.responseBlock(response, answered())).sort()).toEqual(
        [...forwarding.responseFields(response, answered())].sort(),
      )
    }
  })
})

describe('options of forwarding', () => {
  it.each<[unknown, string]>([
    [{ hosts: 'x' }, 'must be made of'],
    [{ hostHeader: 'a b' }, 'routes[1].hostHeader must be'],
    [{ hostHeader: 'a\r\nb' }, 'routes[1].hostHeader must be'],
    [{ trusted: ['x'] }, 'routes[1].trusted must be made of addresses'],
    [{ trusted: 'private' }, 'routes[1].trusted must be a list'],
    [{ xForwarded: 'add' }, 'routes[1].xForwarded must be'],
    [{ forwarded: true }, 'routes[1].forwarded must be'],
    [{ forwardedPort: 1 }, 'routes[1].forwardedPort must be'],
    [{ via: '' }, 'routes[1].via must be'],
    [{ via: 'a b' }, 'routes[1].via must be'],
    [{ maxLoops: 0 }, 'routes[1].maxLoops must be'],
    [{ trailers: 'yes' }, 'routes[1].trailers must be'],
    [{ protect: 'x' }, 'routes[1].protect must be'],
    [{ protect: ['a b'] }, 'routes[1].protect must be'],
    [{ redirects: 'yes' }, 'routes[1].redirects must be'],
    [{ redirects: { hots: 'x' } }, 'routes[1].redirects must be made of'],
    [{ redirects: { host: '' } }, 'routes[1].redirects.host must be'],
    [{ cookieDomain: 7 }, 'routes[1].cookieDomain must be'],
    [{ cookiePath: 'a;b' }, 'routes[1].cookiePath must be'],
    [{ stripPrefix: 1 }, 'routes[1].stripPrefix must be'],
    [{ prefix: 'x' }, 'routes[1].prefix must be'],
    [{ rewrite: 'x' }, 'routes[1].rewrite must be'],
  ])('refuse %j by name', (options, message) => {
    expect(() => new Forwarding(options as ForwardingOptions, 'routes[1]')).toThrow(
      expect.objectContaining({ code: 'XPS_INVALID_OPTION', message: expect.stringContaining(message) }),
    )
  })

  it('have names of their own without a route', () => {
    expect(() => new Forwarding({ hostHeader: '' })).toThrow(/^hostHeader must be/)
    expect(() => new Forwarding({ x: 1 } as ForwardingOptions)).toThrow(/^forwarding must be made of/)
  })
})
