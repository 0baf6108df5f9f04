import { describe, expect, it } from 'vitest'
import { Backend, get, ok, proxy, until } from './support.ts'

const same = 'User-Agent: one\r\nCookie: a=b\r\nX-Forwarded-For: 10.0.0.1\r\n'
const more = 'Server: up\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\n'

describe('Requests that say the same, one after the other on a connection, through a proxy', () => {
  it('are passed on as each of them would be alone, also between those that a hook has edited', async () => {
    await using backend = await Backend.start((request) => ok(request.target, more))
    await using served = await proxy(backend, {
      hooks: {
        request({ request }) {
          if (request.target !== '/edit') return
          request.headers.set('User-Agent', 'edited').append('X-Only', 'here').delete('cookie')
        },
        responseSend({ request, response }) {
          if (request.target === '/edit') response?.headers.set('Server', 'edited').append('X-Only', 'here')
        },
      },
    })
    const client = await served.dial()
    const targets = ['/1', '/2', '/3', '/edit', '/4', '/edit', '/5', '/6']
    // Those behind the first are read from one chunk, the last ones each from its own.
    await client.send(targets.map((target) => get(target, same)).join(''))
    const answers = []
    for (const _ of targets) answers.push(await client.response())
    for (const target of ['/7', '/edit', '/8']) {
      targets.push(target)
      await client.send(get(target, same))
      answers.push(await client.response())
    }
    expect(backend.requests.map(({ target }) => target)).toEqual(targets)
    for (const [index, target] of targets.entries()) {
      const { fields } = backend.requests[index] ?? { fields: [] }
      const { fields: got, body } = answers[index] ?? { fields: [] }
      const edited = target === '/edit'
      expect(fields).toEqual([
        ['Host', 'a.test'],
        ['User-Agent', edited ? 'edited' : 'one'],
        ...(edited ? [['X-Only', 'here']] : [['Cookie', 'a=b']]),
        ['X-Forwarded-For', '127.0.0.1'],
        ['X-Forwarded-Host', 'a.test'],
        ['X-Forwarded-Proto', 'http'],
        ['Via', '1.1 xps'],
      ])
      expect(body).toBe(target)
      expect(got).toEqual([
        ['Server', edited ? 'edited' : 'up'],
        ['Date', 'Sat, 21 Nov 2026 12:00:00 GMT'],
        ...(edited ? [['X-Only', 'here']] : []),
        ['Via', '1.1 xps'],
        ['content-length', String(target.length)],
      ])
    }
    client.peer.end()
    await served.settled()
  })

  it('get responses with the status that each has, and what is said of its connection', async () => {
    await using backend = await Backend.start(() => ok('pong', more))
    await using served = await proxy(backend, {
      hooks: {
        responseSend({ request, response }) {
          if (request.target === '/404' && response !== undefined) response.status = 404
        },
      },
    })
    const fields = (connection?: string): string[][] => [
      ['Server', 'up'],
      ['Date', 'Sat, 21 Nov 2026 12:00:00 GMT'],
      ['Via', '1.1 xps'],
      ['content-length', '4'],
      ...(connection === undefined ? [] : [['connection', connection]]),
    ]
    const client = await served.dial()
    for (const target of ['/1', '/2', '/3', '/404', '/4', '/404', '/5']) {
      await client.send(get(target, same))
      const answer = await client.response()
      expect(answer.status).toBe(target === '/404' ? 404 : 200)
      expect(answer.fields).toEqual(fields())
      expect(answer.body).toBe('pong')
    }
    for (const [version, wanted, said] of [
      ['1.0', 'keep-alive', 'keep-alive'],
      ['1.1', 'close', 'close'],
    ] as const) {
      const other = await served.dial()
      await other.send(get('/', `Connection: ${wanted}\r\n`).replace('HTTP/1.1', `HTTP/${version}`))
      expect((await other.response()).fields).toEqual(fields(said))
      other.peer.end()
    }
    await client.send(get('/6', same))
    expect((await client.response()).fields).toEqual(fields())
    expect(backend.accepted).toBe(1)
    client.peer.end()
    await served.settled()
  })

  it('are not taken for those of another client on the same upstream connection', async () => {
    await using backend = await Backend.start(() => ok('pong', more))
    await using served = await proxy(backend)
    const clients = [await served.dial(), await served.dial()]
    for (let round = 0; round < 4; round++) {
      for (const [index, client] of clients.entries()) {
        await client.send(get(`/${index}`, `Cookie: client=${index}\r\n`))
        expect((await client.response()).body).toBe('pong')
      }
    }
    expect(backend.accepted).toBe(1)
    for (const { target, fields } of backend.requests) {
      expect(fields).toContainEqual(['Cookie', `client=${target.slice(1)}`])
    }
    for (const { peer } of clients) peer.end()
    await until(() => expect(served.http.stats().sessions).toBe(0))
  })

  it('lead to the same refusal as a first one when what is before the fields is wrong', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend)
    for (const [start, status] of [
      ['GET http://other.test/ HTTP/1.1', 400],
      ['GET /#fragment HTTP/1.1', 400],
      ['GET / HTTP/3.0', 505],
    ] as const) {
      const client = await served.dial()
      for (let count = 0; count < 3; count++) {
        await client.send(get('/', same))
        expect((await client.response()).status).toBe(200)
      }
      await client.send(get('/', same).replace('GET / HTTP/1.1', start))
      expect((await client.response()).status).toBe(status)
      await client.peer.over()
    }
    expect(backend.requests.length).toBe(9)
  })
})
