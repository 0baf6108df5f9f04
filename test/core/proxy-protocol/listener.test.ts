import { mkdtempSync, rmSync } from 'node:fs'
import { connect as connectPlain, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { afterAll, describe, expect, it } from 'vitest'
import { ClientSession, type Connection, type ListenOptions } from '../../../src/index.ts'
import { ManualClock, TestPeer } from '../../../src/testing/index.ts'
import { TestAuthority } from '../../support/certificates.ts'
import { openSockets } from '../../support/descriptors.ts'
import { dial, withCore } from '../../support/net.ts'
import { until } from '../../support/until.ts'
import { binary, tlv } from './headers.ts'

const authority = new TestAuthority()
const one = authority.issue('one.test', '127.0.0.1')
const folder = mkdtempSync(join(tmpdir(), 'xps-proxy-'))
afterAll(() => {
  authority[Symbol.dispose]()
  rmSync(folder, { recursive: true })
})

const text = 'PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n'
const bytes = binary('2111', `c0000201 c6336402 dc04 01bb ${tlv('02', 'xps.example')}`)
const client = { remoteAddress: '192.0.2.1', remotePort: 56324, address: '192.0.2.1:56324', peerAddress: '127.0.0.1' }

/** Gives back what it is told. */
class Echo extends ClientSession {
  protected override onOpen(): void {
    this.pipe(this.client.source, this.client.sink)
  }
}

/** A listener that believes what is said to it from this machine, and gives back the bytes behind that. */
async function listening(options: Partial<ListenOptions> = {}, clock?: ManualClock) {
  const core = withCore(clock === undefined ? {} : { clock })
  const connections: Connection[] = []
  const refused: string[] = []
  core.on('refused', (reason, address) => refused.push(`${reason} ${address}`))
  const listener = await core.listen({
    port: 0,
    host: '127.0.0.1',
    protocol: (connection) => {
      connections.push(connection)
      return new Echo(connection)
    },
    proxyProtocol: { trusted: ['loopback'] },
    ...options,
  })
  return {
    core,
    listener,
    port: listener.port,
    connections,
    refused,
    [Symbol.asyncDispose]: () => core[Symbol.asyncDispose](),
  }
}

/** Sends pieces one after the other, ends, and resolves to the answer; one that was cut off ends with `✗`. */
async function exchange(port: number, ...pieces: (string | Uint8Array)[]): Promise<string> {
  const peer = await dial(port)
  for (const piece of pieces) {
    await peer.write(piece)
    await new Promise((resolve) => setImmediate(resolve))
  }
  peer.end()
  return peer.bytes().then(String, () => '✗')
}

/** A proxy that says for whom it comes, in the same write as the client's first bytes or byte by byte. */
async function proxy(port: number, header: Uint8Array, bytewise: boolean): Promise<{ port: number } & AsyncDisposable> {
  const server = createServer((near) => {
    const far = connectPlain({ port, host: '127.0.0.1', noDelay: true })
    let first = true
    near.on('data', (chunk) => {
      const all = first ? Buffer.concat([header, chunk]) : chunk
      if (bytewise && first) for (const byte of all) far.write(Uint8Array.of(byte))
      else far.write(all)
      first = false
    })
    near.on('end', () => far.end())
    far.pipe(near)
    for (const socket of [near, far]) socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address() as { port: number }
  return {
    port: bound.port,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

describe('A listener that believes a proxy', () => {
  it.each([
    ['version 1', text],
    ['version 2', bytes],
  ])('knows the client from a header of %s, and passes on what follows', async (_name, header) => {
    await using it = await listening()
    expect(await exchange(it.port, header, 'hello')).toBe('hello')
    expect(await exchange(it.port, Buffer.concat([Buffer.from(header), Buffer.from('hello')]))).toBe('hello')
    for (const connection of it.connections) {
      expect(connection.proxied).toMatchObject({ source: { host: '192.0.2.1', port: 56324 }, local: false })
      expect(connection.proxied?.destination).toEqual({ host: '198.51.100.2', port: 443 })
    }
    expect(it.connections.map((one) => one.proxied?.authority)).toEqual(
      new Array(2).fill(header === bytes ? 'xps.example' : undefined),
    )
  })

  it('calls the client by its own address while it is there', async () => {
    await using it = await listening()
    const peer = await dial(it.port)
    await peer.write(text)
    await until(() => expect(it.connections).toHaveLength(1))
    expect(it.connections[0]).toMatchObject({ ...client, localAddress: '127.0.0.1', localPort: it.port })
    expect(it.listener.sessions).toHaveLength(1)
    peer.reset()
  })

  it('E77: reads a header that is split at every byte', async () => {
    await using it = await listening()
    for (const header of [Buffer.from(text), bytes]) {
      const splits = Array.from({ length: header.length - 1 }, (_, at) =>
        exchange(it.port, header.subarray(0, at + 1), header.subarray(at + 1), 'x'),
      )
      expect(new Set(await Promise.all(splits))).toEqual(new Set(['x']))
      expect(await exchange(it.port, ...[...header].map((byte) => Uint8Array.of(byte)), 'y')).toBe('y')
    }
    expect(it.refused).toEqual([])
  })

  it('passes on a megabyte that comes with the header, and the end behind it', async () => {
    await using it = await listening()
    const much = 'x'.repeat(1_000_000)
    const peer = await dial(it.port)
    void peer.write(`${text}${much}`)
    peer.end()
    expect(await peer.text()).toBe(much)
  })

  it.each([
    ['no header', 'GET / HTTP/1.1\r\n\r\n'],
    ['TLS without one', '\x16\x03\x01'],
    ['a header that is none', 'PROXY TCP4 192.0.2.01 198.51.100.2 1 2\r\n'],
    ['a header that is too long', binary('2111', '', 5_000)],
    ['a checksum that is wrong', binary('2111', `c0000201 c6336402 dc04 01bb ${tlv('03', 'abcd')}`)],
  ])('E77: closes and counts who comes with %s, and makes no session', async (_name, first) => {
    await using it = await listening()
    const peer = await dial(it.port)
    void peer.write(first)
    await peer.over()
    expect(peer.unread).toHaveLength(0)
    expect(it.refused).toEqual(['proxy-header 127.0.0.1'])
    expect(it.core.stats()).toMatchObject({ refused: { 'proxy-header': 1 }, active: 0, accepted: 1 })
    expect(it.connections).toEqual([])
    expect(await exchange(it.port, text, 'next')).toBe('next')
  })

  it.each([
    ['LOCAL', binary('2000')],
    ['LOCAL with addresses', binary('2011', 'c0000201 c6336402 dc04 01bb')],
    ['nobody', binary('2100')],
    ['UNKNOWN', 'PROXY UNKNOWN\r\n'],
    ['a path of its own', binary('2131', '2f61'.padEnd(432, '0'))],
  ])('serves a proxy that says %s by its own address', async (_name, header) => {
    await using it = await listening()
    const peer = await dial(it.port)
    await peer.write(header)
    await until(() => expect(it.connections).toHaveLength(1))
    const [connection] = it.connections
    expect(connection?.remoteAddress).toBe('127.0.0.1')
    expect(connection?.remotePort).toBe(connection?.peerPort)
    await peer.write('hello')
    expect(await peer.read(5)).toBe('hello')
    peer.reset()
  })

  it('reads no header of others: they are served by their own address, and what they say is not believed', async () => {
    await using it = await listening({ proxyProtocol: { trusted: ['10.0.0.0/8'] } })
    const peer = await dial(it.port)
    await peer.write(text)
    expect(await peer.read(text.length)).toBe(text)
    expect(it.connections[0]).toMatchObject({ remoteAddress: '127.0.0.1', proxied: undefined })
    peer.reset()
  })

  it('counts who leaves without a word, and tells nobody', async () => {
    await using it = await listening()
    for (const leave of ['end', 'reset'] as const) {
      const peer = await dial(it.port)
      peer[leave]()
      await peer.over()
    }
    await until(() => expect(it.core.stats()).toMatchObject({ probes: 2, active: 0 }))
    expect(it.refused).toEqual([])
  })

  it('ends who has not sent the whole header in time', async () => {
    const clock = new ManualClock()
    await using it = await listening({ proxyProtocol: { trusted: ['loopback'], headerTimeout: 1_000 } }, clock)
    const [silent, slow] = await Promise.all([dial(it.port), dial(it.port)])
    await slow.write(text.slice(0, 20))
    await until(() => expect(it.listener.stats().active).toBe(2))
    await until(() => expect(clock.pending).toBeGreaterThan(0))
    clock.advance(900)
    expect(it.refused).toEqual([])
    clock.advance(400)
    await Promise.all([silent.over(), slow.over()])
    expect(it.refused).toEqual(['proxy-header 127.0.0.1', 'proxy-header 127.0.0.1'])
    expect(it.core.stats().active).toBe(0)
  })

  it('lets nobody wait for a header when it closes', async () => {
    await using it = await listening()
    const peer = await dial(it.port)
    await peer.write(text.slice(0, 20))
    await until(() => expect(it.listener.stats().active).toBe(1))
    await it.core.close()
    await peer.over()
    expect(it.refused).toEqual(['closing 127.0.0.1'])
  })

  it('E62: is as before after a hundred health checks, fifty who leave at once and half a header', async () => {
    await using it = await listening()
    const sockets = openSockets()
    const checks = [binary('2000', 'c0000201 c6336402 dc04 01bb'), binary('2100')]
    for (let round = 0; round < 10; round++) {
      const all = Array.from({ length: 10 }, (_, index) => exchange(it.port, checks[index % 2] as Buffer))
      all.push(...Array.from({ length: 5 }, () => exchange(it.port)))
      expect(new Set(await Promise.all(all))).toEqual(new Set(['']))
    }
    expect(await exchange(it.port, bytes.subarray(0, 12))).toMatch(/^✗?$/)
    expect(await exchange(it.port, bytes, 'hello')).toBe('hello')
    await until(() => expect(it.core.stats()).toMatchObject({ active: 0, probes: 50, accepted: 152 }))
    expect(it.refused).toEqual(['proxy-header 127.0.0.1'])
    await until(() => expect(openSockets()).toBeLessThanOrEqual(sockets))
  })

  it('counts clients by their own addresses, and the proxy by none', async () => {
    await using it = await listening({ maxConnectionsPerIp: 2 })
    const come = async (host: string): Promise<TestPeer> => {
      const peer = await dial(it.port)
      await peer.write(`PROXY TCP4 ${host} 198.51.100.2 1 2\r\n!`)
      return peer
    }
    const peers = await Promise.all(['192.0.2.1', '192.0.2.1', '192.0.2.2', '192.0.2.3'].map(come))
    for (const peer of peers) expect(await peer.read(1)).toBe('!')
    const third = await come('192.0.2.1')
    await third.over()
    expect(it.refused).toEqual(['per-ip 192.0.2.1'])
    peers[0]?.end()
    await peers[0]?.gone()
    await until(() => expect(it.listener.stats().active).toBe(3))
    const next = await come('192.0.2.1')
    expect(await next.read(1)).toBe('!')
    expect(it.core.stats().refused).toMatchObject({ 'per-ip': 1, 'proxy-header': 0 })
    for (const peer of [...peers, next]) peer.reset()
  })

  it('takes a Unix-domain socket for a proxy, if it says so', async () => {
    const path = join(folder, 'a.sock')
    await using core = withCore()
    const connections: Connection[] = []
    const protocol = (connection: Connection): Echo => {
      connections.push(connection)
      return new Echo(connection)
    }
    await core.listen({ path, protocol, proxyProtocol: { trusted: ['unix'] } })
    const peer = await dial(path)
    await peer.write(`${text}hello`)
    expect(await peer.read(5)).toBe('hello')
    expect(connections[0]).toMatchObject({ remoteAddress: '192.0.2.1', peerAddress: undefined })
    peer.end()
  })

  it.each([
    ['in the same write as', false],
    ['byte by byte, as is,', true],
  ])('decrypts what follows the header: that came %s the first bytes of TLS', async (_name, bytewise) => {
    await using it = await listening({ tls: one.pem })
    await using front = await proxy(it.port, bytes, bytewise)
    const socket = connectTls({
      port: front.port,
      host: '127.0.0.1',
      ca: authority.ca.pem.cert,
      servername: 'one.test',
    })
    const peer = new TestPeer(socket)
    await peer.write('hello')
    expect(await peer.read(5)).toBe('hello')
    expect(it.connections[0]).toMatchObject({ ...client, tls: { servername: 'one.test' } })
    peer.end()
    await peer.gone()
    await until(() => expect(it.core.stats().active).toBe(0))
  })

  it('tells apart a header that is missing and a handshake that fails', async () => {
    await using it = await listening({ tls: one.pem })
    await exchange(it.port, text, 'GET / HTTP/1.1\r\n\r\n')
    await exchange(it.port, 'GET / HTTP/1.1\r\n\r\n')
    await until(() => expect(it.refused).toEqual(['tls 192.0.2.1', 'proxy-header 127.0.0.1']))
  })

  it.each([
    [{}, 'proxyProtocol.trusted'],
    [{ trusted: ['everybody'] }, 'proxyProtocol.trusted'],
    [{ trusted: [], headerTimeout: 0 }, 'proxyProtocol.headerTimeout'],
    [{ trusted: [], maxLength: 15 }, 'proxyProtocol.maxLength'],
    [{ trusted: [], version: 2 }, 'proxyProtocol'],
    [true, 'proxyProtocol'],
  ])('refuses the option %o', async (proxyProtocol, name) => {
    await expect(listening({ proxyProtocol: proxyProtocol as never })).rejects.toMatchObject({
      code: 'XPS_INVALID_OPTION',
      message: expect.stringContaining(`${name} must be`),
    })
  })
})
