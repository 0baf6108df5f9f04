import { STATUS_CODES } from 'node:http'
import { describe, expect, test } from 'vitest'
import type { AccessEntry } from '../../../src/http/access-log.ts'
import { type HttpOptions, http } from '../../../src/http/http.ts'
import type { HttpRoute } from '../../../src/http/routes.ts'
import { ManualClock } from '../../../src/testing/index.ts'
import { closedPort, dial } from '../../support/net.ts'
import { Backend, gate, get, Served, until, Wire } from '../e2e/support.ts'
import { TunnelBackend } from './support.ts'

function connect(target: string, fields = ''): string {
  return `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${fields}\r\n`
}

/** A proxy that connects as the route says. */
function gateway(route: HttpRoute, options: HttpOptions = {}, core = {}): Promise<Served> {
  return Served.start({ routes: [route], ...options }, core)
}

/** The status that a request to connect is answered, on a connection of its own. */
async function statusOf(served: Served, request: string): Promise<number> {
  const client = await served.dial()
  await client.send(request)
  const { status, fields } = await client.response('HEAD')
  if (status >= 300) {
    expect(fields).toContainEqual(['connection', 'close'])
    expect(await client.peer.text()).toBe(`${status} ${STATUS_CODES[status]}\n`)
  }
  client.peer.end()
  return status
}

describe('CONNECT', () => {
  test('is refused where nobody has allowed it, also beside routes for everything', async () => {
    await using backend = await Backend.start()
    await using served = await Served.start({ routes: [{ upstream: backend.address }, { path: '/x', reply: 200 }] })
    expect(await statusOf(served, connect('example.test:443'))).toBe(405)
    expect(await statusOf(served, connect(backend.address))).toBe(405)
    expect(backend.accepted).toBe(0)
    expect(() => http({ routes: [{ connect: {} as never }] })).toThrow(/routes\[0\]\.connect\.allow must be/)
  })

  test('leads to an allowed target: 200, and then bytes both ways, with those that came early', async () => {
    const entries: AccessEntry[] = []
    await using backend = await TunnelBackend.start()
    await using served = await gateway(
      { connect: { allow: [backend.address] } },
      { log: (entry) => entries.push(entry) },
    )
    const client = await dial(served.port)
    await client.write(`${connect(backend.address)}early`)
    const far = await backend.accept()
    const head = await client.read('\r\n\r\n')
    expect(head).toMatch(/^HTTP\/1\.1 200 Connection Established\r\n/)
    expect(head).not.toMatch(/content-length|transfer-encoding|connection:/i)
    expect(await far.read(5)).toBe('early')
    await far.write('answer')
    expect(await client.read(6)).toBe('answer')
    expect(served.http.stats().tunnels).toBe(1)
    client.end('the end')
    expect(await far.text()).toBe('the end')
    far.end('of both')
    expect(await client.text()).toBe('of both')
    await served.settled()
    expect(entries).toMatchObject([
      { method: 'CONNECT', target: backend.address, status: 200, bytes: 13, bytesIn: 12, upstream: backend.address },
    ])
  })

  test('stands beside other routes, which it does not hide and which do not hide it', async () => {
    await using backend = await TunnelBackend.start()
    await using served = await Served.start({
      routes: [
        { host: '127.0.0.1', reply: { status: 200, body: 'site' } },
        { connect: { allow: [`*:${backend.port}`], inside: ['loopback'] } },
      ],
    })
    expect((await served.ask(get().replace('a.test', '127.0.0.1'))).body).toBe('site')
    expect(await statusOf(served, connect(backend.address))).toBe(200)
    expect((await served.ask(get())).status).toBe(405) // Of the other, which is for CONNECT.
  })

  test.each([
    ['no port', 'CONNECT example.test HTTP/1.1\r\nHost: example.test\r\n\r\n'],
    ['port 0', connect('example.test:0')],
    ['a port that is too high', connect('example.test:65536')],
    ['no host', connect(':443')],
    ['a path', 'CONNECT / HTTP/1.1\r\nHost: a.test\r\n\r\n'],
    ['a URL', 'CONNECT http://example.test:80/ HTTP/1.1\r\nHost: example.test:80\r\n\r\n'],
    ['a name and password', connect('me@example.test:443')],
    ['an escape', connect('example%2etest:443')],
    ['a body', connect('example.test:443', 'Content-Length: 3\r\n')],
    ['another Host', 'CONNECT example.test:443 HTTP/1.1\r\nHost: other.test:443\r\n\r\n'],
  ])('with %s is answered 400', async (_, request) => {
    await using served = await gateway({ connect: { allow: ['*:*'] } })
    expect(await statusOf(served, request)).toBe(400)
  })

  test.each([
    ['another port', ['example.test:443'], 'example.test:444'],
    ['another name', ['example.test:443'], 'example.org:443'],
    ['the name itself where those below it are allowed', ['*.example.test:443'], 'example.test:443'],
    ['a name that only ends so', ['*.example.test:443'], 'notexample.test:443'],
    ['nothing allowed', [], 'example.test:443'],
    ['this machine, under any port', ['*:*'], '127.0.0.1:80'],
    ['this machine in IPv6', ['*:*'], '[::1]:80'],
    ['this machine as IPv4 in IPv6', ['*:*'], '[::ffff:127.0.0.1]:80'],
    ['no address', ['*:*'], '0.0.0.0:80'],
    ['the address of metadata', ['*:*'], '169.254.169.254:80'],
    ['a neighbour', ['*:*'], '10.1.2.3:80'],
    ['a neighbour in IPv6', ['*:*'], '[fd00::1]:80'],
    ['IPv4 behind NAT64', ['*:*'], '[64:ff9b::7f00:1]:80'],
    ['a name for this machine', ['*:*'], 'localhost:80'],
    ['a number that is this machine', ['*:*'], '2130706433:80'],
    ['a short form of this machine', ['*:*'], '127.1:80'],
  ])('to what is not allowed is answered 403 and dials nobody: %s', async (_, allow, target) => {
    const resolve = (host: string): Promise<string[]> =>
      Promise.resolve(['localhost', '2130706433', '127.1'].includes(host) ? ['127.0.0.1', '::1'] : ['203.0.113.7'])
    await using served = await gateway({ connect: { allow, resolve } })
    expect(await statusOf(served, connect(target))).toBe(403)
  })

  test('goes by what a name resolves to, and dials just that', async () => {
    await using backend = await TunnelBackend.start()
    const asked: string[] = []
    let addresses = ['127.0.0.1', '10.0.0.1']
    const route = {
      connect: {
        allow: [`*.internal:${backend.port}`],
        inside: ['127.0.0.0/8'],
        resolve: (host: string) => {
          asked.push(host)
          return Promise.resolve(addresses)
        },
      },
    }
    await using served = await gateway(route)
    expect(await statusOf(served, connect(`DB.internal.:${backend.port}`))).toBe(200)
    expect(asked).toEqual(['db.internal'])
    addresses = ['10.0.0.1', 'rubbish', '::1']
    expect(await statusOf(served, connect(`db.internal:${backend.port}`))).toBe(403)
    addresses = []
    expect(await statusOf(served, connect(`db.internal:${backend.port}`))).toBe(403)
  })

  test('asks a function, and waits for it', async () => {
    await using backend = await TunnelBackend.start()
    await using served = await gateway({
      connect: {
        allow: async ({ host, port }, { request }) => {
          await Promise.resolve()
          if (host === 'fails.test') throw new Error('no idea')
          return port === backend.port && request.headers.get('proxy-authorization') === 'Basic eDp5'
        },
        inside: ['loopback'],
      },
    })
    expect(await statusOf(served, connect(backend.address))).toBe(403)
    expect(await statusOf(served, connect(backend.address, 'Proxy-Authorization: Basic eDp5\r\n'))).toBe(200)
    expect(await statusOf(served, connect('fails.test:1'))).toBe(500)
  })

  test('may be asked for a password by a hook, and closes the connection when it is refused', async () => {
    await using backend = await TunnelBackend.start()
    await using served = await gateway(
      { connect: { allow: [backend.address] } },
      {
        hooks: {
          request(transaction) {
            if (transaction.upgrade !== 'connect' || transaction.request.headers.has('proxy-authorization')) return
            transaction.reply({ status: 407, headers: { 'proxy-authenticate': 'Basic realm="x"' } })
          },
        },
      },
    )
    const client = await served.dial()
    await client.send(connect(backend.address) + connect(backend.address, 'Proxy-Authorization: Basic eDp5\r\n'))
    const answer = await client.response()
    expect([answer.status, answer.header('proxy-authenticate'), answer.header('connection')]).toEqual([
      407,
      'Basic realm="x"',
      'close',
    ])
    expect(await client.peer.text()).toBe('')
    expect(await statusOf(served, connect(backend.address, 'Proxy-Authorization: Basic eDp5\r\n'))).toBe(200)
    expect(backend.accepted).toBe(1)
  })

  test('is answered 502 if nobody is there or there is no such name, 504 if it takes too long', async () => {
    const port = await closedPort()
    const clock = new ManualClock()
    const looking = gate()
    await using served = await gateway(
      {
        connect: {
          allow: ['*:*'],
          inside: ['loopback'],
          resolve: (host) => {
            if (host === 'nowhere.test') return Promise.reject(new Error('ENOTFOUND'))
            looking.open()
            return new Promise(() => {})
          },
        },
      },
      {},
      { clock },
    )
    expect(await statusOf(served, connect(`127.0.0.1:${port}`))).toBe(502)
    expect(await statusOf(served, connect('nowhere.test:1'))).toBe(502)
    const client = new Wire(await dial(served.port))
    await client.send(connect('slow.test:1'))
    await looking.promise
    await until(() => {
      clock.advance(1_000)
      expect(client.peer.unread.length).toBeGreaterThan(0)
    })
    expect((await client.response()).status).toBe(504)
    client.peer.end()
    await served.settled()
  })

  test('lets go of what it dials when its client leaves', async () => {
    const looking = gate()
    let found: (addresses: string[]) => void = () => {}
    await using backend = await TunnelBackend.start()
    await using served = await gateway({
      connect: {
        allow: ['*:*'],
        inside: ['loopback'],
        resolve: () => {
          looking.open()
          return new Promise((resolve) => {
            found = resolve
          })
        },
      },
    })
    const client = await dial(served.port)
    await client.write(connect(`a.test:${backend.port}`))
    await looking.promise
    client.reset()
    await served.settled()
    found(['127.0.0.1'])
    await until(() => expect(served.http.stats()).toMatchObject({ tunnels: 0, transactions: 0, sessions: 0 }))
    expect(backend.accepted).toBe(0)
  })

  test('goes where a hook sends it', async () => {
    await using backend = await TunnelBackend.start()
    await using served = await gateway(
      { connect: { allow: ['*:*'] } },
      { hooks: { upstream: (transaction) => void (transaction.upstream = backend.address) } },
    )
    expect(await statusOf(served, connect('example.test:443'))).toBe(200)
    expect(backend.accepted).toBe(1)
  })

  test.each([
    [{ allow: ['example.test'] }, 'allow'],
    [{ allow: ['example.test:0'] }, 'allow'],
    [{ allow: ['exa*mple.test:1'] }, 'allow'],
    [{ allow: 'example.test:443' }, 'allow'],
    [{ allow: [], inside: ['here'] }, 'inside'],
    [{ allow: [], resolve: 'dns' }, 'resolve'],
    [{ allow: [], connectTimeout: 0 }, 'connectTimeout'],
    [{ allow: [], other: 1 }, 'connect'],
  ])('with options that cannot be is refused at start: %o', (options, name) => {
    expect(() => http({ routes: [{ connect: options as never }] })).toThrow(
      new RegExp(`^routes\\[0\\]\\.connect.*${name}|^routes\\[0\\]\\.${name} must be`),
    )
  })
})
