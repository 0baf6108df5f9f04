import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Transform } from 'node:stream'
import { afterAll, describe, expect, it } from 'vitest'
import type { Transaction } from '../../../src/http/transaction.ts'
import { openDescriptors } from '../../support/descriptors.ts'
import { Backend, gate, get, ok, post, proxy, Served, turns, until } from './support.ts'

// Defects that a second reader found in the sources; each failed before it was mended.

const folder = mkdtempSync(join(tmpdir(), 'xps-'))
writeFileSync(join(folder, 'big.bin'), Buffer.alloc(30_000_000, 1))
afterAll(() => rmSync(folder, { recursive: true }))
const openFiles = (): number => openDescriptors().filter((name) => name.includes(folder)).length

describe('A transaction', () => {
  it('that failed while a hook held its answer is not answered again when the hook lets go', async () => {
    const held = gate()
    let closes = 0
    await using served = await Served.start({
      routes: [{ reply: { status: 200, body: 'late' } }],
      transactionTimeout: 150,
      hooks: {
        responseSend: (transaction) => (transaction.status === 200 ? held.promise : undefined),
        transactionClose: () => void closes++,
      },
    })
    const client = await served.dial()
    await client.send(get('/slow'))
    expect((await client.response()).status).toBe(408)
    held.open()
    await turns()
    expect(client.peer.unread.length).toBe(0)
    expect(closes).toBe(1)
    client.peer.end()
  })

  it('that is over and was kept has no hold of the request after it', async () => {
    let kept: Transaction | undefined
    const codes: unknown[] = []
    await using served = await Served.start({
      routes: [{ reply: 200 }],
      hooks: {
        request: (transaction) => {
          if (kept === undefined) kept = transaction
          else {
            kept.closeConnection()
            try {
              codes.push(kept.body)
            } catch (error) {
              codes.push((error as { code: string }).code)
            }
          }
        },
      },
    })
    const client = await served.dial()
    for (const body of ['', 'hello']) {
      await client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
      expect((await client.response()).header('connection')).toBeUndefined()
    }
    expect(codes).toEqual(['XPS_CLOSED'])
    client.peer.end()
  })
})

describe('A file', () => {
  it('is closed when its response is cut short by a bad request body', async () => {
    await using served = await Served.start({ routes: [{ files: folder }] })
    const client = await served.dial()
    client.peer.pause()
    await client.send('GET /big.bin HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
    await until(() => expect(openFiles()).toBe(1))
    await client.send('ZZ\r\n')
    await until(() => expect(openFiles()).toBe(0))
    client.peer.reset()
  })

  it('is closed when its transaction takes too long', async () => {
    await using served = await Served.start({ routes: [{ files: folder }], transactionTimeout: 100 })
    const client = await served.dial()
    client.peer.pause()
    await client.send(get('/big.bin'))
    await until(() => expect(served.http.stats().served).toBe(1))
    await until(() => expect(openFiles()).toBe(0))
    client.peer.reset()
  })

  it.each(['replies', 'throws'])('is closed when a hook %s instead of sending it', async (what) => {
    await using served = await Served.start({
      routes: [{ files: folder }],
      hooks: {
        responseSend: (transaction) => {
          if (transaction.status !== 200) return
          if (what === 'throws') throw Object.assign(new Error('no'), { status: 403 })
          transaction.reply(403)
        },
      },
    })
    const client = await served.dial()
    for (let time = 0; time < 3; time++) {
      await client.send(get('/big.bin'))
      expect((await client.response()).status).toBe(403)
    }
    await until(() => expect(openFiles()).toBe(0))
    client.peer.end()
  })
})

describe('Responses', () => {
  it('to a client that asks ahead and reads nothing are no more than it has room for', async () => {
    await using served = await Served.start({ routes: [{ reply: { status: 200, body: 'x'.repeat(60_000) } }] })
    const client = await served.dial()
    client.peer.pause()
    // 2,000 of them would be 120 MB.
    for (let count = 0; count < 20; count++) await client.send(get('/x').repeat(100))
    let before = 0
    await until(() => {
      const { served: now } = served.http.stats()
      const still = now > 0 && now === before
      before = now
      expect(still).toBe(true)
    })
    expect(before).toBeLessThan(400)
    client.peer.reset()
    await served.settled()
  })

  it('with a very long head do not overtake those before', async () => {
    const headers = { 'x-big': 'b'.repeat(70_000) }
    await using served = await Served.start({
      routes: [
        { path: '/big', reply: { status: 200, headers, body: 'B'.repeat(20_000) } },
        { reply: { status: 200, body: 'small' } },
      ],
      hooks: { responseSend: () => {} },
    })
    const client = await served.dial()
    await client.send(get('/small') + get('/big'))
    expect((await client.response()).body).toBe('small')
    expect((await client.response()).body).toHaveLength(20_000)
    client.peer.end()
  })

  it('behind one whose client left while its last bytes were on their way still come', async () => {
    const backend = await Backend.start((request) => (request.target === '/a' ? ok('A'.repeat(20_000)) : ok('b')))
    let stuck = 0
    await using served = await proxy(backend, {
      routes: [{ upstream: backend.address, pipeline: 4, pipelineConnections: 1 }],
      hooks: {
        responseBody: (transaction) =>
          transaction.request.path === '/a'
            ? new Transform({ writableHighWaterMark: 1_024, transform: () => void stuck++ })
            : undefined,
      },
    })
    const [leaver, waiter] = [await served.dial(), await served.dial()]
    await leaver.send(get('/a'))
    await until(() => expect(stuck).toBe(1))
    await waiter.send(get('/b'))
    await until(() => expect(served.http.stats().transactions).toBe(2))
    leaver.peer.reset()
    expect((await waiter.response()).body).toBe('b')
    waiter.peer.end()
    await served.settled()
    await backend[Symbol.asyncDispose]()
  })

  it('of a server of this process, which answers in the same call, reach those whose they are', async () => {
    const held = new Map<string, ServerResponse>()
    const server = createServer((request, response) => {
      if (request.url !== '/notify') return void held.set(request.url as string, response)
      held.get('/poll')?.writeHead(200, { 'content-length': 10, 'x-for': 'poller' })
      held.get('/poll')?.flushHeaders()
      request.resume()
      response.end('ok')
    })
    await using served = await Served.start({ routes: [{ upstream: server, maxConnections: 2 }] })
    const [poller, other, third] = [await served.dial(), await served.dial(), await served.dial()]
    await poller.send(get('/poll'))
    await other.send(get('/other'))
    await until(() => expect([...held.keys()].sort()).toEqual(['/other', '/poll']))
    // It waits for one of the two connections.
    await third.send('POST /notify HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n')
    await until(() => expect(Object.values(served.http.stats().upstreams)[0]?.queued).toBe(1))
    held.get('/other')?.end('of other')
    expect((await other.response()).body).toBe('of other')
    await until(() => expect(poller.peer.unread.toString('latin1')).toMatch(/^HTTP\/1.1 200 OK\r\nx-for: poller/i))
    for (const client of [poller, other, third]) client.peer.reset()
    await served.settled()
  })
})

describe('Connections to an upstream', () => {
  it('that carry requests one behind the other make room for one that must go alone', async () => {
    const backend = await Backend.start((request) => ok(request.target))
    await using served = await proxy(backend, {
      routes: [{ upstream: backend.address, pipeline: 4, pipelineConnections: 1, maxConnections: 1 }],
    })
    const clients = await Promise.all(Array.from({ length: 8 }, () => served.dial()))
    const answers = await Promise.all(
      clients.map(async (client, index) => {
        await client.send(index % 2 === 0 ? get(`/${index}`) : post('body', `/${index}`))
        return (await client.response()).body
      }),
    )
    expect(answers).toEqual(clients.map((_, index) => `/${index}`))
    for (const client of clients) client.peer.end()
    await served.settled()
    expect(backend.peers).toHaveLength(1)
    await backend[Symbol.asyncDispose]()
  })

  it('bring bytes that nobody asked for to nobody', async () => {
    // Two responses to one request: the second must not become that of the next.
    const backend = await Backend.start((request) =>
      request.target === '/first' ? ok('one') + ok('stolen') : ok('own'),
    )
    await using served = await proxy(backend, { routes: [{ upstream: backend.address, maxConnections: 1 }] })
    const [one, other] = [await served.dial(), await served.dial()]
    await one.send(get('/first'))
    await other.send(get('/second'))
    expect((await one.response()).body).toBe('one')
    expect((await other.response()).body).toBe('own')
    one.peer.end()
    other.peer.end()
    await served.settled()
    await backend[Symbol.asyncDispose]()
  })

  it('end when no route leads there any more', async () => {
    const [before, after] = [await Backend.start(() => ok('before')), await Backend.start(() => ok('after'))]
    await using served = await proxy(before)
    const client = await served.dial()
    await client.send(get())
    expect((await client.response()).body).toBe('before')
    served.http.route([{ upstream: after.address }])
    await client.send(get())
    expect((await client.response()).body).toBe('after')
    expect(Object.keys(served.http.stats().upstreams)).toEqual([after.address])
    client.peer.end()
    await served.settled()
    for (const backend of [before, after]) await backend[Symbol.asyncDispose]()
  })
})
