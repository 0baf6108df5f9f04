import { describe, expect, it } from 'vitest'
import type { Field } from '../../support/hpack.ts'
import { request } from '../../support/http2-wire.ts'
import { Backend, client, ok, proxying } from './support.ts'

const same: Field[] = [
  ['user-agent', 'one'],
  ['cookie', 'a=b'],
  ['cookie', 'c=d'],
  ['x-forwarded-for', '10.0.0.1'],
]
const more = 'Server: up\r\nSet-Cookie: one=1\r\nSet-Cookie: two=2\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\n'

describe('Requests that say the same, one after the other on a connection of HTTP/2', () => {
  it('are passed on as each of them would be alone, also between those that a hook has edited', async () => {
    await using backend = await Backend.start(({ target }) => ok(target, more))
    await using served = await proxying(backend, {
      hooks: {
        request({ request: { target, headers } }) {
          if (target === '/edit') headers.set('User-Agent', 'edited').append('X-Only', 'here').delete('cookie')
        },
        responseSend({ request: { target }, response }) {
          if (target === '/edit') response?.headers.set('Server', 'edited').append('X-Only', 'here')
        },
      },
    })
    await using wire = await client(served)
    const targets = ['/1', '/edit', '/2', '/edit', '/3', '/long', '/4', '/edit', '/5', '/6']
    for (const [index, target] of targets.entries()) {
      const stream = 2 * index + 1
      wire.headers(stream, request('GET', target, same), { endStream: true })
      const edited = target === '/edit'
      const { head: fields = [], body } = await wire.response(stream)
      expect(body).toBe(target)
      expect(fields.filter(([name]) => !name.startsWith(':'))).toEqual([
        ['server', edited ? 'edited' : 'up'],
        ['set-cookie', 'one=1'],
        ['set-cookie', 'two=2'],
        ['date', 'Sat, 21 Nov 2026 12:00:00 GMT'],
        ...(edited ? [['x-only', 'here']] : []),
        ['via', '1.1 xps'],
        ['content-length', `${target.length}`],
      ])
      expect(backend.requests[index]?.fields).toEqual([
        ['host', 'a.test'],
        ['user-agent', edited ? 'edited' : 'one'],
        ...(edited ? [['X-Only', 'here']] : [['cookie', 'a=b; c=d']]),
        ['X-Forwarded-For', '127.0.0.1'],
        ['X-Forwarded-Host', 'a.test'],
        ['X-Forwarded-Proto', 'http'],
        ['Via', '2.0 xps'],
      ])
    }
    wire.end()
    await served.settled()
  })

  it('and then something else, are not taken for what came before', async () => {
    await using backend = await Backend.start(() => ok('pong'))
    await using served = await proxying(backend)
    await using wire = await client(served)
    const sent: [method: string, fields: Field[], authority?: string][] = [
      ...Array.from({ length: 3 }, () => ['GET', same] as [string, Field[]]),
      ['GET', [...same.slice(0, 3), ['x-forwarded-for', '10.0.0.2']]],
      ['GET', same],
      ['GET', same],
      ['GET', same, 'b.test'],
      ['HEAD', same],
      ['GET', [...same, ['x-more', 'yes']]],
      ['GET', same.slice(1)],
      ['GET', [...same, ['content-length', '0']]],
      ['GET', same],
    ]
    let stream = -1
    for (const [method, fields, authority = 'a.test'] of sent) {
      stream += 2
      const block = request(method, '/', fields).map(
        ([name, value]): Field => (name === ':authority' ? [name, authority] : [name, value]),
      )
      wire.headers(stream, block, { endStream: true })
      expect((await wire.response(stream)).status).toBe(200)
    }
    expect(
      backend.requests.map(({ method, fields }) => {
        const of = (wanted: string): string | undefined => fields.find(([name]) => name.toLowerCase() === wanted)?.[1]
        return [method, of('host'), of('user-agent'), of('cookie'), of('x-more')]
      }),
    ).toEqual(
      sent.map(([method, fields, authority = 'a.test']) => [
        method,
        authority,
        fields.find(([name]) => name === 'user-agent')?.[1],
        'a=b; c=d',
        fields.find(([name]) => name === 'x-more')?.[1],
      ]),
    )
    wire.end()
    await served.settled()
  })
})
