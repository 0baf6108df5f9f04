import { describe, expect, it } from 'vitest'
import type { HttpOptions } from '../../../src/http/http.ts'
import type { Answer } from '../../../src/http/messages.ts'
import { Backend, get, ok, proxy, Served } from './support.ts'

// Defects that a second reader found in what clients are answered.

/** What the host did wrong, as the core tells it. */
function faultsOf(served: Served): string[] {
  const faults: string[] = []
  served.core.on('fault', (fault) => faults.push(fault.code))
  return faults
}

describe('A page for errors', () => {
  it('with a field that cannot be sent is left out, and told as a fault', async () => {
    await using served = await Served.start({
      errorPages: { default: (_, status) => ({ status, headers: { 'x-error': 'a \u2014 b' } }) },
    })
    const faults = faultsOf(served)
    const client = await served.dial()
    for (let time = 0; time < 2; time++) {
      await client.send(get())
      const answer = await client.response()
      expect([answer.status, answer.body, answer.header('x-error')]).toEqual([404, '404 Not Found\n', undefined])
    }
    // Also where there is no transaction.
    expect((await served.ask('x\r\n\r\n')).status).toBe(400)
    expect(faults).toEqual(Array(3).fill('XPS_INVALID_HEADER'))
    client.peer.end()
    await served.settled()
  })

  it('that is a promise is left out, and told as a fault', async () => {
    const later = async (_: unknown, status: number): Promise<Answer> => ({ status, body: 'late' })
    await using served = await Served.start({ errorPages: { default: later as never } })
    const faults = faultsOf(served)
    const answer = await served.ask(get())
    expect([answer.status, answer.body]).toEqual([404, '404 Not Found\n'])
    expect(faults).toEqual(['XPS_FAULT'])
    await served.settled()
  })
})

describe('A log that throws', () => {
  it('keeps no connection from closing or from its next request, and is told as a fault', async () => {
    await using backend = await Backend.start(() => ok('x'))
    await using served = await proxy(backend, {
      log: () => {
        throw new Error('disk full')
      },
    })
    const faults = faultsOf(served)
    const client = await served.dial()
    await client.send(get())
    expect((await client.response()).status).toBe(200)
    await client.send(get('/', 'Connection: close\r\n'))
    expect((await client.response()).header('connection')).toBe('close')
    await client.peer.over()
    client.peer.end()
    await served.settled()
    expect(faults).toEqual(['XPS_FAULT', 'XPS_FAULT'])
  })
})

describe('A method that a hook changed', () => {
  const exchanged: HttpOptions['hooks'] = {
    request: ({ request }) => {
      if (request.path === '/as-get') request.method = 'GET'
      if (request.path === '/as-head') request.method = 'HEAD'
    },
  }
  const head = 'HEAD /as-get HTTP/1.1\r\nHost: a\r\n\r\n'

  it('of HEAD into GET brings no body to a client that cannot expect one, from here', async () => {
    await using served = await Served.start({ routes: [{ reply: { status: 200, body: 'BODY' } }], hooks: exchanged })
    const client = await served.dial()
    await client.send(head + head + get())
    for (const method of ['HEAD', 'HEAD', 'GET']) {
      const answer = await client.response(method)
      // A body that was sent after all would stand before the next start line.
      expect([answer.start, answer.header('content-length')]).toEqual(['HTTP/1.1 200 OK', '4'])
      expect(answer.body).toBe(method === 'GET' ? 'BODY' : '')
    }
    client.peer.end()
    await served.settled()
    expect(client.peer.unread).toHaveLength(0)
  })

  it.each([4, 20_000])('of HEAD into GET brings none of the %i bytes of an upstream', async (length) => {
    await using backend = await Backend.start((request) => ok(request.method === 'GET' ? 'B'.repeat(length) : ''))
    await using served = await proxy(backend, { hooks: exchanged })
    const client = await served.dial()
    await client.send(head + get())
    for (const method of ['HEAD', 'GET']) {
      const answer = await client.response(method)
      expect([answer.start, answer.header('content-length')]).toEqual(['HTTP/1.1 200 OK', String(length)])
      expect(answer.body).toHaveLength(method === 'GET' ? length : 0)
    }
    expect(backend.requests.map(({ method }) => method)).toEqual(['GET', 'GET'])
    client.peer.end()
    await served.settled()
  })

  it('of GET into HEAD promises no body that the upstream does not send', async () => {
    await using backend = await Backend.start(({ method }) =>
      method === 'HEAD' ? 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n' : ok('body'),
    )
    await using served = await proxy(backend, { hooks: exchanged })
    const client = await served.dial()
    await client.send(get('/as-head') + get())
    const answer = await client.response()
    expect([answer.header('content-length'), answer.body]).toEqual(['0', ''])
    expect((await client.response()).body).toBe('body')
    client.peer.end()
    await served.settled()
  })
})
