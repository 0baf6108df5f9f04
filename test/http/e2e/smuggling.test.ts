import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Transaction } from '../../../src/http/transaction.ts'
import { dial, TestServer } from '../../support/net.ts'
import { Random } from '../../support/random.ts'
import { malformedRequests, truncatedRequests } from '../corpus/requests.ts'
import { malformedResponses, truncatedResponses } from '../corpus/responses.ts'
import { Backend, get, Message, ok, pong, proxy, type Served, turns, until, Wire } from './support.ts'

describe('A request that two parsers could read differently', () => {
  let backend: Backend
  let served: Served
  beforeAll(async () => {
    backend = await Backend.start()
    served = await proxy(backend)
  })
  afterAll(async () => {
    await served[Symbol.asyncDispose]()
    await backend[Symbol.asyncDispose]()
  })

  it.each(
    malformedRequests.map((one) => [one.status, one.name, one] as const),
  )('E15, E19: is told %i and closed, and reaches nobody: %s', async (status, _, { bytes, before, where }) => {
    const [requests, seen] = [backend.requests.length, backend.bytes]
    const client = await served.dial()
    void client.send(bytes)
    for (let good = 0; good < before; good++) expect((await client.response()).status).toBe(200)
    const answer = await client.response()
    expect([answer.status, answer.header('connection')]).toEqual([status, 'close'])
    await client.peer.over()
    expect(client.peer.unread).toHaveLength(0)
    client.peer.end()
    // What the upstream has seen is whole requests that were good, and of one that broke in its body no end.
    await turns(3)
    expect(backend.requests.length).toBe(requests + before)
    if (where === 'head' && before === 0) expect(backend.bytes).toBe(seen)
    expect((await served.ask(get('/next'))).status).toBe(200)
    expect(backend.requests.at(-1)?.start).toBe('GET /next HTTP/1.1')
  })

  it.each(
    truncatedRequests.map((one) => [one.name, one] as const),
  )('that is cut short is not taken for whole: %s', async (_, { bytes }) => {
    const requests = backend.requests.length
    const client = await served.dial()
    client.peer.end(bytes)
    const text = await client.peer.text()
    expect(text).not.toMatch(/^HTTP\/1\.1 200/)
    await turns(3)
    expect(backend.requests.length).toBe(requests)
  })

  it('E15: leaves nothing behind', async () => {
    await served.settled()
    expect(served.http.stats().transactions).toBe(0)
  })
})

describe('A response that two parsers could read differently', () => {
  let backend: TestServer
  let served: Served
  let bytes: Buffer
  beforeAll(async () => {
    backend = await TestServer.start((_, socket) => {
      socket.on('error', () => {})
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk
        if (!text.includes('\r\n\r\n')) return
        socket.write(text.includes('/bad') ? bytes : pong)
        text = ''
      })
    })
    served = await proxy(backend)
  })
  afterAll(async () => {
    await served[Symbol.asyncDispose]()
    await backend[Symbol.asyncDispose]()
  })

  it.each(
    malformedResponses.map((one) => [one.name, one] as const),
  )('A.2: is told 502, or cut so that it shows, and its connection is done: %s', async (_, one) => {
    bytes = one.bytes
    const client = await served.dial()
    await client.send(get('/bad').replace('GET', one.method))
    if (one.where === 'head') expect((await client.response(one.method)).status).toBe(502)
    else {
      await client.peer.over()
      expect(isWhole(client.peer.unread, one.method)).toBe(false)
    }
    client.peer.end()
    await until(() => expect(served.http.stats().upstreams[backend.address]?.connections).toBe(0))
    const { accepted } = backend
    expect((await served.ask(get('/next'))).body).toBe('pong')
    expect(backend.accepted).toBe(accepted + 1)
  })
})

describe('A response that is cut short', () => {
  it.each(
    truncatedResponses.map((one) => [one.name, one] as const),
  )('A.2: is a 502, or is seen to be cut: %s', async (_, one) => {
    await using backend = await TestServer.start((_, socket) => {
      socket.once('data', () => socket.end(one.bytes))
    })
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(get('/cut'))
    if (one.where === 'head') {
      const answer = await client.response()
      expect(answer.status).toBe(502)
    } else {
      await client.peer.over()
      expect(isWhole(client.peer.unread, 'GET')).toBe(false)
    }
    client.peer.end()
    await served.settled()
  })
})

/** Whether a client would take the bytes for a complete response. */
function isWhole(bytes: Buffer, method: string): boolean {
  const text = bytes.toString('latin1')
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return false
  const message = new Message(text.slice(0, end + 4))
  if (message.status === 502) return false
  if (method === 'HEAD') return true
  const body = text.slice(end + 4)
  if (message.header('transfer-encoding') !== undefined) return /(^|\r\n)0\r\n.*\r\n$/s.test(body)
  const length = message.header('content-length')
  return length === undefined || body.length >= Number(length)
}

describe('Whatever comes', () => {
  const random = new Random()
  it(`ends no process: malformed bytes, and resets at any moment, from both sides (SEED=${random.seed})`, async () => {
    const escaped: unknown[] = []
    const note = (error: unknown): void => void escaped.push(error)
    process.on('uncaughtException', note)
    process.on('unhandledRejection', note)
    const requests = malformedRequests.map((one) => one.bytes)
    const responses = [
      ...malformedResponses.map((one) => one.bytes),
      Buffer.from(pong),
      Buffer.from(ok('x'.repeat(70_000))),
    ]
    const mutate = (bytes: Buffer): Buffer => {
      const copy = Buffer.from(bytes)
      for (let change = random.below(4); change > 0 && copy.length > 0; change--)
        copy[random.below(copy.length)] = random.below(256)
      return random.below(4) === 0 ? copy.subarray(0, random.below(copy.length + 1)) : copy
    }
    await using backend = await TestServer.start((peer, socket) => {
      socket.on('error', () => {})
      socket.on('data', () => {
        const answer = mutate(random.pick(responses))
        const at = random.below(answer.length + 1)
        socket.write(answer.subarray(0, at))
        const way = random.below(5)
        if (way === 0) peer.reset()
        else if (way === 1) socket.end(answer.subarray(at))
        else setImmediate(() => socket.writable && socket.write(answer.subarray(at)))
      })
    })
    const good = [
      Buffer.from(get('/a')),
      Buffer.from(get('/b').repeat(3)),
      Buffer.from('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'),
      Buffer.from(`PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n${'x'.repeat(40_000)}`),
      Buffer.from('GET / HTTP/1.0\r\n\r\n'),
      Buffer.from(get('/h').replace('GET', 'HEAD')),
      Buffer.from('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc'),
    ]
    const open = new Set<Transaction>()
    const hooks = {
      transactionStart: (transaction: Transaction) => void open.add(transaction),
      transactionClose: (transaction: Transaction) => void open.delete(transaction),
    }
    const brief = { responseTimeout: 300, responseIdleTimeout: 300, bodyTimeout: 300, headTimeout: 300 }
    const served = await proxy(backend, { ...brief, hooks })
    try {
      for (let round = 0; round < 6; round++) {
        await Promise.all(
          Array.from({ length: 40 }, async () => {
            const client = new Wire(await dial(served.port))
            const bytes = random.below(2) === 0 ? random.pick(good) : mutate(random.pick(requests))
            for (let at = 0; at < bytes.length && !client.peer.closed; ) {
              const size = 1 + random.below(bytes.length)
              await Promise.race([client.send(bytes.subarray(at, at + size)), turns(20)])
              at += size
            }
            if (random.below(3) === 0) client.peer.end()
            await Promise.race([client.peer.over(), turns(random.below(40))])
            client.peer.reset()
          }),
        )
      }
      const left = [...open].map(
        ({ state, request, age }) => `${state} ${request.method} ${request.headers.size} ${age}`,
      )
      await until(() => expect(open.size, left.join(', ')).toBe(0))
      await served.settled()
      expect(escaped).toEqual([])
    } finally {
      process.off('uncaughtException', note)
      process.off('unhandledRejection', note)
      await served[Symbol.asyncDispose]()
    }
  })
})
