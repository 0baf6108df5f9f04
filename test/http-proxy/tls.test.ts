import { readFileSync } from 'node:fs'
import { createServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { afterAll, describe, expect, it } from 'vitest'
import type { ProxyRequest } from '../../src/http-proxy/proxy-request.ts'
import { TestAuthority } from '../support/certificates.ts'
import { Front } from './support.ts'

const authority = new TestAuthority()
const { pem } = authority.issue('127.0.0.1', 'localhost')
const ca = authority.ca.pem.cert
afterAll(() => authority[Symbol.dispose]())

/** A target that speaks TLS, and says who asks. */
async function secured(options: ServerOptions = {}) {
  const server = createServer({ ...pem, ...options }, (req, res) => {
    if (req.url === '/away') {
      res.writeHead(302, { location: `https://${req.headers.host}/here` }).end()
      return
    }
    const socket = req.socket as TLSSocket
    res.end(JSON.stringify({ url: req.url, headers: req.headers, client: socket.getPeerCertificate().subject?.CN }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    port,
    url: `https://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

describe('a target that speaks TLS', () => {
  it('is connected to with the authority that is trusted, and may name itself in redirects', async () => {
    await using target = await secured()
    const protocols: string[] = []
    await using front = await Front.start({
      target: target.url,
      ca,
      changeOrigin: true,
      autoRewrite: true,
      protocolRewrite: 'http',
    })
    front.proxy.on('proxyReq', (asked: ProxyRequest) => protocols.push(asked.protocol))
    const answer = await front.ask('/a?b')
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.body)).toMatchObject({ url: '/a?b', headers: { host: `127.0.0.1:${target.port}` } })
    expect((await front.ask('/away')).headers['location']).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/here$/)
    expect(protocols).toEqual(['https:', 'https:'])
  })

  it('is refused with the code of Node if its certificate does not fit, and not if secure is false', async () => {
    await using target = await secured()
    await using strict = await Front.start({ target: target.url })
    const failed = new Promise<string>((resolve) => {
      strict.proxy.on('error', (error, _req, res) => {
        resolve((error as { code: string }).code)
        ;(res as { writeHead(status: number): { end(): void } }).writeHead(502).end()
      })
    })
    expect((await strict.ask('/')).status).toBe(502)
    expect(await failed).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE')
    await using trusting = await Front.start({ target: target.url, secure: false })
    expect((await trusting.ask('/')).status).toBe(200)
  })

  it('is shown the certificate that stands beside its host', async () => {
    await using target = await secured({ ca, requestCert: true })
    const mine = authority.issue('proxy.test').pem
    const parts = {
      protocol: 'https:',
      host: '127.0.0.1',
      port: target.port,
      ca,
      cert: mine.cert,
      key: Buffer.from(mine.key),
    }
    await using front = await Front.start({ target: parts })
    expect(JSON.parse((await front.ask('/')).body)).toMatchObject({ client: 'proxy.test' })
    const { cert: _cert, key: _key, ...others } = parts
    const pfx = readFileSync(authority.bundle(authority.issue('bundled.test'), 'secret'))
    await using bundled = await Front.start({ target: { ...others, pfx, passphrase: 'secret' } })
    expect(JSON.parse((await bundled.ask('/')).body)).toMatchObject({ client: 'bundled.test' })
  })

  it('may be where a redirect leads', async () => {
    await using target = await secured()
    await using front = await Front.start({ target: target.url, ca, followRedirects: true, changeOrigin: true })
    expect(JSON.parse((await front.ask('/away')).body)).toMatchObject({ url: '/here' })
  })
})
