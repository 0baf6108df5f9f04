import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { http } from '../../../src/http/index.ts'
import type { Connection, ListenOptions, UpstreamRoute } from '../../../src/index.ts'
import { TestAuthority } from '../../support/certificates.ts'
import { startHaproxy } from '../../support/haproxy.ts'
import { dial, withCore } from '../../support/net.ts'
import { startNginx, startNginxStream } from '../../support/nginx.ts'
import { run, type ServerProgram } from '../../support/programs.ts'
import { until } from '../../support/until.ts'

const folder = mkdtempSync(join(tmpdir(), 'xps-proxy-'))
const authority = new TestAuthority()
const one = authority.issue('one.test', '127.0.0.1')
const trusted = { trusted: ['loopback'] }
afterAll(() => {
  authority[Symbol.dispose]()
  rmSync(folder, { recursive: true })
})

/** Answers `ok`, and keeps what is known of whoever asked. */
async function behind(options: Partial<ListenOptions> = {}) {
  const core = withCore()
  const known: Pick<Connection, 'remoteAddress' | 'remotePort' | 'proxied'>[] = []
  core.on('session', ({ client: { remoteAddress, remotePort, proxied } }) => {
    known.push({ remoteAddress, remotePort, proxied })
  })
  const protocol = http({ routes: [{ reply: { status: 200, body: 'ok' } }] })
  const { port } = await core.listen({ port: 0, host: '127.0.0.1', protocol, proxyProtocol: trusted, ...options })
  return { core, port, known, [Symbol.asyncDispose]: () => core[Symbol.asyncDispose]() }
}

const curl = async (...args: string[]): Promise<string> =>
  String(await run('curl', ['-sS', '--max-time', '5', ...args]))

describe('A listener that believes a proxy', () => {
  it('knows the client of nginx (stream, proxy_protocol on)', async () => {
    await using it = await behind()
    await using nginx = await startNginxStream(
      folder,
      (port) => `server { listen 127.0.0.1:${port}; proxy_pass 127.0.0.1:${it.port}; proxy_protocol on; }`,
    )
    const [code, local] = (await curl('-w', ' %{local_port}', nginx.url)).split(' ')
    expect(code).toBe('ok')
    // Who looked whether nginx is there was passed on too.
    expect(it.known.find(({ remotePort }) => remotePort === Number(local))).toMatchObject({
      remoteAddress: '127.0.0.1',
      proxied: { version: 1, destination: { host: '127.0.0.1', port: nginx.port } },
    })
  })

  it.each([
    ['send-proxy', 1],
    ['send-proxy-v2', 2],
  ])('knows the client of HAProxy (%s)', async (option, version) => {
    await using it = await behind()
    await using haproxy = await startHaproxy(
      folder,
      (port) => `listen it\nbind 127.0.0.1:${port}\nmode tcp\nserver one 127.0.0.1:${it.port} ${option}`,
    )
    const [code, local] = (await curl('-w', ' %{local_port}', haproxy.url)).split(' ')
    expect(code).toBe('ok')
    expect(it.known.find(({ remotePort }) => remotePort === Number(local))).toMatchObject({
      proxied: { version, destination: { host: '127.0.0.1', port: haproxy.port } },
    })
  })

  it('knows of the TLS that the client speaks with HAProxy, and finds its checksum right', async () => {
    await using it = await behind()
    const pem = join(folder, 'one.pem')
    writeFileSync(pem, one.pem.cert + one.pem.key)
    await using haproxy = await startHaproxy(
      folder,
      (port) => `listen it\nbind 127.0.0.1:${port} ssl crt ${pem} alpn http/1.1\nmode tcp
        unique-id-format id-%pid
        server one 127.0.0.1:${it.port} send-proxy-v2 proxy-v2-options ssl,ssl-cipher,cert-key,authority,crc32c,unique-id`,
    )
    const resolve = ['--resolve', `one.test:${haproxy.port}:127.0.0.1`, '--cacert', authority.ca.files.cert]
    expect(await curl(...resolve, `https://one.test:${haproxy.port}/`)).toBe('ok')
    const proxied = it.known.map((one) => one.proxied).find((one) => one?.tls !== undefined)
    expect(proxied?.tlvs.some(({ type }) => type === 3)).toBe(true)
    expect(proxied).toMatchObject({ authority: 'one.test' })
    expect(String(Buffer.from(proxied?.uniqueId ?? []))).toMatch(/^id-\d+$/)
    expect(proxied?.tls).toMatchObject({
      version: 'TLSv1.3',
      cipher: expect.stringMatching(/^TLS_/),
      keyAlgorithm: 'EC256',
      certificate: undefined,
      verified: false,
    })
  })

  it('bears the health checks of HAProxy, which end as soon as they are connected or speak for themselves', async () => {
    for (const check of ['no-check-send-proxy', 'check-send-proxy']) {
      await using it = await behind()
      const refused: string[] = []
      it.core.on('refused', (reason) => refused.push(reason))
      await using haproxy = await startHaproxy(
        folder,
        (port) => `listen it\nbind 127.0.0.1:${port}\nmode tcp
          server one 127.0.0.1:${it.port} send-proxy-v2 ${check} check inter 20ms fall 10000`,
      )
      // Without a header a check is one who leaves without a word; with one it has a session, and says nothing in it,
      // unless it is gone before anybody can look whom it came from.
      const seen = (): boolean =>
        check === 'check-send-proxy' ? it.known.some(({ proxied }) => proxied?.local) : it.core.stats().probes > 5
      await until(() => expect(seen()).toBe(true))
      expect(await curl(haproxy.url)).toBe('ok')
      expect(refused).toEqual([])
    }
  })

  it('knows curl by what it says (--haproxy-protocol), over TLS too', async () => {
    await using it = await behind()
    expect(await curl('--haproxy-protocol', `http://127.0.0.1:${it.port}/`)).toBe('ok')
    await using secure = await behind({ tls: one.pem })
    const ca = ['--cacert', authority.ca.files.cert]
    expect(await curl('--haproxy-protocol', ...ca, `https://127.0.0.1:${secure.port}/`)).toBe('ok')
    for (const { known } of [it, secure]) expect(known[0]?.proxied?.source).toMatchObject({ host: '127.0.0.1' })
    expect(await curl(...ca, `https://127.0.0.1:${secure.port}/`).catch(() => 'refused')).toBe('refused')
  })
})

describe('A relay that says who its client is', () => {
  let nginx: ServerProgram
  let secureNginx: ServerProgram
  let haproxy: ServerProgram
  beforeAll(async () => {
    const variables = ['addr', 'port', 'server_addr', 'server_port'].map((name) => `$proxy_protocol_${name}`).join(' ')
    const location = `location / { default_type text/plain; return 200 "${variables}"; }`
    const { cert, key } = one.files
    ;[nginx, secureNginx, haproxy] = await Promise.all([
      startNginx(folder, (port) => `server { listen 127.0.0.1:${port} proxy_protocol; ${location} }`),
      startNginx(
        folder,
        (port) => `server { listen 127.0.0.1:${port} ssl proxy_protocol;
          ssl_certificate ${cert}; ssl_certificate_key ${key}; ${location} }`,
      ),
      startHaproxy(
        folder,
        (port) => `frontend it\nbind 127.0.0.1:${port} accept-proxy\nmode http
          http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port] %[fc_pp_authority]"`,
      ),
    ])
  })
  afterAll(() => Promise.all([nginx, secureNginx, haproxy].map((one) => one[Symbol.asyncDispose]())))

  /** A relay to a server, and what that says of whoever asks through it. */
  async function relay(server: ServerProgram, route: Partial<UpstreamRoute>, options: Partial<ListenOptions> = {}) {
    const core = withCore()
    const where = { port: 0, host: '127.0.0.1' }
    const { port } = await core.listen({ ...where, route: { upstream: server.address, ...route }, ...options })
    return { core, port, [Symbol.asyncDispose]: () => core[Symbol.asyncDispose]() }
  }

  it.each([1, 2] as const)('is understood by nginx and HAProxy, in version %i', async (proxyProtocol) => {
    for (const server of [nginx, haproxy]) {
      await using it = await relay(server, { proxyProtocol })
      for (let count = 0; count < 2; count++) {
        const answer = await curl('-w', '|%{local_port}', `http://127.0.0.1:${it.port}/`)
        const [said, local] = answer.split('|')
        expect(said?.trim()).toBe(`127.0.0.1 ${local} 127.0.0.1 ${it.port}`)
      }
    }
  })

  it('is understood by HAProxy with a checksum, and not with one that is wrong', async () => {
    await using it = await relay(haproxy, { proxyProtocol: { version: 2, checksum: true } })
    expect(await curl(`http://127.0.0.1:${it.port}/`)).toMatch(/^127\.0\.0\.1 \d+ /)
  })

  it.each([1, 2] as const)('says so before TLS with the upstream begins, in version %i', async (proxyProtocol) => {
    await using it = await relay(secureNginx, { proxyProtocol, tls: { ca: authority.ca.pem.cert } })
    expect(await curl(`http://127.0.0.1:${it.port}/`)).toMatch(new RegExp(`^127.0.0.1 \\d+ 127.0.0.1 ${it.port}$`))
  })

  it('says on what a proxy before it has said, in either version, and the name that was asked for by TLS', async () => {
    for (const proxyProtocol of [1, 2] as const) {
      await using it = await relay(haproxy, { proxyProtocol }, { proxyProtocol: trusted, tls: one.pem })
      await using first = await startHaproxy(
        folder,
        (port) => `listen it\nbind 127.0.0.1:${port}\nmode tcp\nserver one 127.0.0.1:${it.port} send-proxy-v2`,
      )
      const resolve = ['--resolve', `one.test:${first.port}:127.0.0.1`, '--cacert', authority.ca.files.cert]
      const answer = await curl(...resolve, '-w', '|%{local_port}', `https://one.test:${first.port}/`)
      const [said, local] = answer.split('|')
      const name = proxyProtocol === 2 ? ' one.test' : ''
      expect(said?.trim()).toBe(`127.0.0.1 ${local} 127.0.0.1 ${first.port}${name}`)
    }
  })

  it('says IPv6 addresses', async () => {
    for (const proxyProtocol of [1, 2] as const) {
      await using it = await relay(nginx, { proxyProtocol }, { proxyProtocol: trusted })
      const peer = await dial(it.port)
      await peer.write('PROXY TCP6 2001:db8::1 2001:db8:0:0::2 4000 443\r\nGET / HTTP/1.0\r\n\r\n')
      expect(await peer.text()).toContain('\r\n\r\n2001:db8::1 4000 2001:db8::2 443')
    }
  })

  it('says of a client without an address that it is not known, and is served', async () => {
    for (const server of [nginx, haproxy]) {
      for (const proxyProtocol of [1, 2] as const) {
        const core = withCore()
        await using _ = core
        const path = join(folder, `${server.port}-${proxyProtocol}.sock`)
        await core.listen({ path, route: { upstream: server.address, proxyProtocol } })
        expect(await curl('--unix-socket', path, 'http://one.test/'), `${server.port} ${proxyProtocol}`).toBeTruthy()
      }
    }
  })
})
