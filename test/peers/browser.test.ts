import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { http } from '../../src/http/index.ts'
import { TestAuthority } from '../support/certificates.ts'
import { withCore } from '../support/net.ts'
import { until } from '../support/until.ts'

// The browser is the system's Chromium, which the CI script installs.
const authority = new TestAuthority()
const folder = mkdtempSync(join(tmpdir(), 'xps-browser-'))
let browser: Browser
beforeAll(async () => {
  writeFileSync(
    join(folder, 'index.html'),
    '<!doctype html><title>page</title><img src="a.svg"><script src="a.js"></script>',
  )
  writeFileSync(join(folder, 'a.svg'), '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>')
  writeFileSync(join(folder, 'a.js'), `fetch('/api').then((r) => r.text()).then((text) => { document.title = text })`)
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] })
})
afterAll(async () => {
  await browser?.close()
  authority[Symbol.dispose]()
  rmSync(folder, { recursive: true })
})

describe('Chromium', () => {
  it('is served a page, what it needs, and an API over HTTP/2', async () => {
    await using core = withCore()
    const versions: string[] = []
    const protocol = http({
      routes: [
        { path: '/api', fetch: () => new Response('it works') },
        { path: '/', files: folder },
      ],
      hooks: { request: ({ request }) => void versions.push(request.version) },
    })
    const { port } = await core.listen({ port: 0, host: '127.0.0.1', protocol, tls: authority.issue('localhost').pem })
    const context = await browser.newContext({ ignoreHTTPSErrors: true })
    const page = await context.newPage()
    const told: string[] = []
    page.on('console', (message) => told.push(message.text()))
    page.on('pageerror', (error) => told.push(error.message))
    await page.goto(`https://localhost:${port}/`)
    await page.waitForFunction(
      () => (globalThis as unknown as { document: { title: string } }).document.title === 'it works',
    )
    await context.close()
    expect(new Set(versions)).toEqual(new Set(['2']))
    expect(told.filter((line) => !line.includes('favicon') && !line.includes('404'))).toEqual([])
  })

  it('speaks a WebSocket through HTTP/2 to a server of HTTP/1.1', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    await new Promise((resolve) => server.once('listening', resolve))
    server.on('connection', (socket) => socket.on('message', (message) => socket.send(`echo ${String(message)}`)))
    await using core = withCore()
    const asked: string[] = []
    const protocol = http({
      routes: [
        { path: '/socket', upstream: `127.0.0.1:${(server.address() as AddressInfo).port}` },
        { path: '/', files: folder },
      ],
      hooks: { request: ({ request, upgrade }) => void asked.push(`${request.version} ${upgrade ?? ''}`) },
    })
    const { port } = await core.listen({ port: 0, host: '127.0.0.1', protocol, tls: authority.issue('localhost').pem })
    const context = await browser.newContext({ ignoreHTTPSErrors: true })
    const page = await context.newPage()
    await page.goto(`https://localhost:${port}/`)
    const answer = await page.evaluate(
      (url) =>
        new Promise<string>((resolve, reject) => {
          const socket = new WebSocket(url)
          socket.onopen = () => socket.send('hello')
          socket.onerror = () => reject(new Error('refused'))
          socket.onmessage = ({ data }) => {
            socket.close()
            resolve(String(data))
          }
        }),
      `wss://localhost:${port}/socket`,
    )
    expect(answer).toBe('echo hello')
    expect(asked).toContain('2 websocket')
    await until(() => expect(protocol.stats().tunnels).toBe(0))
    await context.close()
    server.close()
  })
})
