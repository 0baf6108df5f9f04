import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:tls'
import { afterAll, describe, expect, it } from 'vitest'
import { http } from '../../src/http/index.ts'
import { type Connection, Upstream, type UpstreamOptions } from '../../src/index.ts'
import { TestAuthority } from '../support/certificates.ts'
import { dial, TestServer, withCore } from '../support/net.ts'

const authority = new TestAuthority()
const certificate = authority.issue('localhost', '127.0.0.1')
afterAll(() => authority[Symbol.dispose]())

/** Says who has come, and ends. */
const says = (): Promise<TestServer> => TestServer.start((peer, socket) => void peer.end(socket.remoteAddress))

/** Where a connection to the upstream comes from, as it sees it itself. */
async function from(where: string, options: UpstreamOptions): Promise<string | undefined> {
  const connection = new Upstream(where, options).connect()
  const opened = new Promise<void>((resolve) => connection.once('open', () => resolve()))
  expect(await Promise.race([opened, connection.closed])).toBe(undefined)
  const { localAddress } = connection
  connection.abort()
  await connection.closed
  return localAddress
}

function failure(upstream: Upstream): Promise<Connection['error']> {
  return upstream.connect().closed
}

describe('Upstream', () => {
  it('is dialled from the address that it is told, by its number and by its name', async () => {
    await using server = await says()
    for (const host of ['127.0.0.1', 'localhost']) {
      expect(await from(`${host}:${server.port}`, { localAddress: '127.0.0.2' })).toBe('127.0.0.2')
    }
    expect(await from(server.address, {})).toBe('127.0.0.1')
    await using core = withCore()
    const { port } = await core.listen({
      port: 0,
      host: '127.0.0.1',
      route: { upstream: server.address, localAddress: '127.0.0.3' },
    })
    expect(await (await dial(port)).text()).toBe('127.0.0.3')
  })

  it('of an HTTP route is dialled from the address that the route tells, which shares no connections with others', async () => {
    const from: string[] = []
    const backend = createServer((request, response) => {
      from.push(request.socket.remoteAddress ?? '')
      response.end()
    })
    await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve))
    const upstream = `127.0.0.1:${(backend.address() as { port: number }).port}`
    try {
      await using core = withCore()
      const protocol = http({ routes: [{ path: '/a', upstream, localAddress: '127.0.0.2' }, { upstream }] })
      const { port } = await core.listen({ port: 0, host: '127.0.0.1', protocol })
      for (const path of ['a', 'b', 'a']) await (await fetch(`http://127.0.0.1:${port}/${path}`)).text()
      expect(from).toEqual(['127.0.0.2', '127.0.0.1', '127.0.0.2'])
    } finally {
      backend.closeAllConnections()
      backend.close()
    }
    expect(() => http({ routes: [{ upstream, localAddress: 'x' }] })).toThrow(
      /^routes\[0\]: upstream.localAddress must be/,
    )
  })

  it('is dialled from there over TLS too, and with a PROXY header before it', async () => {
    const server = createTlsServer(certificate.pem, (socket) => socket.end())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const tls = { ca: authority.ca.pem.cert }
    try {
      expect(await from(`localhost:${port}`, { tls, localAddress: '127.0.0.2' })).toBe('127.0.0.2')
    } finally {
      server.close()
    }
    await using plain = await TestServer.start()
    const connection = new Upstream(plain.address, { localAddress: '127.0.0.2', proxyProtocol: 1 }).connect()
    expect(await (await plain.accept()).read('\r\n')).toMatch(/^PROXY TCP4 127\.0\.0\.2 127\.0\.0\.1 /)
    connection.abort()
    await connection.closed
  })

  it('cannot be dialled from an address that is of no use for it, and says which error that was', async () => {
    await using server = await says()
    const [elsewhere, other] = ['192.0.2.1', '::1']
    for (const [localAddress, code] of [
      [elsewhere, 'EADDRNOTAVAIL'],
      [other, 'EINVAL'],
    ] as const) {
      expect(await failure(new Upstream(server.address, { localAddress }))).toMatchObject({
        code: 'XPS_CONNECT',
        message: expect.stringContaining(code),
      })
    }
    for (const localAddress of ['nowhere', '', '127.0.0.1:80', 7]) {
      expect(() => new Upstream(server.address, { localAddress: localAddress as string })).toThrow(
        /^upstream\.localAddress must be an address of this machine such as '10\.0\.0\.5', got /,
      )
    }
  })
})
