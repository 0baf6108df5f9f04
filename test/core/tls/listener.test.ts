import { execFile } from 'node:child_process'
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { copyFileSync, mkdtempSync, renameSync, writeFileSync } from 'node:fs'
import { connect as connectPlain } from 'node:net'
import { join } from 'node:path'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { afterAll, describe, expect, it } from 'vitest'
import {
  ClientSession,
  type Connection,
  type ListenerTlsOptions,
  type Protocol,
  type XpsError,
} from '../../../src/index.ts'
import { ManualClock, TestPeer } from '../../../src/testing/index.ts'
import { TestAuthority } from '../../support/certificates.ts'
import { openSockets } from '../../support/descriptors.ts'
import { dial, TestServer, withCore } from '../../support/net.ts'
import { until } from '../../support/until.ts'

const authority = new TestAuthority()
const one = authority.issue('one.test', '127.0.0.1')
const two = authority.issue('two.test', '*.two.test')
const renewed = authority.issue('one.test', '127.0.0.1')
const client = authority.issue('a client')
const strangers = new TestAuthority('strangers')
const stranger = strangers.issue('a stranger')
afterAll(() => {
  authority[Symbol.dispose]()
  strangers[Symbol.dispose]()
})

/** A session that says what it knows of its connection's encryption, and then what it is told. */
class Echo extends ClientSession {
  protected override onOpen(): void {
    this.pipe(this.client.source, this.client.sink)
  }
}
const connections: Connection[] = []
const echo: Protocol = (connection) => {
  connections.push(connection)
  return new Echo(connection)
}

/** A client that trusts our authority; resolves when the handshake is done. */
async function secure(port: number, options: ConnectionOptions = {}): Promise<{ peer: TestPeer; socket: TLSSocket }> {
  const trusted = { host: '127.0.0.1', port, ca: authority.ca.pem.cert, allowHalfOpen: true }
  const socket = connect({ ...trusted, ...options } as ConnectionOptions)
  await new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve)
    socket.once('error', reject)
  })
  return { peer: new TestPeer(socket), socket }
}

async function listening(tls: Partial<ListenerTlsOptions> = {}, protocol: Protocol = echo, clock?: ManualClock) {
  const core = withCore(clock === undefined ? {} : { clock })
  const faults: XpsError[] = []
  core.on('fault', (fault) => faults.push(fault))
  const listener = await core.listen({ port: 0, host: '127.0.0.1', protocol, tls: { ...one.pem, ...tls } })
  return { core, listener, faults, port: listener.port, [Symbol.asyncDispose]: () => core[Symbol.asyncDispose]() }
}

const rsaKey = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
}).privateKey

/** In one step: nobody reads half of it. */
function replace(file: string, by: string): void {
  copyFileSync(file, `${by}.new`)
  renameSync(`${by}.new`, by)
}

describe('A relay with TLS', () => {
  it('moves the bytes of both directions, half-closes and large answers included', async () => {
    await using server = await TestServer.start((peer) => {
      void peer.text().then((text) => peer.end(text.toUpperCase() + 'x'.repeat(3_000_000)))
    })
    await using core = withCore()
    const route = { upstream: server.address }
    const listener = await core.listen({ port: 0, host: '127.0.0.1', route, tls: one.pem })
    const { peer, socket } = await secure(listener.port)
    expect(socket.authorized).toBe(true)
    const piece = 'hello '.repeat(100_000)
    void peer.write(piece)
    peer.end()
    const text = await peer.text()
    expect(text.length).toBe(piece.length + 3_000_000)
    expect(text.startsWith(piece.toUpperCase())).toBe(true)
    await until(() => expect(core.sessions).toHaveLength(0))
    expect(core.stats()).toMatchObject({ bytesIn: piece.length, bytesOut: text.length, active: 0 })
  })

  it('is known to its session: version, cipher, names', async () => {
    await using served = await listening({ alpn: ['echo'] })
    const { peer } = await secure(served.port, { servername: 'one.test', ALPNProtocols: ['other', 'echo'] })
    await peer.write('x')
    expect(await peer.read(1)).toBe('x')
    const connection = connections.at(-1) as Connection
    expect(connection.secure).toBe(true)
    expect(connection.tls).toMatchObject({
      version: 'TLSv1.3',
      cipher: expect.stringMatching(/^TLS_/),
      alpn: 'echo',
      servername: 'one.test',
      reused: false,
      authorized: false,
      certificate: undefined,
    })
    expect(connection.remoteAddress).toBe('127.0.0.1')
    peer.end()
  })

  it('offers what its protocol can speak, and refuses who speaks none of it', async () => {
    const speaking: Protocol = Object.assign((connection: Connection) => new Echo(connection), { alpn: ['b', 'a'] })
    await using served = await listening({}, speaking)
    const { socket, peer } = await secure(served.port, { ALPNProtocols: ['a', 'b'] })
    expect(socket.alpnProtocol).toBe('b')
    peer.end()
    await expect(secure(served.port, { ALPNProtocols: ['c'] })).rejects.toThrow(/no application protocol/i)
    const silent = await secure(served.port)
    silent.peer.end()
    await until(() => expect(served.core.stats().refused.tls).toBe(1))
  })

  it('speaks the versions and ciphers that it is told to, and no others', async () => {
    const cipher = 'ECDHE-ECDSA-AES256-GCM-SHA384'
    await using old = await listening({ maxVersion: 'TLSv1.2', ciphers: cipher })
    const { socket, peer } = await secure(old.port)
    expect([socket.getProtocol(), socket.getCipher().name]).toEqual(['TLSv1.2', cipher])
    peer.end()
    const others = { ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' }
    await expect(secure(old.port, others)).rejects.toThrow(/handshake failure/)
    await expect(secure(old.port, { minVersion: 'TLSv1.3' })).rejects.toThrow(/protocol version/)
    await using young = await listening({ minVersion: 'TLSv1.3' })
    await expect(secure(young.port, { maxVersion: 'TLSv1.2' })).rejects.toThrow(/protocol version/)
    const { socket: now, peer: one } = await secure(young.port)
    expect(now.getProtocol()).toBe('TLSv1.3')
    one.end()
  })

  it('reads a key that a passphrase protects, with that passphrase only', async () => {
    const key = createPrivateKey(one.pem.key)
    const secret = key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open' }) as string
    await using served = await listening({ key: secret, passphrase: 'open' })
    const { peer } = await secure(served.port)
    peer.end()
    for (const passphrase of ['closed', undefined]) {
      const tls = { key: secret, ...(passphrase === undefined ? {} : { passphrase }) }
      await expect(listening(tls)).rejects.toThrow(/tls must be a certificate with its key/)
    }
  })

  it('works on a Unix-domain socket, where clients have no address', async () => {
    await using core = withCore()
    const path = join(authority.folder, 'tls.sock')
    await core.listen({ path, protocol: echo, tls: one.pem })
    const all = await Promise.all(
      Array.from({ length: 5 }, () => secure(0, { path, host: undefined, port: undefined, servername: 'one.test' })),
    )
    for (const [index, { peer }] of all.entries()) {
      await peer.write(`client ${index}`)
      expect(await peer.read(8)).toBe(`client ${index}`)
      peer.end()
    }
  })

  it('may have a protocol that looks at the first bytes before it makes its session', async () => {
    const later: Protocol = async (connection) => {
      await new Promise((resolve) => setImmediate(resolve))
      return new Echo(connection)
    }
    await using served = await listening({}, later)
    const { peer } = await secure(served.port)
    await peer.write('later')
    expect(await peer.read(5)).toBe('later')
    peer.end()
    await until(() => expect(served.core.stats().active).toBe(0))
  })

  it('resumes sessions', async () => {
    await using served = await listening()
    const first = await secure(served.port)
    const session = await new Promise<Buffer>((resolve) => {
      first.socket.once('session', resolve)
      void first.peer.write('x')
    })
    first.peer.end()
    const second = await secure(served.port, { session })
    expect(second.socket.isSessionReused()).toBe(true)
    second.peer.end()
  })
})

describe('Certificates', () => {
  it('are chosen by the name that the client asks for', async () => {
    await using served = await listening({ names: { 'two.test': two.pem, '*.two.test': two.pem } })
    const names = { 'two.test': 'two.test', 'TWO.test': 'two.test', 'a.two.test': 'two.test', 'other.test': 'one.test' }
    for (const [name, subject] of Object.entries(names)) {
      const { socket, peer } = await secure(served.port, { servername: name, checkServerIdentity: () => undefined })
      expect(socket.getPeerCertificate().subject.CN).toBe(subject)
      peer.end()
    }
    const nameless = await secure(served.port)
    expect(nameless.socket.getPeerCertificate().subject.CN).toBe('one.test')
    nameless.peer.end()
  })

  it('are not shown to who asks for an unknown name, if that is to be refused', async () => {
    await using served = await listening({ names: { 'two.test': two.pem }, unknownName: 'refuse' })
    await expect(secure(served.port, { servername: 'other.test' })).rejects.toThrow()
    const { peer } = await secure(served.port, { servername: 'two.test' })
    peer.end()
  })

  it('are asked of clients, and whoever shows one that is not trusted is known as that', async () => {
    await using served = await listening({ clientCertificate: 'ask', ca: authority.ca.pem.cert })
    for (const [shown, authorized, error] of [
      [client.pem, true, undefined],
      [stranger.pem, false, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
      [{}, false, 'UNABLE_TO_GET_ISSUER_CERT'],
    ] as const) {
      const { peer } = await secure(served.port, shown)
      await peer.write('x')
      await peer.read(1)
      const { tls } = connections.at(-1) as Connection
      expect(tls).toMatchObject({ authorized, authorizationError: error })
      expect(tls?.certificate?.subject).toBe(
        shown === client.pem ? 'CN=a client' : shown === stranger.pem ? 'CN=a stranger' : undefined,
      )
      peer.end()
    }
  })

  it('are required of clients: without a trusted one there is no session', async () => {
    await using served = await listening({ clientCertificate: 'require', ca: authority.ca.pem.cert })
    const before = connections.length
    for (const shown of [stranger.pem, {}]) {
      // In TLS 1.3 the client thinks that it is connected before its certificate is looked at.
      const { peer } = await secure(served.port, shown)
      expect(await peer.text().catch(() => '')).toBe('')
    }
    expect(connections).toHaveLength(before)
    expect(served.core.stats()).toMatchObject({ active: 0, refused: { tls: 2 } })
    const { peer } = await secure(served.port, client.pem)
    await peer.write('x')
    expect(await peer.read(1)).toBe('x')
    peer.end()
  })

  it('are taken anew when their files change, without a dropped connection', async () => {
    const folder = mkdtempSync(join(authority.folder, 'live-'))
    const files = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
    copyFileSync(one.files.cert, files.cert)
    copyFileSync(one.files.key, files.key)
    const clock = new ManualClock()
    await using served = await listening({ ...files, reloadInterval: 1_000 }, echo, clock)
    const serial = async (): Promise<string> => {
      const { socket, peer } = await secure(served.port)
      peer.end()
      return socket.getPeerCertificate().serialNumber
    }
    const old = await secure(served.port)
    const before = await serial()
    // The key is another's for a moment: what was there goes on, and the host hears of it.
    replace(renewed.files.cert, files.cert)
    await until(async () => {
      clock.advance(1_000)
      expect(served.faults.map(({ code }) => code)).toEqual(['XPS_TLS'])
    })
    expect(await serial()).toBe(before)
    replace(renewed.files.key, files.key)
    await until(async () => {
      clock.advance(1_000)
      expect(await serial()).not.toBe(before)
    })
    await old.peer.write('still here')
    expect(await old.peer.read(10)).toBe('still here')
    old.peer.end()
    writeFileSync(files.cert, 'nonsense')
    expect(() => served.listener.reloadCertificates()).toThrow(/tls must be a certificate with its key/)
    expect(await serial()).not.toBe(before)
  })

  it('are taken anew when their files change as soon as they were read', async () => {
    const folder = mkdtempSync(join(authority.folder, 'early-'))
    const files = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
    copyFileSync(one.files.cert, files.cert)
    copyFileSync(one.files.key, files.key)
    const clock = new ManualClock()
    const starting = listening({ ...files, reloadInterval: 1_000 }, echo, clock)
    replace(renewed.files.key, files.key)
    replace(renewed.files.cert, files.cert)
    await using served = await starting
    await until(async () => {
      clock.advance(1_000)
      const { socket, peer } = await secure(served.port)
      peer.end()
      expect(socket.getPeerX509Certificate()?.raw).toEqual(new X509Certificate(renewed.pem.cert).raw)
    })
  })

  it.each<[string, Partial<ListenerTlsOptions>, RegExp]>([
    ['a missing file', { cert: '/nowhere/cert.pem' }, /tls.cert must be a file that can be read \(ENOENT\)/],
    ["another's key", { key: two.pem.key }, /tls must be a certificate with its key \(.*mismatch/],
    ["another's key of another kind", { key: rsaKey }, /tls must be .* \(the key is that of another certificate\)/],
    ["another's key of a name", { names: { 'a.b': { ...two.pem, key: one.pem.key } } }, /tls.names\['a.b'\] must be/],
    ['a name that is none', { names: { 'A test': two.pem } }, /tls.names/],
    ['clientCertificate', { clientCertificate: 'maybe' as 'ask' }, /tls.clientCertificate must be one of ask, require/],
    ['alpn', { alpn: ['', 'x'] }, /tls.alpn/],
    ['handshakeTimeout', { handshakeTimeout: 0 }, /tls.handshakeTimeout/],
    ['sessionTimeout', { sessionTimeout: -1 }, /tls.sessionTimeout/],
    ['what there is not', { port: 1 } as object, /tls must be made of/],
  ])('that cannot be are refused at once: %s', async (_, tls, message) => {
    await expect(listening(tls)).rejects.toThrow(message)
  })
})

describe('A handshake', () => {
  it('that takes too long is given up, and makes room', async () => {
    const clock = new ManualClock()
    await using served = await listening({ handshakeTimeout: 1_000 }, echo, clock)
    const refused: unknown[] = []
    served.listener.on('refused', (reason, address) => refused.push([reason, address]))
    const silent = await dial(served.port)
    await until(() => expect(served.core.stats().active).toBe(1))
    clock.advance(1_300)
    await silent.over()
    expect(served.core.stats()).toMatchObject({ active: 0, refused: { tls: 1 } })
    expect(refused).toEqual([['tls', '127.0.0.1']])
  })

  it('that is none is refused', async () => {
    await using served = await listening()
    const plain = await dial(served.port)
    await plain.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await plain.over()
    await until(() => expect(served.core.stats()).toMatchObject({ active: 0, refused: { tls: 1 } }))
  })

  it('in which the client leaves is over at once', async () => {
    await using served = await listening()
    const leaving = await dial(served.port)
    await until(() => expect(served.core.stats().active).toBe(1))
    leaving.reset()
    await until(() => expect(served.core.stats()).toMatchObject({ active: 0, refused: { tls: 1 } }))
  })

  it('does not keep its listener from closing', async () => {
    const before = openSockets()
    await using served = await listening()
    const silent = await dial(served.port)
    await until(() => expect(served.core.stats().active).toBe(1))
    await served.core.close()
    await silent.over()
    silent.end()
    await until(() => expect(openSockets()).toBeLessThanOrEqual(before))
  })

  it('fails at once when the client ends in the middle of it, long before the deadline', async () => {
    const clock = new ManualClock()
    await using served = await listening({}, echo, clock)
    const peer = await dial(served.port)
    await peer.write(Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]))
    peer.end()
    await peer.over()
    await until(() => expect(served.core.stats()).toMatchObject({ active: 0, refused: { tls: 1 } }))
  })

  it('is made with one of many, broken off in any way, and nothing is left', async () => {
    const before = openSockets()
    await using served = await listening()
    await Promise.all(
      Array.from({ length: 60 }, async (_, index) => {
        if (index % 3 === 0) {
          const { peer, socket } = await secure(served.port)
          await peer.write('x')
          await peer.read(1)
          if (index % 2 === 0) socket.destroy()
          else peer.end()
          return
        }
        const socket = connectPlain(served.port, '127.0.0.1')
        socket.on('error', () => {})
        socket.once('connect', () => {
          // A record of a handshake that goes on, or does not.
          socket.write(Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]))
          if (index % 3 === 1) socket.resetAndDestroy()
          else socket.end()
        })
        await new Promise((resolve) => socket.once('close', resolve))
      }),
    )
    await until(() => expect(served.core.stats().active).toBe(0))
    await served.core.close()
    await until(() => expect(openSockets()).toBeLessThanOrEqual(before))
  })
})

describe("openssl's client", () => {
  it.each(['-tls1_2', '-tls1_3'])('is served with %s, by name, and sees the whole chain', async (version) => {
    await using served = await listening({ names: { 'two.test': two.pem } })
    const text = await new Promise<string>((resolve) => {
      const args = ['s_client', '-connect', `127.0.0.1:${served.port}`, '-servername', 'two.test', version]
      const child = execFile('openssl', [...args, '-CAfile', authority.ca.files.cert], (_, stdout) => resolve(stdout))
      child.stdin?.end()
    })
    expect(text).toContain('Verify return code: 0 (ok)')
    expect(text).toMatch(/subject=CN ?= ?two\.test/)
  })

  it('finds nothing older than TLS 1.2', async () => {
    await using served = await listening()
    const failed = await new Promise<boolean>((resolve) => {
      const args = ['s_client', '-connect', `127.0.0.1:${served.port}`, '-tls1_1', '-cipher', 'ALL:@SECLEVEL=0']
      execFile('openssl', args, (error) => resolve(error !== null)).stdin?.end()
    })
    expect(failed).toBe(true)
    await until(() => expect(served.core.stats().refused.tls).toBe(1))
  })
})
