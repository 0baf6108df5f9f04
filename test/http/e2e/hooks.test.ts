import { describe, expect, it } from 'vitest'
import { XpsError } from '../../../src/errors.ts'
import type { HookPoint, Hooks } from '../../../src/http/hooks.ts'
import type { Transaction } from '../../../src/http/transaction.ts'
import { PipeSource } from '../../../src/pipe/source.ts'
import { Backend, gate, get, ok, pong, post, proxy, Served, turns, until } from './support.ts'

/** The points at which a transaction is on its way to an answer. */
const before: readonly HookPoint[] = [
  'transactionStart',
  'request',
  'beforeRouting',
  'afterRouting',
  'upstream',
  'requestSend',
  'response',
  'responseSend',
]

const at = (point: HookPoint, hook: (transaction: Transaction) => unknown): Hooks => ({ [point]: hook }) as Hooks

describe('A hook that holds', () => {
  it.each(before)('at %s keeps everything behind it waiting, and lets it go on', async (point) => {
    await using backend = await Backend.start()
    const held = gate()
    const reached = gate()
    await using served = await proxy(backend, {
      hooks: at(point, () => {
        reached.open()
        return held.promise
      }),
    })
    const client = await served.dial()
    await client.send(post('a body') + get('/next'))
    await reached.promise
    expect(client.peer.unread).toHaveLength(0)
    held.open()
    expect((await client.response()).body).toBe('pong')
    expect((await client.response()).body).toBe('pong')
    expect(backend.requests.map(({ target, body }) => `${target} ${body}`)).toEqual(['/ a body', '/next '])
    client.peer.end()
    await served.settled()
  })

  it.each([
    ...before,
    'transactionClose',
  ] as const)('at %s while the client leaves changes neither close', async (point) => {
    await using backend = await Backend.start()
    const held = gate()
    const reached = gate()
    const list: string[] = []
    const hooks = at(point, () => {
      reached.open()
      return held.promise
    })
    await using served = await proxy(backend, {
      hooks: [
        hooks,
        {
          transactionClose: () => void list.push('transaction'),
          sessionClose: () => void list.push('session'),
        },
      ],
    })
    const client = await served.dial()
    await client.send(get())
    await reached.promise
    client.peer.reset()
    if (point !== 'transactionClose') await until(() => expect(served.core.stats().bytesIn).toBeGreaterThan(0))
    expect(list).toEqual([])
    held.open()
    await served.settled()
    expect(list).toEqual(['transaction', 'session'])
    expect(served.http.stats().transactions).toBe(0)
  })
})

describe('A response that a hook holds back', () => {
  const bodies = ['small', 'm'.repeat(8_192), 'l'.repeat(300_000)]
  it.each([
    'response',
    'responseSend',
  ] as const)('at %s comes whole afterwards, whatever came on other connections', async (point) => {
    await using backend = await Backend.start((request) => {
      const body = bodies[Number(request.target.slice(2))] ?? ''
      if (request.target.startsWith('/l')) return ok(body)
      return `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\nX-Sum: a\r\n\r\n`
    })
    let held = gate()
    let reached = gate()
    await using served = await proxy(backend, {
      hooks: at(point, ({ request }) => {
        if (request.headers.has('x-free')) return
        reached.open()
        return held.promise
      }),
    })
    const client = await served.dial()
    for (const target of ['/l0', '/l1', '/l2', '/c0', '/c1', '/c2']) {
      held = gate()
      reached = gate()
      await client.send(get(target))
      await reached.promise
      // Others use the memory that reads go to.
      for (const other of bodies.keys()) await served.ask(get(`/l${other}`, 'X-Free: 1\r\n'))
      held.open()
      const answer = await client.response()
      expect(answer.body).toBe(bodies[Number(target.slice(2))])
      expect(answer.trailers).toEqual(target.startsWith('/c') ? [['X-Sum', 'a']] : [])
    }
    client.peer.end()
    await served.settled()
  })

  it.each([
    'end',
    'reset',
  ] as const)('while its upstream goes (%s) comes as far as it came, and is not made to look whole', async (way) => {
    await using backend = await Backend.start((request) =>
      request.target === '/whole' ? pong : 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf',
    )
    let held = gate()
    let reached = gate()
    await using served = await proxy(backend, {
      hooks: {
        response: () => {
          reached.open()
          return held.promise
        },
      },
    })
    for (const target of ['/whole', '/half']) {
      held = gate()
      reached = gate()
      const client = await served.dial()
      await client.send(get(target))
      await reached.promise
      backend.peers.at(-1)?.[way]()
      await turns()
      held.open()
      if (target === '/whole') expect((await client.response()).body).toBe('pong')
      else {
        await client.peer.over()
        const text = client.peer.unread.toString()
        expect(text.startsWith('HTTP/1.1 502') || !text.includes('\r\n\r\n') || text.length < 200).toBe(true)
      }
      client.peer.end()
    }
    await served.settled()
  })

  it('before it is sent, while its connection goes, is sent on another', async () => {
    await using backend = await Backend.start()
    let held = gate()
    let reached = gate()
    await using served = await proxy(backend, {
      hooks: {
        requestSend: ({ number }) => {
          if (number === 1) return
          reached.open()
          return held.promise
        },
      },
    })
    const client = await served.dial()
    await client.send(get())
    await client.response()
    for (const request of [get('/held'), post('a body', '/held')]) {
      held = gate()
      reached = gate()
      await client.send(request)
      await reached.promise
      const { accepted } = backend
      backend.peers.at(-1)?.reset()
      await until(() => expect(served.http.stats().upstreams[backend.address]?.connections).toBe(0))
      held.open()
      expect((await client.response()).status).toBe(200)
      expect(backend.accepted).toBe(accepted + 1)
    }
    client.peer.end()
    await served.settled()
  })
})

describe('A hook that fails', () => {
  it.each(before)('E9: at %s makes it a 500, and the transaction closes once', async (point) => {
    await using backend = await Backend.start()
    const closes: (string | undefined)[] = []
    await using served = await proxy(backend, {
      hooks: [
        at(point, ({ number }) => {
          if (number === 1) throw new Error('a secret')
        }),
        { transactionClose: ({ failure }) => void closes.push(failure?.code) },
      ],
    })
    const client = await served.dial()
    await client.send(get() + get())
    const answer = await client.response()
    expect([answer.status, answer.body]).toEqual([500, '500 Internal Server Error\n'])
    expect((await client.response()).status).toBe(200)
    client.peer.end()
    await served.settled()
    expect(closes).toEqual(['XPS_FAULT', undefined])
    expect(served.http.stats().faults).toEqual({ XPS_FAULT: 1 })
  })

  it.each([401, 403, 429, 503])('E9: with status %i makes it that status, also when it rejects', async (status) => {
    await using backend = await Backend.start()
    await using served = await proxy(backend, {
      hooks: { request: () => Promise.reject(Object.assign(new Error('no'), { status })) },
    })
    expect((await served.ask(get())).status).toBe(status)
    expect(backend.accepted).toBe(0)
  })

  it('E45: may say more in fields of its error, such as when to come again', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend, {
      hooks: {
        request: () => {
          throw new XpsError('XPS_REFUSED', 'too many', { status: 429, headers: { 'retry-after': '30' } })
        },
      },
    })
    const answer = await served.ask(get())
    expect([answer.status, answer.header('retry-after')]).toEqual([429, '30'])
    expect(backend.accepted).toBe(0)
  })

  it('E9: at transactionClose changes nothing, and the session still closes once', async () => {
    await using backend = await Backend.start()
    const list: string[] = []
    await using served = await proxy(backend, {
      hooks: {
        transactionClose: ({ number }) => {
          list.push(`transaction ${number}`)
          if (number === 1) throw new Error('too late')
          return Promise.reject(new Error('too late as well'))
        },
        sessionClose: () => {
          list.push('session')
          throw new Error('and this')
        },
      },
    })
    const client = await served.dial()
    await client.send(get() + get())
    expect((await client.response()).status).toBe(200)
    expect((await client.response()).status).toBe(200)
    client.peer.end()
    await served.settled()
    expect(list).toEqual(['transaction 1', 'transaction 2', 'session'])
    expect(served.http.stats().statuses['2xx']).toBe(2)
  })

  it.each([
    '/transform',
    '/request-transform',
  ])('when it is asked for the stages of a body makes it a 500 (%s)', async (target) => {
    await using backend = await Backend.start((request) =>
      request.target === '/fine' ? pong : ok('x'.repeat(100_000)),
    )
    await using served = await proxy(backend, {
      hooks: {
        responseBody: ({ request }) => {
          if (request.target === '/transform') throw new Error('transform')
          return undefined
        },
        requestBody: ({ request }) => {
          if (request.target === '/request-transform') throw new Error('request transform')
          return undefined
        },
      },
    })
    expect((await served.ask(post('y'.repeat(20_000), target))).status).toBe(500)
    expect((await served.ask(get('/fine'))).status).toBe(200)
    await served.settled()
  })

  it('on a piece of a response cuts it short, and on one of a request makes it a 500', async () => {
    await using backend = await Backend.start((request) =>
      request.target === '/fine' ? pong : ok('x'.repeat(100_000)),
    )
    await using served = await proxy(backend, {
      hooks: {
        responseChunk: ({ request }) => {
          if (request.target === '/tap') throw new Error('tap')
        },
        requestChunk: ({ request }) => {
          if (request.target === '/request-tap') throw new Error('request tap')
        },
      },
    })
    const tap = await served.dial()
    await tap.send(get('/tap'))
    await tap.peer.over()
    expect(tap.peer.unread.length).toBeLessThan(100_000)
    expect((await served.ask(post('y'.repeat(20_000), '/request-tap'))).status).toBe(500)
    expect((await served.ask(get('/fine'))).status).toBe(200)
    await served.settled()
  })
})

describe('A hook that answers', () => {
  it.each(before)('at %s is what the client gets', async (point) => {
    await using backend = await Backend.start()
    await using served = await proxy(backend, {
      hooks: at(point, (transaction) => {
        if (transaction.request.target !== '/own') return
        transaction.reply({ status: 202, headers: { 'x-own': 'yes' }, body: 'mine' })
      }),
    })
    const client = await served.dial()
    await client.send(get('/own') + get('/other'))
    const own = await client.response()
    expect([own.status, own.header('x-own'), own.body]).toEqual([202, 'yes', 'mine'])
    expect((await client.response()).body).toBe('pong')
    client.peer.end()
    await served.settled()
    if (before.indexOf(point) < 4) expect(backend.requests.map((request) => request.target)).toEqual(['/other'])
  })

  it('E10: twice, after the response has begun, is told that it is too late, and changes nothing', async () => {
    await using backend = await Backend.start()
    const late: unknown[] = []
    let closes = 0
    await using served = await proxy(backend, {
      hooks: {
        request: (transaction) => transaction.reply({ status: 200, body: 'first' }),
        transactionClose: (transaction) => {
          closes++
          try {
            transaction.reply(500)
          } catch (error) {
            late.push(error)
          }
        },
      },
    })
    expect((await served.ask(get())).body).toBe('first')
    await served.settled()
    expect(late).toEqual([expect.objectContaining({ code: 'XPS_CLOSED' })])
    expect(closes).toBe(1)
  })

  it('E10: twice before the response has begun: the last one counts, and there is one close', async () => {
    await using backend = await Backend.start()
    let closes = 0
    await using served = await proxy(backend, {
      hooks: {
        request: (transaction) => {
          transaction.reply(403)
          transaction.reply({ status: 200, body: 'second' })
        },
        transactionClose: () => void closes++,
      },
    })
    expect((await served.ask(get())).body).toBe('second')
    await served.settled()
    expect(closes).toBe(1)
  })

  it('out of turn, while a request waits for its upstream, ends the wait', async () => {
    const asked = gate()
    await using backend = await Backend.start(() => {
      asked.open()
      return undefined
    })
    let waiting: Transaction | undefined
    await using served = await proxy(backend, {
      hooks: {
        requestSend: (transaction) => {
          waiting = transaction
        },
      },
    })
    const client = await served.dial()
    await client.send(get())
    await asked.promise
    waiting?.reply({ status: 200, body: 'enough' })
    expect((await client.response()).body).toBe('enough')
    await until(() => expect(backend.open).toBe(0))
    client.peer.end()
    await served.settled()
  })

  it('with a source as a body streams it', async () => {
    await using served = await Served.start({
      hooks: { request: (transaction) => transaction.reply({ status: 200, body: PipeSource.from(['one ', 'two']) }) },
    })
    const answer = await served.ask(get())
    expect([answer.header('transfer-encoding'), answer.body]).toEqual(['chunked', 'one two'])
  })

  it('rejects an answer that is none', async () => {
    await using served = await Served.start({
      hooks: { request: (transaction) => transaction.reply({ status: 100 }) },
    })
    expect((await served.ask(get())).status).toBe(500)
  })
})

describe('A hook that edits', () => {
  it('changes what the upstream and the client get', async () => {
    await using backend = await Backend.start(() => 'HTTP/1.1 200 OK\r\nX-Secret: 1\r\nContent-Length: 4\r\n\r\npong')
    await using served = await proxy(backend, {
      hooks: {
        request: ({ request }) => {
          request.target = `/base${request.target}`
          request.headers.set('x-user', 'ada').delete('x-fake')
        },
        response: ({ response }) => void response?.headers.delete('x-secret'),
        responseSend: ({ response }) => {
          response?.headers.set('x-seen', 'yes')
          if (response !== undefined) response.status = 203
        },
      },
    })
    const answer = await served.ask(get('/a?b=c', 'X-Fake: 1\r\n'))
    expect([answer.status, answer.header('x-secret'), answer.header('x-seen')]).toEqual([203, undefined, 'yes'])
    const [request] = backend.requests
    expect([request?.target, request?.header('x-user'), request?.header('x-fake')]).toEqual([
      '/base/a?b=c',
      'ada',
      undefined,
    ])
  })

  it('cannot put a line break into what is sent', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend, {
      hooks: { request: ({ request }) => void request.headers.set('x-user', 'ada\r\nX-Admin: yes') },
    })
    expect((await served.ask(get())).status).toBe(500)
    expect(backend.requests).toHaveLength(0)
  })

  it('cannot put a line break or a space into the request line', async () => {
    await using backend = await Backend.start()
    const targets = ['/a b', '/a\r\nX-Admin: yes', '']
    const methods = ['GET /b HTTP/1.1\r\nHost: x\r\n\r\nGET', 'GE T', '']
    for (const target of targets) {
      await using served = await proxy(backend, { hooks: { request: ({ request }) => void (request.target = target) } })
      expect((await served.ask(get())).status).toBe(500)
    }
    for (const method of methods) {
      await using served = await proxy(backend, { hooks: { request: ({ request }) => void (request.method = method) } })
      expect((await served.ask(get())).status).toBe(500)
    }
    expect(backend.requests).toHaveLength(0)
  })

  it('chooses the upstream: another of the route, or any', async () => {
    await using one = await Backend.start(() => ok('one'))
    await using two = await Backend.start(() => ok('two'))
    await using three = await Backend.start(() => ok('three'))
    const seen: (string | undefined)[] = []
    await using served = await Served.start({
      routes: [{ upstream: [one.address, two.address] }],
      hooks: {
        upstream: (transaction) => {
          if (transaction.request.target === '/three') transaction.upstream = three.address
          else transaction.upstream = two.address
        },
        transactionClose: ({ upstream }) => void seen.push(upstream),
      },
    })
    for (const [target, body] of [
      ['/', 'two'],
      ['/', 'two'],
      ['/three', 'three'],
    ] as const)
      expect((await served.ask(get(target))).body).toBe(body)
    await served.settled()
    expect(seen).toEqual([two.address, two.address, three.address])
    expect(one.accepted).toBe(0)
  })

  it('before routing decides which route it is', async () => {
    await using served = await Served.start({
      routes: [
        { path: '/a', reply: { status: 200, body: 'a' } },
        { path: '/b', reply: { status: 200, body: 'b' } },
      ],
      hooks: {
        beforeRouting: ({ request }) => {
          if (request.target === '/a/x') request.target = '/b/x'
        },
      },
    })
    expect((await served.ask(get('/a/x'))).body).toBe('b')
    expect((await served.ask(get('/a/y'))).body).toBe('a')
  })
})

describe('Hooks of the bodies', () => {
  it('see every byte of both, and may change them', async () => {
    await using backend = await Backend.start((request) => ok(`you said ${request.body}`))
    const [sent, got]: string[][] = [[], []]
    const upper = (chunk: Uint8Array): Uint8Array => Buffer.from(Buffer.from(chunk).toString().toUpperCase())
    await using served = await proxy(backend, {
      hooks: {
        requestBody: () => upper,
        responseBody: () => (chunk) => Buffer.concat([chunk, Buffer.from('!')]),
        requestChunk: (_, chunk) => void sent?.push(Buffer.from(chunk).toString()),
        responseChunk: (_, chunk) => void got?.push(Buffer.from(chunk).toString()),
      },
    })
    const answer = await served.ask(post('hello'))
    expect(answer.body).toBe('you said HELLO!')
    expect(answer.header('transfer-encoding')).toBe('chunked')
    expect([sent?.join(''), got?.join('')]).toEqual(['HELLO', 'you said HELLO!'])
    expect(backend.requests[0]?.header('transfer-encoding')).toBe('chunked')
    expect(backend.requests[0]?.header('content-length')).toBeUndefined()
  })

  it('change nothing of the framing when they only look', async () => {
    await using backend = await Backend.start((request) => ok(request.body))
    let seen = 0
    await using served = await proxy(backend, {
      hooks: {
        requestChunk: (_, chunk) => void (seen += chunk.length),
        responseChunk: (_, chunk) => void (seen += chunk.length),
      },
    })
    const body = 'x'.repeat(150_000)
    const answer = await served.ask(post(body))
    expect(answer.body).toBe(body)
    expect(answer.header('content-length')).toBe('150000')
    expect(backend.requests[0]?.header('content-length')).toBe('150000')
    expect(seen).toBe(300_000)
  })

  it('see what an answer of this program has for a body, too', async () => {
    let seen = ''
    await using served = await Served.start({
      routes: [{ reply: { status: 200, body: 'fixed' } }],
      hooks: { responseChunk: (_, chunk) => void (seen += Buffer.from(chunk).toString()) },
    })
    expect((await served.ask(get())).body).toBe('fixed')
    expect(seen).toBe('fixed')
  })
})

describe('Hooks that are added later', () => {
  it('E11: by a hook of the session, to the transaction, run in the pass that is going on', async () => {
    await using backend = await Backend.start()
    const list: string[] = []
    await using served = await proxy(backend, {
      hooks: {
        sessionStart: (session) =>
          session.hook({
            request: (transaction) => {
              list.push('session')
              transaction.hook({ request: () => void list.push('transaction') })
            },
          }),
      },
    })
    const client = await served.dial()
    await client.send(get() + get())
    await client.response()
    await client.response()
    expect(list).toEqual(['session', 'transaction', 'session', 'transaction'])
    client.peer.end()
  })

  it('E11: also when that hook has to be waited for', async () => {
    await using backend = await Backend.start()
    const list: string[] = []
    await using served = await proxy(backend, {
      hooks: {
        request: async (transaction) => {
          await Promise.resolve()
          transaction.hook({ request: () => void list.push('transaction') })
        },
      },
    })
    await served.ask(get())
    expect(list).toEqual(['transaction'])
  })

  it('by a transaction hold for that transaction only', async () => {
    await using backend = await Backend.start()
    const list: number[] = []
    await using served = await proxy(backend, {
      hooks: {
        transactionStart: (transaction) => {
          if (transaction.number === 1) transaction.hook({ responseSend: ({ number }) => void list.push(number) })
        },
      },
    })
    const client = await served.dial()
    await client.send(get() + get() + get())
    for (let round = 0; round < 3; round++) await client.response()
    expect(list).toEqual([1])
    client.peer.end()
  })

  it('by the host, while it runs, hold for all from then on', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    const client = await served.dial()
    await client.send(get())
    expect((await client.response()).status).toBe(200)
    served.http.hook({ request: (transaction) => transaction.reply(403) })
    await client.send(get())
    expect((await client.response()).status).toBe(403)
    client.peer.end()
  })
})
