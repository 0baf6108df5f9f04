import { describe, expect, test } from 'vitest'
import type { AccessEntry } from '../../../src/http/access-log.ts'
import { ManualClock } from '../../../src/testing/index.ts'
import { dial } from '../../support/net.ts'
import { Backend, gate, get, ok, proxy, stands, turns, until, Wire } from '../e2e/support.ts'
import { open, refusal, TunnelBackend, upgrade, yes } from './support.ts'

describe('an upgrade', () => {
  test('is passed on with both fields, its 101 is checked, and bytes go both ways', async () => {
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend)
    const client = await dial(served.port)
    await client.write(upgrade('/chat?x=1', 'Sec-WebSocket-Protocol: a, b\r\n'))
    const far = await backend.accept()
    const head = await far.read('\r\n\r\n')
    expect(head).toMatch(/^GET \/chat\?x=1 HTTP\/1\.1\r\n/)
    expect(head).toMatch(/\r\nConnection: Upgrade\r\n/)
    expect(head).toMatch(/\r\nUpgrade: websocket\r\n/)
    expect(head).toMatch(/\r\nSec-WebSocket-Protocol: a, b\r\n/)
    await far.write(yes('Sec-WebSocket-Accept: abc\r\n'))
    const answer = await client.read('\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/)
    expect(answer).toMatch(/\r\nconnection: Upgrade\r\n/i)
    expect(answer).toMatch(/\r\nupgrade: websocket\r\n/i)
    expect(answer).toMatch(/\r\nSec-WebSocket-Accept: abc\r\n/)
    expect(served.http.stats()).toMatchObject({ tunnels: 1, transactions: 1 })
    await client.write('ping')
    expect(await far.read(4)).toBe('ping')
    await far.write('pong')
    expect(await client.read(4)).toBe('pong')
    client.end()
    expect(await far.text()).toBe('')
    far.end()
    expect(await client.text()).toBe('')
    await served.settled()
    expect(served.http.stats()).toMatchObject({ tunnels: 0, transactions: 0, served: 1, left: 0, faults: {} })
  })

  test('loses none of the bytes that either side sends early, and keeps their order', async () => {
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend)
    const client = await dial(served.port)
    await client.write(`${upgrade()}early from the client, `)
    const far = await backend.accept()
    await far.read('\r\n\r\n')
    await client.write('and more of it')
    await turns()
    await far.write(`${yes()}early from the server`)
    expect(await client.read('\r\n\r\n')).toMatch(/^HTTP\/1\.1 101 /)
    expect(await client.read(21)).toBe('early from the server')
    expect(await far.read(37)).toBe('early from the client, and more of it')
    client.end()
    far.end()
    await served.settled()
  })

  test('takes 500 KB that a client sends early as they are wanted, and no faster', async () => {
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend)
    const client = await dial(served.port)
    const early = Buffer.alloc(500_000, 'abcdefghij')
    await client.write(upgrade())
    const sent = client.write(early)
    const far = await backend.accept()
    await far.read('\r\n\r\n')
    await turns(50)
    await far.write(yes())
    expect(await far.read(early.length)).toBe(early.toString())
    await sent
    client.end()
    far.end()
    await served.settled()
  })

  test('is passed on to what a hook lets through later, with all that came meanwhile', async () => {
    const reached = gate()
    const allowed = gate()
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend, {
      hooks: {
        responseSend: async () => {
          reached.open()
          await allowed.promise
        },
      },
    })
    const client = await dial(served.port)
    await client.write(`${upgrade()}first`)
    const far = await backend.accept()
    await far.read('\r\n\r\n')
    await far.write(`${yes()}${'x'.repeat(200_000)}`)
    await reached.promise
    await client.write(' second')
    await turns()
    expect(client.unread).toHaveLength(0)
    allowed.open()
    await client.read('\r\n\r\n')
    expect(await client.read(200_000)).toBe('x'.repeat(200_000))
    expect(await far.read(12)).toBe('first second')
    client.end()
    far.end()
    await served.settled()
  })

  test('to any protocol is passed on, in the words of the client', async () => {
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend)
    const { client, far, answer } = await open(served, backend, {
      request: upgrade('/attach', '', 'tcp, Custom/1.0').replace('GET', 'POST'),
      answer: yes('', 'custom/1.0'),
    })
    expect(answer).toMatch(/\r\nupgrade: custom\/1\.0\r\n/)
    client.end()
    far.end()
    await served.settled()
  })

  test('goes by a connection that carries nothing else before, behind or after it', async () => {
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend, { routes: [{ upstream: backend.address, pipeline: 4 }] })
    const { client, far } = await open(served, backend)
    const other = await served.dial()
    await other.send(get('/other'))
    const second = await backend.accept()
    expect(await second.read('\r\n\r\n')).toMatch(/^GET \/other /)
    await second.write(ok('other'))
    expect((await other.response()).body).toBe('other')
    expect(served.http.stats().upstreams[backend.address]).toEqual({ connections: 1, idle: 1, queued: 0 })
    client.end()
    far.end()
    await until(() => expect(served.http.stats().tunnels).toBe(0))
    expect(served.http.stats().upstreams[backend.address]).toEqual({ connections: 1, idle: 1, queued: 0 })
    other.peer.end()
    await served.settled()
  })

  test.each([
    'h2c',
    'H2C',
    'HTTP/2.0',
    'h2',
    'TLS/1.0',
    'h2c, HTTP/3',
    '"websocket"',
  ])('to %s is never passed on: the request is an ordinary one', async (protocol) => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    const client = await served.dial()
    const fields = 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n'
    await client.send(upgrade('/', fields, protocol))
    expect((await client.response()).status).toBe(200)
    const [request] = backend.requests
    expect(request?.header('upgrade')).toBeUndefined()
    expect(request?.header('connection')).toBeUndefined()
    expect(request?.header('http2-settings')).toBeUndefined()
    await client.send(get())
    expect((await client.response()).status).toBe(200)
    expect(backend.accepted).toBe(1)
  })

  test('to h2c among others is passed on without it', async () => {
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend)
    const client = await dial(served.port)
    await client.write(upgrade('/', 'HTTP2-Settings: AAMAAABk\r\n', 'h2c, websocket'))
    const far = await backend.accept()
    const head = await far.read('\r\n\r\n')
    expect(head).toMatch(/\r\nUpgrade: websocket\r\n/)
    expect(head).not.toMatch(/http2-settings|h2c/i)
    await far.write(yes('', 'h2c'))
    expect(await client.read('\r\n\r\n')).toMatch(/^HTTP\/1\.1 502 /)
    await far.over()
  })

  test.each([
    ['without `Connection: upgrade`', 'GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\n\r\n'],
    ['in HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n'],
    ['with a body', `${upgrade('/', 'Content-Length: 2\r\n').replace('GET', 'POST')}hi`],
    ['with a body in chunks', `${upgrade('/', 'Transfer-Encoding: chunked\r\n')}2\r\nhi\r\n0\r\n\r\n`],
  ])('%s is an ordinary request', async (_, request) => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(request)
    expect((await client.response()).status).toBe(200)
    expect(backend.requests[0]?.header('upgrade')).toBeUndefined()
  })

  test.each([
    ['false', false, undefined],
    ['a list without it', ['other'], undefined],
    ['a list with it', ['WebSocket'], 'websocket'],
  ] as const)('is passed on, or not, as the route says: %s', async (_, option, expected) => {
    await using backend = await Backend.start()
    await using served = await proxy(backend, { routes: [{ upstream: backend.address, upgrade: option }] })
    const client = await served.dial()
    await client.send(upgrade())
    expect((await client.response()).status).toBe(200)
    expect(backend.requests[0]?.header('upgrade')).toBe(expected)
  })

  test('that a hook takes the field from is an ordinary request', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend, {
      hooks: { request: ({ request }) => void request.headers.delete('upgrade') },
    })
    const client = await served.dial()
    await client.send(upgrade())
    expect((await client.response()).status).toBe(200)
    expect(backend.requests[0]?.header('connection')).toBeUndefined()
  })

  test.each([
    ['names what nobody asked for', yes('', 'other')],
    ['does not say to what', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n'],
    ['does not say so in `Connection`', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n'],
    ['has a length', yes('Content-Length: 5\r\n')],
    ['is in chunks', yes('Transfer-Encoding: chunked\r\n')],
  ])('whose 101 %s is answered 502', async (_, answer) => {
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend)
    const client = new Wire(await dial(served.port))
    await client.send(upgrade())
    const far = await backend.accept()
    await far.read('\r\n\r\n')
    await far.write(`${answer}HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nno!`)
    expect((await client.response()).status).toBe(502)
    await far.over()
    await client.send(get())
    client.peer.end()
  })
})

describe('a refusal of the upstream', () => {
  test('reaches the client with its body, and the connection of the client is kept, that of the upstream is not', async () => {
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(upgrade())
    const far = await backend.accept()
    await far.read('\r\n\r\n')
    await far.write(refusal(401, 'who are you?', 'WWW-Authenticate: Basic\r\n'))
    const answer = await client.response()
    expect([answer.status, answer.body, answer.header('www-authenticate')]).toEqual([401, 'who are you?', 'Basic'])
    expect(answer.header('connection')).toBeUndefined()
    await far.over()
    await client.send(get('/next'))
    const next = await backend.accept()
    expect(await next.read('\r\n\r\n')).toMatch(/^GET \/next /)
    await next.write(ok('next'))
    expect((await client.response()).body).toBe('next')
    client.peer.end()
    await served.settled()
  })

  test('that ends with the connection, or comes in chunks, reaches the client too', async () => {
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend)
    for (const answer of [
      'HTTP/1.1 403 Forbidden\r\n\r\nnot for you',
      'HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nnot for you\r\n0\r\n\r\n',
    ]) {
      const client = await served.dial()
      await client.send(upgrade())
      const far = await backend.accept()
      await far.read('\r\n\r\n')
      far.end(answer)
      const got = await client.response()
      expect([got.status, got.body]).toEqual([403, 'not for you'])
      client.peer.end()
    }
  })

  test('closes the connection of a client that has sent bytes of the other protocol already', async () => {
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(upgrade() + get('/smuggled'))
    const far = await backend.accept()
    await far.read('\r\n\r\n')
    await far.write(refusal(404, 'nobody here'))
    const answer = await client.response()
    expect([answer.status, answer.body, answer.header('connection')]).toEqual([404, 'nobody here', 'close'])
    expect(await client.peer.text()).toBe('')
    expect(backend.accepted).toBe(1)
  })

  test('may be made by a hook of what the upstream has agreed to', async () => {
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend, {
      hooks: { response: (transaction) => void (transaction.request.target === '/a' ? transaction.reply(403) : 0) },
    })
    const client = await served.dial()
    await client.send(upgrade('/a'))
    const far = await backend.accept()
    await far.read('\r\n\r\n')
    await far.write(`${yes()}early`)
    expect((await client.response()).status).toBe(403)
    await far.over()
    client.peer.end()
    await served.settled()
  })
})

describe('a tunnel', () => {
  test.each([
    'client',
    'upstream',
  ])('passes a half-close of the %s on, and the other direction goes on', async (side) => {
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend)
    const { client, far } = await open(served, backend)
    const [first, second] = side === 'client' ? [client, far] : [far, client]
    first.end('the last words')
    expect(await second.text()).toBe('the last words')
    await second.write('still ')
    expect(await first.read(6)).toBe('still ')
    await second.write('here')
    expect(await first.read(4)).toBe('here')
    expect(served.http.stats().tunnels).toBe(1)
    second.end()
    expect(await first.text()).toBe('')
    await served.settled()
  })

  test.each(['client', 'upstream'])('ends when the %s breaks off, and is told as such', async (side) => {
    const entries: AccessEntry[] = []
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend, { log: (entry) => entries.push(entry) })
    const { client, far } = await open(served, backend)
    await client.write('up')
    await far.read(2)
    await far.write('down')
    await client.read(4)
    const [first, second] = side === 'client' ? [client, far] : [far, client]
    first.reset()
    await second.over()
    second.end()
    await served.settled()
    expect(entries).toMatchObject([{ status: 101, reason: 'XPS_RESET', bytes: 4, bytesIn: 2 }])
    expect(backend.open).toBe(0)
  })

  test('is logged once, at its end, with the bytes of both directions', async () => {
    const entries: AccessEntry[] = []
    const points: string[] = []
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend, {
      log: (entry) => entries.push(entry),
      hooks: {
        response: ({ response, upgrade: asked }) => void points.push(`response ${response?.status} ${asked}`),
        responseSend: ({ status }) => void points.push(`responseSend ${status}`),
        requestChunk: () => void points.push('requestChunk'),
        responseChunk: () => void points.push('responseChunk'),
        responseBody: () => void points.push('responseBody'),
        transactionClose: ({ status, bytes, bytesIn, state }) =>
          void points.push(`transactionClose ${status} ${bytes} ${bytesIn} ${state}`),
        sessionClose: () => void points.push('sessionClose'),
      },
    })
    const { client, far } = await open(served, backend)
    await client.write('12345')
    await far.read(5)
    await far.write('1234567')
    await client.read(7)
    expect(entries).toHaveLength(0)
    client.end()
    far.end()
    await served.settled()
    expect(points).toEqual([
      'response 101 websocket',
      'responseSend 101',
      'transactionClose 101 7 5 close',
      'sessionClose',
    ])
    expect(entries).toMatchObject([{ status: 101, bytes: 7, bytesIn: 5, reason: undefined, upstream: backend.address }])
  })

  test('holds a fast side up as long as the other is slow, and does not read on', async () => {
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend)
    const { client, far } = await open(served, backend)
    client.pause()
    const size = 24 * 1024 * 1024
    let taken = false
    const sent = far.write(Buffer.alloc(size, 'x')).then(() => {
      taken = true
    })
    await until(() => expect(served.listener.sessions[0]?.client.stalled).toBe(true))
    await stands(() => served.core.stats().bytesOut)
    expect(taken).toBe(false)
    client.resume()
    await client.read(size)
    await sent
    client.end()
    far.end()
    await served.settled()
  })

  test('that is silent ends after tunnelIdleTimeout, and any byte in either direction puts that off', async () => {
    const clock = new ManualClock()
    const entries: AccessEntry[] = []
    await using backend = await TunnelBackend.start()
    await using served = await proxy(
      backend,
      { log: (entry) => entries.push(entry) },
      { clock, tunnelIdleTimeout: 2_000 },
    )
    const { client, far } = await open(served, backend)
    for (let time = 0; time < 3; time++) {
      clock.advance(1_500)
      await client.write('x')
      await far.read(1)
      clock.advance(1_500)
      await far.write('y')
      await client.read(1)
    }
    expect(served.http.stats().tunnels).toBe(1)
    clock.advance(1_000)
    await turns()
    expect(served.http.stats().tunnels).toBe(1)
    clock.advance(1_500)
    await client.over()
    await far.over()
    client.end()
    await served.settled()
    expect(entries).toMatchObject([{ status: 101, reason: 'XPS_TIMEOUT tunnel-idle' }])
    expect(served.listener.stats().timedOut).toMatchObject({ 'tunnel-idle': 1, 'tunnel-age': 0 })
  })

  test('ends after tunnelTimeout, busy or not', async () => {
    const clock = new ManualClock()
    const entries: AccessEntry[] = []
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend, { log: (entry) => entries.push(entry), tunnelTimeout: 2_000 }, { clock })
    const { client, far } = await open(served, backend)
    for (let time = 0; time < 19; time++) {
      clock.advance(100)
      await client.write('x')
      await far.read(1)
    }
    expect(served.http.stats().tunnels).toBe(1)
    clock.advance(500)
    await client.over()
    await far.over()
    client.end()
    await served.settled()
    expect(entries).toMatchObject([{ reason: 'XPS_TIMEOUT tunnel-age' }])
  })

  test('has the timeouts of its route where that has some, and not those of requests', async () => {
    const clock = new ManualClock()
    await using backend = await TunnelBackend.start()
    const route = { upstream: backend.address, tunnelIdleTimeout: 0, tunnelTimeout: 90_000 }
    await using served = await proxy(
      backend,
      { routes: [route], tunnelTimeout: 10, transactionTimeout: 1_000 },
      { clock, tunnelIdleTimeout: 10 },
    )
    const { client, far } = await open(served, backend)
    clock.advance(80_000)
    await turns()
    expect(served.http.stats().tunnels).toBe(1)
    clock.advance(11_000)
    await client.over()
    await far.over()
    client.end()
    await served.settled()
  })

  test('whose client takes nothing ends after clientIdleTimeout', async () => {
    const clock = new ManualClock()
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend, {}, { clock, clientIdleTimeout: 5_000 })
    const { client, far } = await open(served, backend)
    client.pause()
    void far.write(Buffer.alloc(32 * 1024 * 1024)).catch(() => {})
    await until(() => expect(served.listener.sessions[0]?.client.stalled).toBe(true))
    await until(() => {
      clock.advance(1_000)
      expect(served.http.stats().tunnels).toBe(0)
    })
    await far.over()
    client.resume()
    client.end()
    await served.settled()
  })

  test('more than maxTunnels are answered 503', async () => {
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend, { maxTunnels: 1 })
    const { client, far } = await open(served, backend)
    const other = await served.dial()
    await other.send(upgrade())
    expect((await other.response()).status).toBe(503)
    expect(backend.accepted).toBe(1)
    other.peer.end()
    client.end()
    far.end()
    await until(() => expect(served.http.stats().tunnels).toBe(0))
    const again = await open(served, backend)
    again.client.end()
    again.far.end()
    await served.settled()
  })

  test('that would be one too many by the time of its 101 is answered 503, and the upstream is let go', async () => {
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend, { maxTunnels: 1 })
    const clients = [await served.dial(), await served.dial()] as const
    await clients[0].send(upgrade())
    const one = await backend.accept()
    await clients[1].send(upgrade())
    const two = await backend.accept()
    await one.read('\r\n\r\n')
    await one.write(yes())
    await clients[0].peer.read('\r\n\r\n')
    await two.read('\r\n\r\n')
    await two.write(yes())
    expect((await clients[1].response()).status).toBe(503)
    await two.over()
    one.end()
    for (const client of clients) client.peer.end()
    await served.settled()
  })

  test.each([
    'half-closes',
    'breaks off',
  ])('whose 101 the client does not take yet begins with it all the same, also if the upstream %s', async (how) => {
    await using backend = await TunnelBackend.start()
    const body = 'x'.repeat(100_000)
    await using served = await proxy(backend, {
      routes: [{ path: '/up', upstream: backend.address }, { reply: { status: 200, body } }],
    })
    const client = await dial(served.port)
    client.pause()
    let sent = 0
    // Until the buffers on the way are full.
    while (served.listener.sessions[0]?.client.stalled !== true) {
      await client.write(get())
      sent++
      await until(() => expect(served.http.stats().served).toBe(sent))
    }
    await client.write(`${upgrade('/up')}early`)
    const far = await backend.accept()
    await far.read('\r\n\r\n')
    await far.write(`${yes()}and then `)
    expect(await far.read(5)).toBe('early')
    expect(served.http.stats().tunnels).toBe(1)
    await far.write(body)
    if (how === 'half-closes') far.end(' the end')
    else far.reset()
    client.resume()
    const wire = new Wire(client)
    for (let number = 0; number < sent; number++) expect((await wire.response()).body).toHaveLength(body.length)
    expect(await client.read('\r\n\r\n')).toMatch(/^HTTP\/1\.1 101 /)
    const rest = await client.text()
    if (how === 'half-closes') {
      expect(rest === `and then ${body} the end`).toBe(true)
      await client.write('late')
      expect(await far.read(4)).toBe('late')
    } else expect(rest).toMatch(/^and then x*$/)
    client.end()
    await served.settled()
  })
})

describe('close and drain', () => {
  test('E69: drain() leaves tunnels open', async () => {
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend)
    const { client, far } = await open(served, backend)
    served.listener.drain()
    await client.write('still')
    expect(await far.read(5)).toBe('still')
    client.end()
    far.end()
    await served.settled()
  })

  test('E69: close() waits for tunnels that end by themselves', async () => {
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend)
    const { client, far } = await open(served, backend)
    const closed = served.core.close({ deadline: 10_000 })
    await turns()
    await far.write('bye')
    expect(await client.read(3)).toBe('bye')
    client.end()
    far.end()
    expect(await closed).toBeUndefined()
  })

  test('E69: close() cuts tunnels off at its deadline', async () => {
    const clock = new ManualClock()
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend, {}, { clock })
    const { client, far } = await open(served, backend)
    const closed = served.core.close({ deadline: 3_000 })
    clock.advance(2_900)
    await turns()
    expect(served.http.stats().tunnels).toBe(1)
    clock.advance(200)
    await closed
    await client.over()
    await far.over()
    expect(served.http.stats()).toMatchObject({ tunnels: 0, transactions: 0, sessions: 0 })
  })

  test('abort() ends them at once, also those that a hook holds before their 101', async () => {
    const reached = gate()
    await using backend = await TunnelBackend.start()
    await using served = await proxy(backend, {
      hooks: {
        response({ request }) {
          if (request.target !== '/held') return undefined
          reached.open()
          return new Promise(() => {})
        },
      },
    })
    const { client, far } = await open(served, backend)
    const held = await dial(served.port)
    await held.write(upgrade('/held'))
    const other = await backend.accept()
    await other.read('\r\n\r\n')
    await other.write(yes())
    await reached.promise
    served.core.abort()
    await served.core.closed
    await Promise.all([client, far, held, other].map((peer) => peer.over()))
    expect(served.http.stats()).toMatchObject({ tunnels: 0, transactions: 0, sessions: 0 })
  })
})

test('options of tunnels that cannot be are refused by name', async () => {
  const { http } = await import('../../../src/http/http.ts')
  const upstream = '127.0.0.1:1'
  const wrong = [
    [{ upstream, upgrade: 'websocket' as never }, /routes\[0\]\.upgrade must be/],
    [{ upstream, upgrade: ['h2c'] }, /routes\[0\]\.upgrade must be/],
    [{ upstream, upgrade: ['a b'] }, /routes\[0\]\.upgrade must be/],
    [{ upstream, tunnelIdleTimeout: -1 }, /routes\[0\]\.tunnelIdleTimeout must be/],
    [{ files: '.', upgrade: true } as never, /upgrade/],
  ] as const
  for (const [route, message] of wrong) expect(() => http({ routes: [route] })).toThrow(message)
  expect(() => http({ maxTunnels: -1 })).toThrow(/maxTunnels must be/)
  expect(() => http({ tunnelTimeout: -1 })).toThrow(/tunnelTimeout must be/)
})
