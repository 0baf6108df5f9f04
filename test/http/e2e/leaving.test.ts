import type { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/testing/index.ts'
import { openSockets } from '../../support/descriptors.ts'
import { TestServer } from '../../support/net.ts'
import { Random } from '../../support/random.ts'
import { Backend, gate, get, ok, pong, post, proxy, stands, turns, until } from './support.ts'

describe('A client that ends its direction', () => {
  it.each(['', 'Connection: close\r\n'])('E20, A.2: after its request gets its whole answer (%j)', async (fields) => {
    const asked = gate()
    const answer = gate()
    await using backend = await Backend.start(async () => {
      asked.open()
      await answer.promise
      return ok('x'.repeat(300_000))
    })
    await using served = await proxy(backend)
    const client = await served.dial()
    client.peer.end(get('/', fields))
    await asked.promise
    await turns()
    answer.open()
    const message = await client.response()
    expect([message.status, message.body.length]).toEqual([200, 300_000])
    await client.peer.over()
    await served.settled()
    expect(served.http.stats().left).toBe(0)
  })

  it('after a request and its body gets its answer', async () => {
    await using backend = await Backend.start((request) => ok(request.body))
    await using served = await proxy(backend)
    const client = await served.dial()
    client.peer.end(post('y'.repeat(100_000)))
    expect((await client.response()).body).toHaveLength(100_000)
    await served.settled()
  })

  it('after several requests gets the answers of all', async () => {
    await using backend = await Backend.start((request) => ok(request.target))
    await using served = await proxy(backend)
    const client = await served.dial()
    client.peer.end(get('/1') + get('/2') + get('/3'))
    for (const target of ['/1', '/2', '/3']) expect((await client.response()).body).toBe(target)
    await client.peer.over()
    await served.settled()
  })

  it('E21: is taken to have gone where that is what is wanted: the upstream is let go, and nothing is written', async () => {
    const asked = gate()
    await using backend = await Backend.start(() => {
      asked.open()
      return undefined
    })
    await using served = await proxy(backend, { halfOpen: false })
    const client = await served.dial()
    await client.send(get())
    await asked.promise
    client.peer.end()
    await until(() => expect(backend.open).toBe(0), 500)
    await client.peer.over()
    expect(client.peer.unread).toHaveLength(0)
    await served.settled()
    expect(served.http.stats()).toMatchObject({ served: 1, left: 1 })
  })

  it('in the middle of a head, or of a body, gets no answer, and the upstream is let go', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    const head = await served.dial()
    head.peer.end('GET / HTTP/1.1\r\nHo')
    expect((await head.peer.text()).slice(0, 12)).not.toBe('HTTP/1.1 200')
    const body = await served.dial()
    body.peer.end(post('half', '/').replace('Content-Length: 4', 'Content-Length: 8'))
    expect((await body.peer.text()).slice(0, 12)).not.toBe('HTTP/1.1 200')
    await served.settled()
    await until(() => expect(backend.open).toBe(0))
    expect(backend.requests).toHaveLength(0)
  })
})

describe('A client that goes', () => {
  it('E23, A.2: while its upstream works takes the upstream request with it, and leaves no trace', async () => {
    const asked = gate<{ answer: () => void }>()
    await using backend = await Backend.start((request, peer) => {
      if (request.target !== '/slow') return pong
      asked.open({ answer: () => void peer.write(pong) })
      return undefined
    })
    const log: string[] = []
    await using served = await proxy(backend, {
      hooks: {
        transactionClose: (it) => void log.push(`${it.request.target} ${it.status} ${it.failure?.code ?? 'ok'}`),
      },
    })
    const client = await served.dial()
    await client.send(get('/slow'))
    const { answer } = await asked.promise
    client.peer.reset()
    await until(() => expect(backend.open).toBe(0))
    answer()
    expect((await served.ask(get('/next'))).status).toBe(200)
    await served.settled()
    expect(log).toEqual(['/slow 0 XPS_RESET', '/next 200 ok'])
    expect(served.http.stats()).toMatchObject({ served: 2, left: 1, statuses: { '2xx': 1 } })
  })

  it('E24: in its fourth request of one connection is told four times, the last one as gone', async () => {
    const asked = gate()
    await using backend = await Backend.start((request) => {
      if (request.target !== '/4') return pong
      asked.open()
      return undefined
    })
    const log: string[] = []
    await using served = await proxy(backend, {
      hooks: {
        transactionClose: (it) => void log.push(`${it.request.target} ${it.status} ${it.failure?.code ?? 'ok'}`),
      },
    })
    const client = await served.dial()
    for (const target of ['/1', '/2', '/3']) {
      await client.send(get(target))
      await client.response()
    }
    await client.send(get('/4'))
    await asked.promise
    client.peer.reset()
    await served.settled()
    expect(log).toEqual(['/1 200 ok', '/2 200 ok', '/3 200 ok', '/4 0 XPS_RESET'])
  })

  it('E25: changes nothing for those before and after it', async () => {
    let asked = gate()
    await using backend = await Backend.start((request) => {
      if (request.target !== '/slow') return pong
      asked.open()
      return undefined
    })
    await using served = await proxy(backend)
    const statuses: number[] = []
    for (const leaves of [false, true, false, true, false]) {
      if (!leaves) {
        statuses.push((await served.ask(get())).status)
        continue
      }
      asked = gate()
      const client = await served.dial()
      await client.send(get('/slow'))
      await asked.promise
      client.peer.reset()
    }
    expect(statuses).toEqual([200, 200, 200])
    await served.settled()
  })

  it.each(['reset', 'end'] as const)('A.2: in the middle of an event stream closes the upstream (%s)', async (way) => {
    const gone = gate()
    await using backend = await TestServer.start((_, socket) => {
      socket.on('close', () => gone.open())
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n')
        const ticking = setInterval(() => socket.write('data: tick\n\n'), 20)
        socket.once('close', () => clearInterval(ticking))
      })
    })
    const clock = new ManualClock()
    await using served = await proxy(backend, {}, { clock })
    const client = await served.dial()
    await client.send(get('/events', 'Accept: text/event-stream\r\n'))
    await client.peer.read('data: tick')
    // Who half-closes does so with its request; who ends its direction much later is leaving.
    clock.advance(2_000)
    client.peer[way]()
    await gone.promise
    client.peer.reset()
    await served.settled()
  })

  it('A.2: while the event stream is silent is noticed as well', async () => {
    await using backend = await Backend.start((_, peer) => {
      void peer.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n')
      return undefined
    })
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(get('/events'))
    await client.peer.read('data: 1')
    client.peer.reset()
    await until(() => expect(backend.open).toBe(0))
    await served.settled()
  })

  it('without a word, by closing its socket, before the answer has begun, is found out', async () => {
    const asked = gate()
    await using backend = await Backend.start(() => {
      asked.open()
      return undefined
    })
    await using served = await proxy(backend)
    const { connect } = await import('node:net')
    const socket: Socket = connect(served.port, '127.0.0.1')
    socket.write(get())
    await asked.promise
    // Ends and closes: its kernel refuses whatever comes from then on, which looks like half-closing until something does.
    socket.destroy()
    await until(() => expect(backend.open).toBe(0))
    await served.settled()
    expect(served.http.stats().left).toBe(1)
  })

  it('E26: after it stopped to read is noticed by the time it takes nothing, and the upstream is let go', async () => {
    const clock = new ManualClock()
    const flood = Buffer.alloc(1024 * 1024, 'f')
    let sent = 0
    await using backend = await TestServer.start((_, socket) => {
      socket.on('error', () => {})
      socket.once('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${64 * flood.length}\r\n\r\n`)
        const more = (): void => {
          while (sent < 64) {
            sent++
            if (!socket.write(flood)) return
          }
        }
        socket.on('drain', more)
        more()
      })
    })
    const closes: (string | undefined)[] = []
    await using served = await proxy(
      backend,
      { hooks: { transactionClose: ({ failure }) => void closes.push(`${failure?.code} ${failure?.reason ?? ''}`) } },
      { clock, clientIdleTimeout: 1_000 },
    )
    const client = await served.dial()
    client.peer.pause()
    await client.send(get())
    await until(() => expect(served.core.stats().bytesOut).toBeGreaterThan(100_000))
    await stands(() => served.core.stats().bytesOut)
    client.peer.reset()
    clock.advance(1_500)
    await until(() => expect(backend.sockets.size).toBe(0))
    await served.settled()
    expect(closes).toHaveLength(1)
    expect(closes[0]).toMatch(/XPS_(TIMEOUT client-idle|RESET)/)
  })
})

describe('A client that sends ahead', () => {
  it('is not read on without end while its first request waits', async () => {
    await using backend = await Backend.start(() => undefined)
    const clock = new ManualClock()
    await using served = await proxy(backend, {}, { clock })
    const client = await served.dial()
    await client.send(get('/first'))
    await until(() => expect(backend.requests).toHaveLength(1))
    const piece = get('/more').repeat(10_000)
    for (let round = 0; round < 50; round++) void client.send(piece)
    await stands(() => served.core.stats().bytesIn, 10_000)
    expect(served.core.stats().bytesIn).toBeLessThan(1024 * 1024)
    expect(backend.requests).toHaveLength(1)
    served.core.abort()
    client.peer.reset()
  })

  it.each(['reset', 'end'] as const)('and goes has none of the rest sent on (%s)', async (way) => {
    const asked = gate()
    await using backend = await Backend.start(() => {
      asked.open()
      return undefined
    })
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(get('/1') + get('/2') + get('/3'))
    await asked.promise
    if (way === 'end') {
      client.peer.end()
      await turns()
    }
    client.peer.reset()
    await served.settled()
    expect(backend.requests.map((request) => request.target)).toEqual(['/1'])
    expect(served.http.stats()).toMatchObject({ served: 1, left: 1 })
  })
})

describe('A client that does not read', () => {
  it('A.2: makes the upstream wait: what is taken from it is bounded', async () => {
    const flood = Buffer.alloc(1024 * 1024, 'f')
    let written = 0
    await using backend = await TestServer.start((_, socket) => {
      socket.on('error', () => {})
      socket.once('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${400 * flood.length}\r\n\r\n`)
        const more = (): void => {
          while (!socket.destroyed && written < 400 * flood.length) {
            written += flood.length
            if (!socket.write(flood)) return
          }
        }
        socket.on('drain', more)
        more()
      })
    })
    await using served = await proxy(backend)
    const client = await served.dial()
    client.peer.pause()
    await client.send(get())
    await until(() => expect(served.core.stats().bytesOut).toBeGreaterThan(100_000))
    await stands(() => written)
    // Kernel buffers of four ends, and our pipes.
    expect(written).toBeLessThan(24 * 1024 * 1024)
    client.peer.reset()
    await served.settled()
  })

  it('keeps an upload waiting when the upstream does not read', async () => {
    await using backend = await TestServer.start((_, socket) => {
      socket.pause()
    })
    const clock = new ManualClock()
    await using served = await proxy(backend, {}, { clock, upstreamIdleTimeout: 5_000 })
    const client = await served.dial()
    await client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${400 * 1024 * 1024}\r\n\r\n`)
    const piece = Buffer.alloc(1024 * 1024)
    let sent = 0
    const sending = (async () => {
      for (; sent < 400; sent++) await client.send(piece)
    })()
    await stands(() => served.core.stats().bytesIn, 100_000)
    expect(sent).toBeLessThan(24)
    // A client that is held up is not read, so that its leaving is not seen: what notices it is the stall.
    client.peer.reset()
    await sending
    clock.advance(5_500)
    await served.settled()
  })
})

describe('Nothing is left', () => {
  const random = new Random()
  it(`after clients and upstreams broke off in every way, many times (SEED=${random.seed})`, async () => {
    await using backend = await TestServer.start((_, socket) => {
      socket.on('error', () => {})
      socket.on('end', () => socket.destroy())
      socket.on('data', (chunk) => {
        const kind = /GET \/(\w+)/.exec(chunk.toString())?.[1]
        if (kind === 'reset') socket.resetAndDestroy()
        else if (kind === 'end') socket.end()
        else if (kind === 'half') socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf')
        else if (kind === 'cut')
          socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab', () => socket.resetAndDestroy())
        else if (kind === 'garbage') socket.write('TEST\r\n\r\n')
        else if (kind === 'extra') socket.write(`${pong}unasked`)
        else if (kind === 'large') socket.write(ok('l'.repeat(500_000)))
        else if (kind === 'fine') socket.write(pong)
      })
    })
    const before = openSockets()
    const served = await proxy(backend)
    const kinds = ['reset', 'end', 'half', 'cut', 'garbage', 'extra', 'large', 'fine', 'silent']
    await Promise.all(
      Array.from({ length: 120 }, async () => {
        const client = await served.dial()
        await client.send(get(`/${random.pick(kinds)}`) + (random.below(2) === 0 ? get('/fine') : ''))
        const way = random.below(4)
        if (way === 0) client.peer.reset()
        else if (way === 1) {
          await turns(random.below(10))
          client.peer.reset()
        } else if (way === 2) {
          client.peer.end()
          // Not at once: a reset while the end is being sent leaves Node with a descriptor that nobody closes.
          await turns(5 + random.below(30))
          client.peer.reset()
        } else {
          await Promise.race([client.peer.over(), turns(60)])
          client.peer.reset()
        }
      }),
    )
    await served.settled()
    expect((await served.ask(get('/fine'))).status).toBe(200)
    await served[Symbol.asyncDispose]()
    await until(() => expect(backend.sockets.size).toBe(0))
    await until(() => expect(openSockets()).toBeLessThanOrEqual(before))
    expect(served.http.stats()).toMatchObject({ sessions: 0, transactions: 0 })
  })

  it('E62: after 50 clients that connect and close, and garbage, and silence', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const client = await served.dial()
        if (index % 5 === 1) await client.send('\r\n')
        if (index % 5 === 2) await client.send(Buffer.from('PROXY UNKNOWN\r\n'))
        if (index % 5 === 3) await client.send(Buffer.from([0x16, 0x03, 0x01, 0x00, 0xff]))
        if (index % 2 === 0) client.peer.reset()
        else client.peer.end()
      }),
    )
    await served.settled()
    expect((await served.ask(get())).status).toBe(200)
    await served.settled()
    expect(backend.requests).toHaveLength(1)
  })
})
