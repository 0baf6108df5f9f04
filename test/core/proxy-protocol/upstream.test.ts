import { mkdtempSync, rmSync } from 'node:fs'
import { connect as connectPlain } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { afterAll, describe, expect, it } from 'vitest'
import { ProxyHeaderReader } from '../../../src/core/proxy-protocol/proxy-header-reader.ts'
import { type ListenOptions, Upstream, type UpstreamOptions } from '../../../src/index.ts'
import { TestPeer } from '../../../src/testing/index.ts'
import { TestAuthority } from '../../support/certificates.ts'
import { dial, TestServer, withCore } from '../../support/net.ts'
import { until } from '../../support/until.ts'
import { binary, tlv } from './headers.ts'

const authority = new TestAuthority()
const one = authority.issue('one.test', '127.0.0.1')
const client = authority.issue('a client')
const folder = mkdtempSync(join(tmpdir(), 'xps-proxy-'))
afterAll(() => {
  authority[Symbol.dispose]()
  rmSync(folder, { recursive: true })
})

/** The header that a server gets, and what follows it. */
async function received(server: TestServer) {
  const peer = await server.accept()
  await until(() => expect(peer.unread.length).toBeGreaterThan(0))
  const reader = new ProxyHeaderReader()
  const used = reader.read(peer.unread)
  return { peer, header: reader.header, rest: peer.unread.subarray(used).toString() }
}

async function relay(
  server: TestServer,
  proxyProtocol: UpstreamOptions['proxyProtocol'],
  more: Partial<ListenOptions> = {},
) {
  const core = withCore()
  const route = { upstream: server.address, ...(proxyProtocol === undefined ? {} : { proxyProtocol }) }
  const { port } = await core.listen({ port: 0, host: '127.0.0.1', route, ...more })
  return { core, port, [Symbol.asyncDispose]: () => core[Symbol.asyncDispose]() }
}

describe('An upstream that is told who the client is', () => {
  it.each([
    1, 2,
  ] as const)('gets the header before the first byte of the client, who may be silent (version %i)', async (version) => {
    await using server = await TestServer.start()
    await using it = await relay(server, version)
    const peer = await dial(it.port)
    const first = await received(server)
    expect(first.header).toMatchObject({ version, local: false, destination: { host: '127.0.0.1', port: it.port } })
    expect(first.rest).toBe('')
    await first.peer.write('220 ready')
    expect(await peer.read('220 ready')).toBe('220 ready')
    await peer.write('HELO')
    await first.peer.read('HELO')
    expect(it.core.stats()).toMatchObject({ bytesIn: 4, bytesOut: 9 })
    peer.reset()
  })

  it('is told on all that a proxy before us has said, but for padding and the checksum of another header', async () => {
    await using server = await TestServer.start()
    await using it = await relay(server, { version: 2, checksum: true }, { proxyProtocol: { trusted: ['loopback'] } })
    const values = [tlv('01', 'h2'), tlv('02', 'xps.example'), tlv('04', 'pad'), tlv('05', 'id'), tlv('ea', 'own')]
    const peer = await dial(it.port)
    await peer.write(binary('2111', `c0000201 c6336402 dc04 01bb ${values.join('')}`))
    const { header } = await received(server)
    expect(header).toMatchObject({
      source: { host: '192.0.2.1', port: 56324 },
      destination: { host: '198.51.100.2', port: 443 },
      alpn: 'h2',
      authority: 'xps.example',
    })
    expect(header?.tlvs.map(({ type }) => type)).toEqual([0x01, 0x02, 0x05, 0xea, 0x03])
    peer.reset()
  })

  it('is told of a proxy that speaks for itself as of a client', async () => {
    await using server = await TestServer.start()
    await using it = await relay(server, 2, { proxyProtocol: { trusted: ['loopback'] } })
    const peer = await dial(it.port)
    await peer.write(binary('2000'))
    expect((await received(server)).header).toMatchObject({ local: false, source: { host: '127.0.0.1' } })
    peer.reset()
  })

  it('is told of the TLS that ends at us, rather than of what ended before', async () => {
    await using server = await TestServer.start()
    const tls = { ...one.pem, alpn: ['x'], clientCertificate: 'ask', ca: authority.ca.pem.cert } as const
    await using it = await relay(server, 2, { tls, proxyProtocol: { trusted: ['loopback'] } })
    const before = [tlv('02', 'other.test'), tlv('05', 'id'), tlv('20', Buffer.from('0100000001', 'hex'))]
    const plain = connectPlain(it.port, '127.0.0.1')
    plain.write(binary('2111', `c0000201 c6336402 dc04 01bb ${before.join('')}`))
    const socket = connectTls({
      socket: plain,
      servername: 'one.test',
      ca: authority.ca.pem.cert,
      ALPNProtocols: ['x'],
      ...client.pem,
    })
    const { header } = await received(server)
    expect(header).toMatchObject({ source: { host: '192.0.2.1' }, alpn: 'x', authority: 'one.test' })
    expect(Buffer.from(header?.uniqueId ?? []).toString()).toBe('id')
    expect(header?.tls).toMatchObject({
      version: 'TLSv1.3',
      cipher: expect.stringMatching(/^TLS_/),
      commonName: 'a client',
      certificate: 'connection',
      verified: true,
    })
    socket.destroy()
  })

  it('is told that a client is not known who came by a Unix-domain socket', async () => {
    await using server = await TestServer.start()
    for (const version of [1, 2] as const) {
      await using core = withCore()
      const path = join(folder, `${version}.sock`)
      await core.listen({ path, route: { upstream: server.address, proxyProtocol: version } })
      const peer = await dial(path)
      expect((await received(server)).header).toMatchObject({ version, local: version === 2, source: undefined })
      peer.end()
    }
  })

  it('is told of a connection of our own that it is one, or in version 1 from where to where it goes', async () => {
    await using server = await TestServer.start()
    for (const version of [1, 2] as const) {
      const connection = new Upstream(server.address, { proxyProtocol: version }).connect()
      const { header } = await received(server)
      if (version === 2) expect(header).toMatchObject({ local: true, source: undefined })
      else expect(header?.destination).toEqual({ host: '127.0.0.1', port: server.port })
      connection.abort()
      await connection.closed
    }
  })

  it('is told whatever the host says', async () => {
    await using server = await TestServer.start()
    const source = {
      source: { host: '2001:db8::1', port: 1 },
      destination: { host: '2001:db8::2', port: 2 },
      tlvs: [{ type: 0xe0, value: Buffer.from('mine') }],
    }
    const connection = new Upstream(server.address, { proxyProtocol: 2 }).connect({ source })
    const { header } = await received(server)
    expect(header).toMatchObject({ source: source.source, destination: source.destination })
    expect(header?.tlvs.map(({ value }) => String(value))).toEqual(['mine'])
    connection.abort()
    await connection.closed
  })

  it('in this process gets a header too', async () => {
    const peers: TestPeer[] = []
    const upstream = new Upstream((socket) => void peers.push(new TestPeer(socket)), { proxyProtocol: 1 })
    const connection = upstream.connect({ source: { source: undefined, destination: undefined, tlvs: [] } })
    await until(() => expect(peers).toHaveLength(1))
    expect(await peers[0]?.read('\r\n')).toBe('PROXY UNKNOWN\r\n')
    connection.abort()
    await connection.closed
  })

  it.each([
    [3, 'upstream.proxyProtocol must be'],
    ['2', 'upstream.proxyProtocol must be'],
    [null, 'upstream.proxyProtocol must be'],
    [{ checksum: true }, 'upstream.proxyProtocol must be'],
    [{ version: 1, checksum: true }, 'upstream.proxyProtocol.checksum must be'],
    [{ version: 2, checksum: 1 }, 'upstream.proxyProtocol.checksum must be'],
    [{ version: 2, tlvs: [] }, 'upstream.proxyProtocol must be made of'],
  ])('refuses the option %o', (proxyProtocol, message) => {
    expect(() => new Upstream('127.0.0.1:1', { proxyProtocol: proxyProtocol as never })).toThrow(message)
  })
})
