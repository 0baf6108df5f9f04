import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { createProxy, createServer as createProxyByThatName, createProxyServer } from '../../src/http-proxy/index.ts'
import { openSockets } from '../support/descriptors.ts'
import { TestServer } from '../support/net.ts'
import { Random } from '../support/random.ts'
import { ask, echo, Front, mirror, stands, TestHttp, text, told, until } from './support.ts'

describe('a client that leaves', () => {
  it('ends its request to the target, which is told as econnreset and not as an error', async () => {
    await using upstream = await TestServer.start()
    await using front = await Front.start({ target: `http://${upstream.address}` })
    front.proxy.on('error', () => expect.unreachable())
    const reset = told(front.proxy, 'econnreset')
    const client = await front.dial()
    await client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    const peer = await upstream.accept()
    await peer.read('\r\n\r\n')
    client.reset()
    await peer.over()
    expect((await reset)[0]).toMatchObject({ code: 'ECONNRESET' })
    const { address } = upstream
    await until(() => {
      expect(front.proxy.stats()).toMatchObject({ active: 0, targets: { [address]: { connections: 0 } } })
    })
  })

  it('ends its request in the middle of a stream of events', async () => {
    await using upstream = await TestServer.start()
    await using front = await Front.start({ target: `http://${upstream.address}` })
    const client = await front.dial()
    await client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    const peer = await upstream.accept()
    await peer.read('\r\n\r\n')
    await peer.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n')
    await client.read('data: 1')
    client.end()
    await peer.over()
    await until(() => expect(front.proxy.stats().active).toBe(0))
  })

  it('ends its request in the middle of its body', async () => {
    await using upstream = await TestServer.start()
    await using front = await Front.start({ target: `http://${upstream.address}` })
    const client = await front.dial()
    await client.write('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n')
    const peer = await upstream.accept()
    await peer.read('half')
    client.reset()
    await peer.over()
    // What was cut short is not made to look whole.
    expect(peer.unread.toString()).not.toContain('0\r\n\r\n')
    await until(() => expect(front.proxy.stats().active).toBe(0))
  })

  it('before its request is sent on leaves nothing behind', async () => {
    await using upstream = await echo()
    await using front = await Front.start({ target: upstream.url }, (proxy) => (req, res) => {
      res.once('close', () => void proxy.web(req, res))
    })
    const reset = told(front.proxy, 'econnreset')
    const client = await front.dial()
    await client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    client.reset()
    await reset
    expect(front.proxy.stats().active).toBe(0)
  })

  const random = new Random()
  it(`leaves no connection, request or socket behind, however many do and wherever they are (SEED=${random.seed})`, async () => {
    const before = openSockets()
    {
      await using upstream = await TestHttp.start((req, res) => {
        req.resume()
        if (req.url === '/never') return
        res.writeHead(200)
        res.write('x'.repeat(100_000))
        if (req.url === '/whole') res.end()
      })
      await using front = await Front.start({ target: upstream.url, selfHandleResponse: false })
      const heads = ['/never', '/half', '/whole'].flatMap((path) => [
        `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`,
        `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n${'y'.repeat(10_000)}`,
        `POST ${path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`,
      ])
      await Promise.all(
        Array.from({ length: 60 }, async () => {
          const client = await front.dial()
          await client.write(random.pick(heads))
          for (let turn = random.below(30); turn > 0; turn--) await new Promise((resolve) => setImmediate(resolve))
          if (random.below(2) === 0) client.reset()
          else client.end()
          await client.gone()
        }),
      )
      await until(() => {
        const { active, targets } = front.proxy.stats()
        const { connections, idle, queued } = targets[upstream.host] ?? { connections: 0, idle: 0, queued: 0 }
        expect({ active, busy: connections - idle, queued }).toEqual({ active: 0, busy: 0, queued: 0 })
      })
    }
    await until(() => expect(openSockets()).toBeLessThanOrEqual(before))
  })
})

describe('the promise of web', () => {
  it('is fulfilled when the response has been sent', async () => {
    await using upstream = await TestHttp.start((_, res) => res.end('x'.repeat(100_000)))
    const ends: boolean[] = []
    await using front = await Front.start({ target: upstream.url }, (proxy) => async (req, res) => {
      await proxy.web(req, res)
      ends.push(res.writableFinished)
    })
    await front.ask()
    await until(() => expect(ends).toEqual([true]))
  })

  it('is fulfilled when a listener was told of an error, or the client has left', async () => {
    await using upstream = await TestServer.start()
    const ends: string[] = []
    await using front = await Front.start({}, (proxy) => async (req, res) => {
      await proxy.web(req, res, { target: req.url === '/down' ? 'http://127.0.0.1:1' : `http://${upstream.address}` })
      ends.push(req.url ?? '')
    })
    front.proxy.on('error', (_, __, res) => void res?.end())
    await front.ask('/down')
    const client = await front.dial()
    await client.write('GET /left HTTP/1.1\r\nHost: a\r\n\r\n')
    await (await upstream.accept()).read('\r\n\r\n')
    client.reset()
    await until(() => expect(ends).toEqual(['/down', '/left']))
  })
})

describe('connections to targets', () => {
  it('are kept and used again', async () => {
    await using upstream = await TestServer.start((peer) => {
      void (async () => {
        for (;;) {
          await peer.read('\r\n\r\n')
          await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
        }
      })().catch(() => {})
    })
    await using front = await Front.start({ target: `http://${upstream.address}` })
    for (let count = 0; count < 5; count++) expect((await front.ask()).body).toBe('ok')
    expect(upstream.accepted).toBe(1)
    await using once = await Front.start({ target: `http://${upstream.address}`, agent: false })
    for (let count = 0; count < 3; count++) expect((await once.ask()).body).toBe('ok')
    expect(upstream.accepted).toBe(4)
  })

  it('are as many as `pool` says', async () => {
    let most = 0
    await using upstream = await TestHttp.start((_, res) => {
      upstream.server.getConnections((__, count) => {
        most = Math.max(most, count)
        setImmediate(() => res.end('ok'))
      })
    })
    await using front = await Front.start({ target: upstream.url, pool: { maxConnections: 2 } })
    const answers = await Promise.all(Array.from({ length: 20 }, () => front.ask()))
    expect(answers.every(({ body }) => body === 'ok')).toBe(true)
    expect(most).toBe(2)
  })

  it('make room where there are very many targets', async () => {
    const { Generation } = await import('../../src/http-proxy/generation.ts')
    const { readTarget } = await import('../../src/http-proxy/target.ts')
    const { Wheel } = await import('../../src/lifetime/wheel.ts')
    const { systemClock } = await import('../../src/clock.ts')
    const generation = new Generation(new Wheel(systemClock))
    for (let port = 1; port <= 1_500; port++) generation.route(readTarget('target', `http://127.0.0.1:${port}`), {})
    expect(Object.keys(generation.connections)).toHaveLength(1_000)
    await generation.close()
  })
})

describe('close', () => {
  it('ends connections that wait at once, and lets requests finish', async () => {
    await using upstream = await TestServer.start()
    await using front = await Front.start({ target: `http://${upstream.address}` })
    const first = front.ask()
    const idle = await upstream.accept()
    const second = front.ask()
    const busy = await upstream.accept()
    await idle.read('\r\n\r\n')
    await idle.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    await first
    let closed = false
    const closing = front.proxy.close(() => {
      closed = true
    })
    await idle.over()
    expect(closed).toBe(false)
    await busy.read('\r\n\r\n')
    await busy.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    expect((await second).body).toBe('ok')
    await closing
    await busy.over()
    await until(() => expect(closed).toBe(true))
    expect(front.proxy.stats()).toEqual({ active: 0, tunnels: 0, targets: {} })
  })

  it('is no end: what comes later begins anew', async () => {
    await using upstream = await echo()
    await using front = await Front.start({ target: upstream.url })
    await front.ask()
    await front.proxy.close()
    expect((await front.ask()).status).toBe(200)
    await front.proxy.close()
    await front.proxy.close()
  })

  it('leaves nothing that keeps the process from ending', async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const [sockets, before] = [openSockets(), timers()]
    {
      await using upstream = await echo()
      await using front = await Front.start({ target: upstream.url })
      await front.ask()
    }
    await until(() => expect(openSockets()).toBeLessThanOrEqual(sockets))
    // The test runner has timers of its own, which come and go.
    for (let turn = 0; turn < 100_000 && timers() > before; turn++)
      await new Promise((resolve) => setImmediate(resolve))
    expect(timers()).toBeLessThanOrEqual(before)
  })
})

describe('listen', () => {
  it('makes a server of its own, by any of the names', async () => {
    await using upstream = await echo()
    for (const create of [createProxyServer, createProxy, createProxyByThatName]) {
      // `new` is what the README of http-proxy has.
      await using proxy = new (create as unknown as new (options: object) => ReturnType<typeof createProxy>)({
        target: upstream.url,
      })
      const listening = new Promise<void>((resolve) => {
        expect(proxy.listen(0, '127.0.0.1', resolve)).toBe(proxy)
      })
      await listening
      const { port } = proxy.server?.address() as AddressInfo
      expect((await ask(port, '/x')).status).toBe(200)
      expect(() => proxy.listen(0)).toThrow(/listens already/)
      await proxy.close()
      await expect(ask(port, '/x')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    }
  })

  it('may speak TLS with clients, and HTTP/2', async () => {
    const { key, cert } = await certificate()
    await using upstream = await echo()
    for (const http2 of [false, true]) {
      await using proxy = createProxyServer({ target: upstream.url, ssl: { key, cert }, http2, xfwd: true })
      await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
      const { port } = proxy.server?.address() as AddressInfo
      const { request } = await import('node:https')
      const body = await new Promise<string>((resolve, reject) => {
        const req = request({ host: '127.0.0.1', port, rejectUnauthorized: false, agent: false }, (res) => {
          void text(res).then(resolve, reject)
        })
        req.on('error', reject).end()
      })
      expect(JSON.parse(body)).toMatchObject({ headers: { 'x-forwarded-proto': 'https' } })
      if (!http2) continue
      const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
      expect(JSON.parse(await text(session.request({ ':path': '/two' })))).toMatchObject({ url: '/two' })
      await new Promise<void>((resolve) => session.close(resolve))
    }
  })
})

describe('HTTP/2 of Node’s server', () => {
  it('is passed on as HTTP/1.1, bodies, trailers and all', async () => {
    await using upstream = await TestHttp.start((req, res) => {
      res.writeHead(200, {
        trailer: 'x-sum',
        'x-host': req.headers.host,
        'x-length': req.headers['content-length'] ?? 'none',
      })
      req.on('data', (chunk) => res.write(chunk))
      req.on('end', () => {
        res.addTrailers({ 'x-sum': '7' })
        res.end()
      })
    })
    const proxy = createProxyServer({ target: upstream.url })
    const server = createHttp2Server((req, res) => void proxy.web(req as never, res as never))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const session = connectHttp2(`http://127.0.0.1:${port}`)
    const stream = session.request({ ':path': '/x', ':method': 'POST', ':authority': 'app.test' })
    stream.end('hello')
    const head = new Promise<Record<string, unknown>>((resolve) => stream.once('response', resolve))
    const trailers = new Promise<Record<string, unknown>>((resolve) => stream.once('trailers', resolve))
    expect(await text(stream)).toBe('hello')
    expect(await head).toMatchObject({ ':status': 200, 'x-host': 'app.test', 'x-length': 'none' })
    expect(await trailers).toMatchObject({ 'x-sum': '7' })
    const none = session.request({ ':path': '/x', ':authority': 'app.test' })
    expect(await text(none)).toBe('')
    await new Promise<void>((resolve) => session.close(resolve))
    await proxy.close()
    await new Promise((resolve) => server.close(resolve))
  })

  it('shows a response that broke off', async () => {
    await using upstream = await TestServer.start((peer) => {
      void peer.read('\r\n\r\n').then(() => peer.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'))
    })
    const proxy = createProxyServer({ target: `http://${upstream.address}` })
    const server = createHttp2Server((req, res) => void proxy.web(req as never, res as never))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    await expect(text(session.request({ ':path': '/' }))).rejects.toMatchObject({ code: 'ERR_HTTP2_STREAM_ERROR' })
    await new Promise<void>((resolve) => session.close(resolve))
    await proxy.close()
    await new Promise((resolve) => server.close(resolve))
  })
})

describe('forward', () => {
  it('sends a copy elsewhere, and the client is answered by the target', async () => {
    await using target = await mirror()
    const copies: string[] = []
    await using copy = await TestHttp.start((req, res) => {
      void text(req).then((body) => {
        copies.push(`${req.method} ${req.url} ${body.length}`)
        res.end('nobody sees this')
      })
    })
    await using front = await Front.start({ target: target.url, forward: `${copy.url}/copy` })
    expect((await front.ask('/a', { body: 'hello' })).body).toBe('hello')
    expect((await front.ask('/b', { body: 'x'.repeat(1_000_000) })).body.length).toBe(1_000_000)
    expect((await front.ask('/c')).status).toBe(200)
    await until(() => expect(copies).toEqual(['POST /copy/a 5', 'POST /copy/b 1000000', 'GET /copy/c 0']))
    await until(() => expect(front.proxy.stats().active).toBe(0))
  })

  it('alone is answered 200 when it has been read', async () => {
    const copies: string[] = []
    await using copy = await TestHttp.start(
      (req, res) => void text(req).then((body) => res.end(`${copies.push(body)}`)),
    )
    await using front = await Front.start({ forward: copy.url })
    expect(await front.ask('/', { body: 'hello' })).toMatchObject({ status: 200, body: '' })
    await until(() => expect(copies).toEqual(['hello']))
  })

  it('that fails is told, and changes nothing for the client', async () => {
    await using target = await mirror()
    await using front = await Front.start({ target: target.url, forward: 'http://127.0.0.1:1' })
    const error = told(front.proxy, 'error')
    expect((await front.ask('/', { body: 'hello' })).body).toBe('hello')
    const [failure, , , url] = await error
    expect(failure).toMatchObject({ code: 'ECONNREFUSED' })
    expect(String(url)).toBe('http://127.0.0.1:1/')
    expect((await front.ask('/', { body: 'x'.repeat(1_000_000) })).body.length).toBe(1_000_000)
  })
})

/** A certificate for tests. */
async function certificate(): Promise<{ key: string; cert: string }> {
  const { execFileSync } = await import('node:child_process')
  const pem = execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-subj',
      '/CN=localhost',
      '-keyout',
      '-',
      '-out',
      '-',
    ],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
  )
  return {
    key: pem.slice(pem.indexOf('-----BEGIN PRIVATE'), pem.indexOf('-----END PRIVATE KEY-----') + 25),
    cert: pem.slice(pem.indexOf('-----BEGIN CERT')),
  }
}

describe('backpressure', () => {
  it('holds the target up while the client does not read, and the client while the target does not', async () => {
    let sent = 0
    let go = (): void => {}
    await using upstream = await TestHttp.start((req, res) => {
      if (req.method === 'POST') {
        req.pause()
        go = () => void req.resume()
        return
      }
      const more = (): void => {
        while (sent < 100_000_000) {
          sent += 65_536
          if (!res.write(Buffer.alloc(65_536))) return void res.once('drain', more)
        }
      }
      more()
    })
    await using front = await Front.start({ target: upstream.url })
    const reader = await front.dial()
    reader.pause()
    await reader.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    const writer = await front.dial()
    let written = 0
    await writer.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n')
    const write = (): void => {
      void writer.write(Buffer.alloc(65_536)).then(() => {
        written += 65_536
        if (written < 99_000_000) write()
      })
    }
    write()
    await stands(() => sent + written)
    expect(sent).toBeGreaterThan(0)
    expect(sent).toBeLessThan(32_000_000)
    expect(written).toBeLessThan(32_000_000)
    reader.reset()
    writer.reset()
    // A socket that is held up is not read, so that nobody sees its end; `proxyTimeout` is what ends this otherwise.
    await until(() => expect(front.proxy.stats().active).toBe(1))
    go()
    await until(() => expect(front.proxy.stats().active).toBe(0))
  })

  it('gives a client up that takes nothing for longer than `timeout`', async () => {
    await using upstream = await TestHttp.start((_, res) => void res.write(Buffer.alloc(30_000_000)))
    await using front = await Front.start({ target: upstream.url, timeout: 200 })
    const reader = await front.dial()
    reader.pause()
    await reader.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => expect(front.proxy.stats().active).toBe(1))
    await until(() => expect(front.proxy.stats().active).toBe(0))
    reader.reset()
  })
})
