import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { AccessEntry } from '../../../src/http/access-log.ts'
import type { HttpRoute } from '../../../src/http/routes.ts'
import type { TestPeer } from '../../../src/testing/index.ts'
import { binary, hex, tlv } from '../../core/proxy-protocol/headers.ts'
import { startHaproxy } from '../../support/haproxy.ts'
import { closedPort, TestServer } from '../../support/net.ts'
import { startNginx } from '../../support/nginx.ts'
import { Backend, get, ok, proxy, Served, until, Wire } from './support.ts'

const folder = mkdtempSync(join(tmpdir(), 'xps-proxy-'))
afterAll(() => rmSync(folder, { recursive: true }))

const trusted = { proxyProtocol: { trusted: ['loopback'] } }
const line = (host: string, port = 56324): string => `PROXY TCP4 ${host} 198.51.100.2 ${port} 443\r\n`

describe('HTTP behind a proxy that says who its client is', () => {
  it('tells the server behind, the log and the routes of the client, and not of the proxy', async () => {
    await using backend = await Backend.start()
    const entries: AccessEntry[] = []
    const routes: HttpRoute[] = [
      { path: '/friends', upstream: backend.address, allow: ['192.0.2.1'] },
      { upstream: backend.address, forwarded: 'append', forwardedPort: true },
    ]
    await using served = await Served.start({ routes, log: (entry) => entries.push(entry) }, {}, trusted)
    const client = await served.dial()
    await client.send(line('192.0.2.1') + get('/'))
    expect((await client.response()).status).toBe(200)
    const [request] = backend.requests
    expect(request?.header('x-forwarded-for')).toBe('192.0.2.1')
    expect(request?.header('x-forwarded-proto')).toBe('http')
    expect(request?.header('forwarded')).toContain('for="192.0.2.1:56324"')
    await client.send(get('/friends'))
    expect((await client.response()).status).toBe(200)
    const stranger = await served.dial()
    await stranger.send(line('192.0.2.2') + get('/friends'))
    expect((await stranger.response()).status).toBe(403)
    expect(entries.map((entry) => entry.client)).toEqual(['192.0.2.1', '192.0.2.1', '192.0.2.2'])
    client.peer.end()
    stranger.peer.end()
  })

  it('takes the client to be secure if it speaks TLS with the proxy', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend, {}, {}, trusted)
    const client = await served.dial()
    const header = binary('2111', `c0000201 c6336402 dc04 01bb ${tlv('20', hex(`0100000001${tlv('21', 'TLSv1.3')}`))}`)
    await client.send(header)
    await client.send(get('/'))
    expect((await client.response()).status).toBe(200)
    expect(backend.requests[0]?.header('x-forwarded-proto')).toBe('https')
    client.peer.end()
  })

  it('answers 400 to a header of whom it does not trust, and leaves the proxy uncounted that it trusts', async () => {
    await using backend = await Backend.start()
    await using served = await proxy(backend, {}, {}, { proxyProtocol: { trusted: ['10.0.0.0/8'] } })
    expect((await served.ask(line('192.0.2.1') + get('/'))).status).toBe(400)
    expect(backend.requests).toEqual([])
  })
})

/** Connections that a server gets, each with the header that it begins with. */
async function introductions() {
  const told: string[] = []
  const serve = async (peer: TestPeer): Promise<void> => {
    const wire = new Wire(peer)
    try {
      const header = (await peer.read('\r\n')).trim()
      for (;;) {
        const request = await wire.request()
        told.push(`${header} ${request.target}`)
        if (request.target === '/hold') continue
        await wire.send(ok(request.target))
      }
    } catch {
      peer.end()
    }
  }
  const server = await TestServer.start((peer) => void serve(peer))
  return { server, told, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

describe('An HTTP route whose upstream is told who the client is', () => {
  it('has connections for each client: none carries the requests of two', async () => {
    await using backend = await introductions()
    await using served = await Served.start(
      { routes: [{ upstream: backend.server.address, proxyProtocol: 1 }] },
      {},
      trusted,
    )
    const clients = await Promise.all(
      ['192.0.2.1', '192.0.2.2', '192.0.2.1'].map(async (host, index) => {
        const client = await served.dial()
        await client.send(line(host, 1000 + index))
        return client
      }),
    )
    for (let round = 0; round < 3; round++) {
      for (const [index, client] of clients.entries()) {
        await client.send(get(`/${index}`))
        expect((await client.response()).body).toBe(`/${index}`)
      }
    }
    const expected = ['192.0.2.1', '192.0.2.2', '192.0.2.1'].map(
      (host, index) => `PROXY TCP4 ${host} 198.51.100.2 ${1000 + index} 443 /${index}`,
    )
    expect(backend.told).toEqual([...expected, ...expected, ...expected])
    expect(backend.server.accepted).toBe(3)
    const key = backend.server.address
    expect(served.http.stats().upstreams[key]).toEqual({ connections: 3, idle: 3, queued: 0 })
    clients[0]?.peer.end()
    await until(() => expect(backend.server.sockets.size).toBe(2))
    expect(served.http.stats().upstreams[key]).toMatchObject({ connections: 2 })
    for (const client of clients.slice(1)) client.peer.reset()
    await until(() => expect(backend.server.sockets.size).toBe(0))
    await served.settled()
  })

  it('ends the connection of a client that leaves while it waits for its answer', async () => {
    await using backend = await introductions()
    await using served = await Served.start({ routes: [{ upstream: backend.server.address, proxyProtocol: 1 }] })
    const client = await served.dial()
    await client.send(get('/hold'))
    await until(() => expect(backend.told).toHaveLength(1))
    client.peer.reset()
    await until(() => expect(backend.server.sockets.size).toBe(0))
    await served.settled()
  })

  it('has no more connections than it may: one without work makes room, and with work in all it answers 503', async () => {
    await using backend = await introductions()
    const route = { upstream: backend.server.address, proxyProtocol: 1, maxConnections: 2 } as const
    await using served = await Served.start({ routes: [route] })
    const [first, second, third, fourth] = (await Promise.all([1, 2, 3, 4].map(() => served.dial()))) as [
      Wire,
      Wire,
      Wire,
      Wire,
    ]
    for (const client of [first, second]) {
      await client.send(get('/'))
      expect((await client.response()).status).toBe(200)
    }
    await third.send(get('/hold'))
    await until(() => expect(backend.told).toHaveLength(3))
    await until(() => expect(backend.server.sockets.size).toBe(2))
    await second.send(get('/hold'))
    await until(() => expect(backend.told).toHaveLength(4))
    await fourth.send(get('/'))
    expect((await fourth.response()).status).toBe(503)
    expect(backend.server.accepted).toBe(3)
    for (const client of [first, second, third, fourth]) client.peer.reset()
    await served.settled()
  })

  it('turns to another address for a while if one cannot be connected to', async () => {
    await using backend = await introductions()
    const refusing = `127.0.0.1:${await closedPort()}`
    const route = { upstream: [refusing, backend.server.address], proxyProtocol: 1 } as const
    await using served = await Served.start({ routes: [route] })
    for (let count = 0; count < 4; count++)
      expect((await served.ask(get('/', 'Connection: close\r\n'))).status).toBe(200)
    expect(served.http.stats().upstreams[refusing]).toEqual({ connections: 0, idle: 0, queued: 0 })
  })

  it.each([1, 2] as const)('is understood by nginx and HAProxy, in version %i', async (proxyProtocol) => {
    const said = '$proxy_protocol_addr $proxy_protocol_port'
    await using nginx = await startNginx(
      folder,
      (port) => `server { listen 127.0.0.1:${port} proxy_protocol; location / { return 200 "${said}"; } }`,
    )
    await using haproxy = await startHaproxy(
      folder,
      (port) => `frontend it\nbind 127.0.0.1:${port} accept-proxy\nmode http
        http-request return status 200 content-type text/plain lf-string "%[src] %[src_port]"`,
    )
    for (const { address } of [nginx, haproxy]) {
      await using served = await Served.start({ routes: [{ upstream: address, proxyProtocol }] }, {}, trusted)
      const clients = await Promise.all([served.dial(), served.dial()])
      for (const [index, client] of clients.entries()) await client.send(line('192.0.2.1', 4000 + index))
      for (let round = 0; round < 2; round++) {
        for (const [index, client] of clients.entries()) {
          await client.send(get('/'))
          expect((await client.response()).body).toBe(`192.0.2.1 ${4000 + index}`)
        }
      }
      for (const client of clients) client.peer.end()
    }
  })

  it.each([3, { version: 1, checksum: true }, { version: 2, check: true }])('refuses the version %o', async (given) => {
    const routes = [{ upstream: '127.0.0.1:1', proxyProtocol: given as never }]
    await expect(Served.start({ routes })).rejects.toMatchObject({ code: 'XPS_INVALID_OPTION' })
  })
})
