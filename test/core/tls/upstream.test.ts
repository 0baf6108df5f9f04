import { createPrivateKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { createServer, type Server, type TlsOptions } from 'node:tls'
import { afterAll, describe, expect, it } from 'vitest'
import { type Connection, Upstream, type UpstreamOptions, type UpstreamTlsOptions } from '../../../src/index.ts'
import { memoryConnections } from '../../../src/testing/in-memory.ts'
import { TestAuthority } from '../../support/certificates.ts'
import { dial, TestServer, withCore } from '../../support/net.ts'

const authority = new TestAuthority()
const named = authority.issue('localhost')
const numbered = authority.issue('127.0.0.1')
const client = authority.issue('xps')
afterAll(() => authority[Symbol.dispose]())
const ca = authority.ca.pem.cert

/** A TLS server of Node's that echoes, and says first what it knows of the client. */
async function echoing(options: TlsOptions) {
  const server: Server = createServer({ allowHalfOpen: true, ...options } as TlsOptions, (socket) => {
    const { alpnProtocol, servername, authorized } = socket as typeof socket & { servername: string }
    const reused = socket.isSessionReused()
    socket.write(`${JSON.stringify({ alpn: alpnProtocol, servername, authorized, reused })}\n`)
    socket.on('error', () => {})
    socket.pipe(socket)
  })
  const sockets: Socket[] = []
  server.on('connection', (socket) => sockets.push(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  return {
    port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** What a relay to it answers, and what the server said of the client. */
async function relayed(upstream: string, options: UpstreamOptions): Promise<{ said: object; text: string }> {
  await using core = withCore()
  const listener = await core.listen({
    port: 0,
    host: '127.0.0.1',
    route: { upstream: new Upstream(upstream, options) },
  })
  const peer = await dial(listener.port)
  const said = JSON.parse(await peer.read('\n')) as object
  void peer.write('hello '.repeat(100_000))
  peer.end()
  return { said, text: await peer.text() }
}

/** Resolves to the error that connecting ends with. */
function failure(upstream: Upstream): Promise<Connection['error']> {
  return upstream.connect().closed
}

describe('An upstream with TLS', () => {
  it('is shown a certificate that is in one file with its key (PKCS #12), by its path or its bytes', async () => {
    await using server = await echoing({ ...named.pem, requestCert: true, ca })
    for (const passphrase of ['', 'a passphrase']) {
      const pfx = authority.bundle(client, passphrase)
      for (const given of [pfx, readFileSync(pfx)]) {
        const tls = { ca, pfx: given, ...(passphrase === '' ? {} : { passphrase }) }
        const { said } = await relayed(`localhost:${server.port}`, { tls })
        expect(said).toMatchObject({ authorized: true })
      }
    }
    const locked = authority.bundle(client, 'a passphrase')
    for (const [tls, message] of [
      [{ pfx: locked }, /upstream\.tls must be certificates that can be used/],
      [{ pfx: locked, passphrase: 'another' }, /certificates that can be used/],
      [{ pfx: '/no/such/file.p12' }, /upstream\.tls\.pfx must be a file that can be read \(ENOENT\)/],
      [{ pfx: 7 }, /upstream\.tls\.pfx must be a path, or bytes, got 7/],
      [{ pfx: locked, ...client.pem }, /upstream\.tls must be with cert and key, or with pfx, got 'both'/],
      [{ pfx: locked, key: client.pem.key }, /upstream\.tls must be with/],
    ] as [object, RegExp][]) {
      expect(() => new Upstream('localhost:1', { tls })).toThrow(message)
    }
  })

  it('is dialled by tls:// or an option, and its bytes are moved both ways', async () => {
    await using server = await echoing(named.pem)
    const tls = { ca }
    for (const address of [`localhost:${server.port}`, `tls://localhost:${server.port}`]) {
      const { said, text } = await relayed(address, { tls })
      expect(text).toBe('hello '.repeat(100_000))
      expect(said).toMatchObject({ servername: 'localhost', alpn: false, authorized: false })
    }
  })

  it('by its number has a certificate for that number, and no name is asked for', async () => {
    await using server = await echoing(numbered.pem)
    const { said } = await relayed(`127.0.0.1:${server.port}`, { tls: { ca } })
    expect(said).toMatchObject({ servername: false })
  })

  it.each<[string, UpstreamTlsOptions, string]>([
    ['an authority that nobody knows', {}, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    ['another name', { ca, servername: 'other.test' }, 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ])('is not trusted with %s, unless it need not be', async (_, tls, code) => {
    await using server = await echoing(named.pem)
    const error = await failure(new Upstream(`localhost:${server.port}`, { tls }))
    expect(error).toMatchObject({ code: 'XPS_TLS', origin: 'upstream', retryable: true })
    expect(error?.message).toContain(code)
    expect((await relayed(`localhost:${server.port}`, { tls: { ...tls, verify: false } })).text).toHaveLength(600_000)
  })

  it('is spoken to in the versions and ciphers that it is told to, and in no others', async () => {
    await using server = await echoing({ ...named.pem, maxVersion: 'TLSv1.2' })
    const cipher = 'ECDHE-ECDSA-AES128-GCM-SHA256'
    const to = (tls: UpstreamTlsOptions): Upstream => new Upstream(`localhost:${server.port}`, { tls: { ca, ...tls } })
    const connection = to({ ciphers: cipher }).connect()
    await new Promise<void>((resolve) => connection.on('open', resolve))
    expect(connection.tls).toMatchObject({ version: 'TLSv1.2', cipher: 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256' })
    connection.abort()
    await connection.closed
    expect(await failure(to({ minVersion: 'TLSv1.3' }))).toMatchObject({ code: 'XPS_TLS', origin: 'upstream' })
    await using young = await echoing({ ...named.pem, minVersion: 'TLSv1.3' })
    const old = new Upstream(`localhost:${young.port}`, { tls: { ca, maxVersion: 'TLSv1.2' } })
    expect(await failure(old)).toMatchObject({ code: 'XPS_TLS', origin: 'upstream' })
  })

  it('gets our certificate also if a passphrase protects its key', async () => {
    await using server = await echoing({ ...named.pem, ca, requestCert: true, rejectUnauthorized: true })
    const secret = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open' } as const
    const key = createPrivateKey(client.pem.key).export(secret) as string
    const tls = { ca, cert: client.pem.cert, key, passphrase: 'open' }
    expect((await relayed(`localhost:${server.port}`, { tls })).said).toMatchObject({ authorized: true })
    expect(() => new Upstream('localhost:1', { tls: { ...tls, passphrase: 'closed' } })).toThrow(
      /^upstream.tls must be/,
    )
  })

  it('that speaks no TLS is told as that', async () => {
    await using plain = await TestServer.start((peer) => void peer.write('220 hello\r\n'))
    const error = await failure(new Upstream(`localhost:${plain.port}`, { tls: { ca } }))
    expect(error).toMatchObject({ code: 'XPS_TLS', origin: 'upstream' })
  })

  it('gets our certificate if it asks for one', async () => {
    await using server = await echoing({ ...named.pem, ca, requestCert: true, rejectUnauthorized: true })
    const { said } = await relayed(`localhost:${server.port}`, { tls: { ca, ...client.pem } })
    expect(said).toMatchObject({ authorized: true })
  })

  it('is offered protocols, and what it chose is known', async () => {
    await using server = await echoing({ ...named.pem, ALPNProtocols: ['b', 'a'] })
    const { said } = await relayed(`localhost:${server.port}`, { tls: { ca, alpn: ['a', 'b'] } })
    expect(said).toMatchObject({ alpn: 'b' })
    const connection = new Upstream(`localhost:${server.port}`, { tls: { ca } }).connect({ alpn: ['a'] })
    await new Promise<void>((resolve) => connection.on('open', resolve))
    expect(connection.tls).toMatchObject({ alpn: 'a', authorized: true, version: 'TLSv1.3' })
    const socket = connection.takeSocket()
    socket.resume()
    expect(String(await new Promise((resolve) => socket.once('data', resolve)))).toContain('"alpn":"a"')
    connection.abort()
    await connection.closed
  })

  it('is dialled again with the session of the time before', async () => {
    await using server = await echoing(named.pem)
    await using core = withCore()
    const route = { upstream: new Upstream(`localhost:${server.port}`, { tls: { ca } }) }
    const listener = await core.listen({ port: 0, host: '127.0.0.1', route })
    const reused: boolean[] = []
    for (let round = 0; round < 3; round++) {
      const peer = await dial(listener.port)
      reused.push((JSON.parse(await peer.read('\n')) as { reused: boolean }).reused)
      peer.end()
      await peer.over()
    }
    expect(reused).toEqual([false, true, true])
  })

  it('can be a server of this process', async () => {
    const server = createServer({ ...named.pem }, (socket) => socket.end('in here'))
    await using core = withCore()
    const route = { upstream: new Upstream(server, { tls: { ca } }) }
    const listener = await core.listen({ port: 0, host: '127.0.0.1', route })
    const peer = await dial(listener.port)
    expect(await peer.text()).toBe('in here')
    peer.end()
  })

  it.each<[UpstreamOptions['tls'], RegExp]>([
    [{ cert: client.pem.cert }, /upstream.tls must be without cert and key, or with both/],
    [{ servername: '127.0.0.1' }, /upstream.tls.servername must be the name of a host/],
    [{ verify: 'no' as never }, /upstream.tls.verify/],
    [{ rejectUnauthorized: false } as never, /upstream.tls must be made of/],
    [{ ca: '/nowhere.pem' }, /upstream.tls.ca must be a file that can be read/],
  ])('that cannot be is refused at once (%#)', (tls, message) => {
    expect(() => new Upstream('localhost:1', { tls: tls as UpstreamTlsOptions })).toThrow(message)
  })

  it('is encrypted at all of its addresses, or at none', () => {
    expect(() => new Upstream(['tls://a.test:1', 'b.test:1'])).toThrow(/encrypted at all/)
    expect(() => new Upstream('tls://a.test:1', { tls: false })).toThrow(/upstream.tls must be true for tls:/)
    expect(new Upstream('tls://a.test:1')).toMatchObject({ secure: true, address: 'a.test:1' })
  })
})

describe('A socket that is taken over', () => {
  it('has what was read already, and closes its connection when it closes', async () => {
    const [near, far] = memoryConnections()
    expect(() => near.takeSocket().write('x')).not.toThrow()
    expect(() => near.takeSocket()).toThrow(/there is no socket to take/)
    far.abort()
    await near.closed
  })
})
