import { X509Certificate } from 'node:crypto'
import { request } from 'node:https'
import { afterAll, describe, expect, it } from 'vitest'
import type { Hooks } from '../../../src/http/hooks.ts'
import { TestAuthority } from '../../support/certificates.ts'
import { run } from '../../support/programs.ts'
import { Backend, ok, proxy, type Served, until } from './support.ts'

const authority = new TestAuthority()
const server = authority.issue('localhost', '127.0.0.1')
const client = authority.issue('a client')
const ca = authority.ca.pem.cert
afterAll(() => authority[Symbol.dispose]())

/** Asks over HTTPS/1.1; resolves to the status and the body. */
function ask(served: Served, headers: Record<string, string> = {}, options: object = {}): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const asked = request({ port: served.port, host: '127.0.0.1', ca, headers, ...options }, (response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () => resolve([response.statusCode as number, text]))
    })
    asked.on('error', reject)
    asked.end()
  })
}

describe('HTTPS/1.1', () => {
  it('is proxied, and those behind are told that it was encrypted', async () => {
    await using backend = await Backend.start((message) => ok(message.header('x-forwarded-proto') ?? 'nothing'))
    await using served = await proxy(backend, {}, {}, { tls: server.pem })
    expect(await ask(served)).toEqual([200, 'https'])
    const url = `https://localhost:${served.port}`
    const trusting = [
      '--cacert',
      authority.ca.files.cert,
      '--http1.1',
      '--resolve',
      `localhost:${served.port}:127.0.0.1`,
    ]
    expect((await run('curl', ['-sS', ...trusting, `${url}/a`, `${url}/b`])).toString()).toBe('httpshttps')
  })

  it('carries large bodies both ways', async () => {
    await using backend = await Backend.start((message) => ok(message.body))
    await using served = await proxy(backend, {}, {}, { tls: server.pem })
    const body = 'large '.repeat(300_000)
    const trusting = ['--cacert', authority.ca.files.cert, '--http1.1', '-H', 'Expect:', '--data-binary', '@-']
    const answer = await run('curl', ['-sS', ...trusting, `https://127.0.0.1:${served.port}/`], body)
    expect(answer.toString() === body).toBe(true)
  })

  it("says the client's certificate to those behind, and lets nobody else say it", async () => {
    await using backend = await Backend.start((message) =>
      ok(`${message.header('client-cert')} ${message.header('client_cert')} ${message.header('client-cert-chain')}`),
    )
    const routes = [{ upstream: backend.address, clientCertificate: true }]
    const tls = { ...server.pem, clientCertificate: 'ask' as const, ca }
    await using served = await proxy(backend, { routes }, {}, { tls })
    const forged = {
      'client-cert': ':Zm9yZ2Vk:',
      client_cert: ':Zm9yZ2Vk:',
      'client-cert-chain': 'x',
      connection: 'client-cert',
    }
    expect(await ask(served, forged)).toEqual([200, 'undefined undefined undefined'])
    const [, said] = await ask(served, forged, client.pem)
    const [shown, ...others] = said.split(' ')
    expect(others).toEqual(['undefined', 'undefined'])
    const sent = new X509Certificate(Buffer.from(shown?.slice(1, -1) ?? '', 'base64'))
    expect(sent.subject).toBe('CN=a client')
  })

  it('leaves what a trusted peer says of a certificate', async () => {
    await using backend = await Backend.start((message) => ok(message.header('client-cert') ?? 'nothing'))
    const routes = [{ upstream: backend.address, clientCertificate: true, trusted: ['loopback'] }]
    await using served = await proxy(backend, { routes }, {}, { tls: { ...server.pem, clientCertificate: 'ask', ca } })
    expect(await ask(served, { 'client-cert': ':eA==:' }, client.pem)).toEqual([200, ':eA==:'])
  })

  it('shows hooks the certificate', async () => {
    await using backend = await Backend.start()
    const hooks: Hooks = {
      request: (transaction) => {
        if (transaction.session.tls?.certificate?.subject !== 'CN=a client') transaction.reply(403)
      },
    }
    const tls = { ...server.pem, clientCertificate: 'ask' as const, ca }
    await using served = await proxy(backend, { hooks }, {}, { tls })
    expect((await ask(served))[0]).toBe(403)
    expect((await ask(served, {}, client.pem))[0]).toBe(200)
    await until(() => expect(served.http.stats().transactions).toBe(0))
  })
})
