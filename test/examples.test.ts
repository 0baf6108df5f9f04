import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { credentials, Client as GrpcClient, Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { TestAuthority } from './support/certificates.ts'
import { dial, TestServer } from './support/net.ts'
import { run } from './support/programs.ts'

const authority = new TestAuthority()
afterAll(() => authority[Symbol.dispose]())

const folder = new URL('../examples/', import.meta.url)
const sample = await readFile(new URL('public/sample.txt', folder), 'utf8')

// What vitest sets for itself is not what a reader has.
const { PATH } = process.env

beforeAll(() => {
  if (!existsSync(new URL('../dist/index.js', import.meta.url))) throw new Error('dist is missing: run `npm run build`')
})

/** An example that runs as a process of its own. */
class Example implements AsyncDisposable {
  readonly #process: ChildProcess
  readonly #exit: Promise<unknown>
  #text = ''
  #errors = ''
  #ended = false

  constructor(file: string, ...args: (string | number)[]) {
    this.#process = spawn(process.execPath, [fileURLToPath(new URL(file, folder)), ...args.map(String)], {
      env: PATH === undefined ? {} : { PATH },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#exit = once(this.#process, 'close').then(() => {
      this.#ended = true
    })
    this.#process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#text += text
    })
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text
    })
  }

  /** What it has printed. */
  get text(): string {
    return this.#text
  }

  /** What it has printed as errors. */
  get errors(): string {
    return this.#errors
  }

  /** Waits until it has printed what the pattern finds, and returns what is in the pattern's brackets. */
  async printed(pattern: RegExp): Promise<string[]> {
    for (;;) {
      const match = pattern.exec(this.#text)
      if (match !== null) return match.slice(1)
      if (this.#ended) throw new Error(`it ended too early: ${this.#text}${this.#errors}`)
      await Promise.race([once(this.#process.stdout as NodeJS.ReadableStream, 'data'), this.#exit])
    }
  }

  /** The first port that it says. */
  async port(): Promise<number> {
    const [port] = await this.printed(/127\.0\.0\.1:(\d+)\b[\s\S]*\n/)
    return Number(port)
  }

  /** Waits for its end and resolves to the exit code. */
  async exited(): Promise<number | null> {
    await this.#exit
    return this.#process.exitCode
  }

  /** Asks it to stop, as a service manager would; resolves to the exit code. */
  stop(): Promise<number | null> {
    this.#process.kill('SIGTERM')
    return this.exited()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#exit
  }
}

/** What `curl` does: one request, and the whole answer. */
async function get(port: number, path: string): Promise<string> {
  const client = await dial(port)
  await client.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`)
  const answer = await client.text()
  client.end()
  expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  return answer
}

/** An HTTP server that answers every request with its name, and the method and target. */
async function namedUpstream(name: string): Promise<AsyncDisposable & { address: string }> {
  const server = createServer((request, response) => response.end(`${name}: ${request.method} ${request.url}`))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** One test for each file in examples/. It does what the example's `Try it` line says. */
const claims: Record<string, () => Promise<void>> = {
  async 'tcp-relay.js'() {
    await using upstream = new Example('own-protocol.js', 0)
    await using relay = new Example('tcp-relay.js', 0, `127.0.0.1:${await upstream.port()}`)
    const client = await dial(await relay.port())
    client.end('a line\n')
    expect(await client.text()).toBe('A LINE\n')
    await relay.printed(/session-1: done/)
    expect(await relay.stop()).toBe(0)
    expect(await upstream.stop()).toBe(0)
  },

  async 'file-server.js'() {
    await using example = new Example('file-server.js', 0)
    const client = await dial(await example.port())
    expect(await client.text()).toBe(sample)
    client.end()
    await example.printed(/session-1: sent/)
    expect(await example.stop()).toBe(0)
  },

  async 'load-shedding.js'() {
    await using example = new Example('load-shedding.js', 0)
    const port = await example.port()
    const served = [await dial(port), await dial(port)]
    for (const client of served) {
      await client.write('hello')
      expect(await client.read(5)).toBe('hello')
    }
    const more = [await dial(port), await dial(port), await dial(port), await dial(port)]
    await example.printed(/2 served, 2 waiting, refused so far: .*"queue-full":2/)
    await example.printed(/0 waiting, refused so far: .*"queue-timeout":2/)
    for (const client of [...more, ...served]) client.end()
    for (const client of more) expect(await client.text()).toBe('')
    for (const client of served) expect(await client.text()).toBe('')
    await example.printed(/0 served/)
    expect(await example.stop()).toBe(0)
  },

  async 'own-protocol.js'() {
    await using example = new Example('own-protocol.js', 0)
    const client = await dial(await example.port())
    await client.write('a line\n')
    expect(await client.read('\n')).toBe('A LINE\n')
    client.end('and one more\n')
    expect(await client.text()).toBe('AND ONE MORE\n')
    expect(await example.stop()).toBe(0)
  },

  async 'throttled-relay.js'() {
    await using upstream = await TestServer.start()
    await using example = new Example('throttled-relay.js', 0, upstream.address, '2 KB/s')
    const client = await dial(await example.port())
    const peer = await upstream.accept()
    const start = performance.now()
    peer.end('x'.repeat(1_000))
    expect(await client.text()).toBe('x'.repeat(1_000))
    // A tenth of a second's worth goes at once, the other 800 bytes take 400 ms.
    expect(performance.now() - start).toBeGreaterThan(350)
    client.end()
    expect(await example.stop()).toBe(0)
    expect(example.text).toContain('1000 bytes sent')
  },

  async 'in-process-upstream.js'() {
    await using example = new Example('in-process-upstream.js', 0)
    const [pid] = await example.printed(/process (\d+)/)
    expect(await get(await example.port(), '/hello')).toContain(`GET /hello, answered in process ${pid}`)
    expect(await example.stop()).toBe(0)
  },

  async 'graceful-shutdown.js'() {
    await using example = new Example('graceful-shutdown.js', 0)
    const port = await example.port()
    const client = await dial(port)
    const first = await client.read(1)
    const stopped = example.stop()
    await example.printed(/draining: 1 of 1 left/)
    await expect(dial(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    expect(first + (await client.text())).toBe(sample)
    client.end()
    expect(await stopped).toBe(0)
    expect(example.text).toMatch(/draining: 0 of 1 left\nall have finished\n$/)
  },

  async 'reverse-proxy.js'() {
    await using one = await namedUpstream('one')
    await using two = await namedUpstream('two')
    await using example = new Example('reverse-proxy.js', 0, one.address, two.address)
    const url = `http://127.0.0.1:${await example.port()}`
    const answers = [await (await fetch(`${url}/some/path`)).text(), await (await fetch(`${url}/some/path`)).text()]
    expect(answers.toSorted()).toEqual(['one: GET /some/path', 'two: GET /some/path'])
    await one[Symbol.asyncDispose]()
    await two[Symbol.asyncDispose]()
    const refused = await fetch(url)
    expect([refused.status, await refused.text()]).toEqual([502, 'Nobody is at home: XPS_CONNECT\n'])
    expect(await (await fetch(`${url}/health`)).text()).toBe('fine\n')
    expect(await example.stop()).toBe(0)
    expect(example.text.match(/"GET \/some\/path HTTP\/1\.1" 200 /g)).toHaveLength(2)
    expect(example.text).toMatch(/"GET \/ HTTP\/1\.1" 502 .*XPS_CONNECT"\n.*"GET \/health HTTP\/1\.1" 200 /)
  },

  async 'static-site.js'() {
    await using example = new Example('static-site.js', 0)
    const url = `http://127.0.0.1:${await example.port()}`
    const file = await fetch(`${url}/sample.txt`)
    expect([await file.text(), file.headers.get('cache-control')]).toEqual([sample, 'max-age=60'])
    expect(await (await fetch(`${url}/api/hello/world`)).json()).toMatchObject({ hello: 'world' })
    expect((await fetch(`${url}/api/sample.txt`)).status).toBe(404)
    expect(await (await fetch(url)).text()).toContain('<a href="./sample.txt">')
    expect(await example.stop()).toBe(0)
  },

  async 'hooks-authenticate.js'() {
    await using example = new Example('hooks-authenticate.js', 0)
    const url = `http://127.0.0.1:${await example.port()}`
    const stranger = await fetch(url, { headers: { 'x-user': 'ali', x_user: 'ali' } })
    expect([stranger.status, stranger.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
    const known = await fetch(url, { headers: { authorization: 'Bearer sesame', 'x-user': 'root', x_user: 'root' } })
    expect(await known.text()).toBe('Hello ali\n')
    expect((await fetch(`${url}/health`)).status).toBe(200)
    expect(await example.stop()).toBe(0)
    expect(example.text).toMatch(/\n401 nobody\n200 ali\n200 nobody\n$/)
  },

  async 'websocket-auth.js'() {
    const server = createServer()
    const seen: string[] = []
    const sockets = new WebSocketServer({ server })
    sockets.on('connection', (socket, req) => {
      seen.push(`${req.url} ${String(req.headers['x-user'])}`)
      socket.on('message', (data) => socket.send(`echo ${(data as Buffer).toString()}`))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    await using example = new Example('websocket-auth.js', 0, `127.0.0.1:${(server.address() as AddressInfo).port}`)
    const url = `127.0.0.1:${await example.port()}/chat`
    const status = (path: string): Promise<number | undefined> =>
      new Promise((resolve) =>
        new WebSocket(path).on('error', () => {}).on('unexpected-response', (_, res) => resolve(res.statusCode)),
      )
    expect((await fetch(`http://${url}`)).status).toBe(426)
    expect(await status(`ws://${url}`)).toBe(401)
    expect(await status(`ws://${url}?token=wrong`)).toBe(401)
    const socket = new WebSocket(`ws://${url}?token=sesame&room=1`, { headers: { 'X-User': 'root' } })
    socket.once('open', () => socket.send('hello'))
    const [answer] = (await once(socket, 'message')) as [Buffer]
    expect(answer.toString()).toBe('echo hello')
    socket.close()
    await once(socket, 'close')
    expect(seen).toEqual(['/chat?room=1 ali'])
    await example.printed(/a tunnel: \d+ B in, \d+ B out\n/)
    expect(await example.stop()).toBe(0)
    server.close()
  },

  async 'https-front.js'() {
    const app = createServer((request, response) => response.end(`app ${request.headers['x-forwarded-proto']}`))
    await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve))
    const { cert, key } = authority.issue('localhost').files
    const upstream = `127.0.0.1:${(app.address() as AddressInfo).port}`
    await using example = new Example('https-front.js', 0, upstream, cert, key)
    const url = `https://localhost:${await example.port()}/`
    for (const version of ['--http1.1', '--http2']) {
      const trusting = ['--cacert', authority.ca.files.cert, '--noproxy', '*', '-4']
      const answer = (await run('curl', ['-sSi', version, ...trusting, url])).toString()
      expect(answer).toMatch(/^HTTP\/(1\.1|2) 200/)
      expect(answer).toContain('strict-transport-security: max-age=31536000')
      expect(answer).toContain('app https')
    }
    expect(await example.stop()).toBe(0)
    app.close()
    app.closeAllConnections()
  },

  async 'grpc.js'() {
    const echo = (bytes: Buffer): Buffer => bytes
    const path = '/test.Echo/Say'
    const serialization = {
      requestSerialize: echo,
      requestDeserialize: echo,
      responseSerialize: echo,
      responseDeserialize: echo,
    }
    const server = new GrpcServer()
    server.addService(
      { say: { path, requestStream: false, responseStream: false, ...serialization } },
      { say: (call: { request: Buffer }, done: (error: null, answer: Buffer) => void) => done(null, call.request) },
    )
    const port = await new Promise<number>((resolve, reject) => {
      const insecure = ServerCredentials.createInsecure()
      server.bindAsync('127.0.0.1:0', insecure, (error, bound) => (error === null ? resolve(bound) : reject(error)))
    })
    await using example = new Example('grpc.js', 0, `127.0.0.1:${port}`)
    const client = new GrpcClient(`127.0.0.1:${await example.port()}`, credentials.createInsecure())
    const answer = await new Promise((resolve, reject) => {
      client.makeUnaryRequest(path, echo, echo, Buffer.from('hello'), (error, value) =>
        error === null ? resolve(String(value)) : reject(error),
      )
    })
    expect(answer).toBe('hello')
    await example.printed(/\/test\.Echo\/Say 200 after \d+ ms/)
    client.close()
    server.forceShutdown()
    expect(await example.stop()).toBe(0)
  },

  async 'rewrite-body.js'() {
    await using example = new Example('rewrite-body.js', 0)
    const answer = await fetch(`http://127.0.0.1:${await example.port()}/`)
    expect(await answer.text()).toBe('<p>This is the page.\n<p>And the end.\n')
    expect(await example.stop()).toBe(0)
  },

  async 'mount-hono.js'() {
    await using example = new Example('mount-hono.js', 0)
    const url = `http://127.0.0.1:${await example.port()}`
    expect(await (await fetch(`${url}/api/hello/world`)).json()).toEqual({ hello: 'world', address: '127.0.0.1' })
    const shout = await fetch(`${url}/api/shout`, { method: 'POST', body: 'some text' })
    expect(await shout.text()).toBe('SOME TEXT')
    expect(await (await fetch(`${url}/sample.txt`)).text()).toBe(sample)
    expect(await example.stop()).toBe(0)
  },

  async 'mount-express.js'() {
    await using example = new Example('mount-express.js', 0)
    const url = `http://127.0.0.1:${await example.port()}`
    expect(await (await fetch(`${url}/app/hello`)).json()).toEqual({ hello: '127.0.0.1', host: '127.0.0.1' })
    expect(await (await fetch(`${url}/sample.txt`)).text()).toBe(sample)
    expect(await example.stop()).toBe(0)
  },

  async 'state-telnet.js'() {
    await using example = new Example('state-telnet.js', 0)
    const [port, id] = await example.printed(/127\.0\.0\.1:(\d+)[\s\S]*has made (\w+):/)
    const client = await dial(Number(port))
    await client.write(`new\nput foo bar\nput today 2004-11-09\nkeys\nget today\nadd visits\nclose\nget foo\n`)
    expect(await client.read('opened.\r\n')).toMatch(
      /^ok [0-9a-f]{32}\r\nok\r\nok\r\nok foo\|today\r\nok 2004-11-09\r\nok 1\r\nok\r\nerr No session opened\.\r\n$/,
    )
    await client.write(`open ${id}\nadd visits\n`)
    expect(await client.read('2\r\n')).toBe('ok\r\nok 2\r\n')
    client.end()
    await client.gone()
    expect(await example.stop()).toBe(0)
  },

  async 'state-shop.js'() {
    const sessions = await mkdtemp(join(tmpdir(), 'xps-shop-'))
    try {
      await using example = new Example('state-shop.js', 0, 0, sessions)
      const ports = await example.printed(/127\.0\.0\.1:(\d+)\b.*\n.*127\.0\.0\.1:(\d+)\b.*\n/)
      const urls = ports.map((port) => `http://127.0.0.1:${port}`)
      const first = await fetch(`${urls[0]}/add`)
      // The session is saved when all of the response has come, and not before.
      expect(await first.text()).toBe('1 in the cart\n')
      const cookie = first.headers.getSetCookie()[0]?.split(';')[0] ?? ''
      const added = Array.from({ length: 20 }, async (_, index) => {
        const response = await fetch(`${urls[index % 2]}/add`, { headers: { cookie } })
        return response.text()
      })
      expect((await Promise.all(added)).toSorted()).toContain('21 in the cart\n')
      await (await fetch(`${urls[1]}/logout`, { headers: { cookie } })).text()
      expect(await (await fetch(`${urls[0]}/add`, { headers: { cookie } })).text()).toBe('1 in the cart\n')
      expect(await example.stop()).toBe(0)
    } finally {
      await rm(sessions, { recursive: true })
    }
  },

  async 'express-sessions.js'() {
    await using example = new Example('express-sessions.js', 0)
    const url = `http://127.0.0.1:${await example.port()}`
    const first = await fetch(`${url}/add`)
    expect(await first.text()).toBe('1\n')
    const cookie = first.headers.getSetCookie()[0]?.split(';')[0] ?? ''
    const ask = async (path: string): Promise<string> => (await fetch(url + path, { headers: { cookie } })).text()
    await Promise.all(Array.from({ length: 20 }, () => ask('/add')))
    expect(await ask('/')).toBe('21\n')
    expect(await ask('/logout')).toBe('goodbye\n')
    expect(await ask('/')).toBe('0\n')
    expect(await example.stop()).toBe(0)
  },

  async 'cookie-sessions.js'() {
    await using example = new Example('cookie-sessions.js', 0)
    const url = `http://127.0.0.1:${await example.port()}`
    expect(await (await fetch(url)).text()).toBe('1 in the cart of nobody; cookies: none\n')
    const login = await fetch(`${url}/account/login?ali`, { method: 'POST' })
    expect(await login.text()).toBe('hello ali\n')
    const cookie = `a=b; ${login.headers.getSetCookie()[0]?.split(';')[0]}`
    const add = async (): Promise<string> => (await fetch(`${url}/add`, { headers: { cookie } })).text()
    await Promise.all(Array.from({ length: 20 }, add))
    expect(await add()).toBe('21 in the cart of ali; cookies: a=b\n')
    const logout = await fetch(`${url}/account/logout`, { method: 'POST', headers: { cookie } })
    expect(logout.headers.getSetCookie()[0]).toMatch(/^xps-session=; Max-Age=0/)
    expect(await add()).toBe('1 in the cart of nobody; cookies: a=b\n')
    expect(await example.stop()).toBe(0)
  },

  async 'canary.js'() {
    await using stable = await namedUpstream('old')
    await using canary = await namedUpstream('new')
    for (const [percent, version] of [
      [0, 'old'],
      [100, 'new'],
    ] as const) {
      await using example = new Example('canary.js', 0, stable.address, canary.address, percent)
      const url = `http://127.0.0.1:${await example.port()}`
      const first = await fetch(url)
      expect(await first.text()).toBe(`${version}: GET /`)
      expect(first.headers.get('set-cookie')).toContain(`version=${version === 'old' ? 'stable' : 'canary'}`)
      for (const [field, value, expected] of [
        ['cookie', 'a=b; version=stable', 'old'],
        ['cookie', 'version=canary', 'new'],
        ['x-version', 'canary', 'new'],
      ] as const) {
        expect(await (await fetch(url, { headers: { [field]: value } })).text()).toBe(`${expected}: GET /`)
      }
      expect(await example.stop()).toBe(0)
    }
  },

  async 'http-proxy.js'() {
    await using upstream = await namedUpstream('there')
    await using example = new Example('http-proxy.js', 0, `http://${upstream.address}`)
    const url = `http://127.0.0.1:${await example.port()}`
    const answer = await fetch(`${url}/hello`)
    expect([await answer.text(), answer.headers.get('x-by')]).toEqual(['there: GET /hello', 'xps'])
    await upstream[Symbol.asyncDispose]()
    const refused = await fetch(`${url}/gone`)
    expect([refused.status, await refused.text()]).toEqual([502, 'try again later\n'])
    await example.printed(/\/gone: ECONNREFUSED/)
    expect(await example.stop()).toBe(0)
  },

  async 'soap-ticker.js'() {
    await using server = new Example('soap-ticker.js', 0)
    await using client = new Example('soap-ticker.js', await server.port(), 'ACME')
    await client.exited()
    expect(client.text).toMatch(/^(?:\d{3}(?:\.\d+)?\n){5}$/)
    // The client was killed; what it had subscribed to ends all the same.
    await server.printed(/ann is gone, 0 are left/)
    expect(await server.stop()).toBe(0)
  },

  async 'soap-orders.js'() {
    await using example = new Example('soap-orders.js', 0)
    expect(await example.exited()).toBe(0)
    const [, ...lines] = example.text.trim().split('\n')
    expect(lines).toEqual(['placed 1', 'order at least one', 'not entitled', 'placed 2'])
  },

  async 'unit-test.js'() {
    await using example = new Example('unit-test.js')
    expect(await example.exited()).toBe(0)
    expect(example.text).toMatch(/fail 0/)
    expect(example.text).not.toMatch(/pass [0-9]\n/)
  },

  async 'demo.js'() {
    await using example = new Example('demo.js', 0, 0, 0)
    const [relay, file] = await example.printed(
      /try: curl http:\/\/127\.0\.0\.1:(\d+)\/\n.*try: nc 127\.0\.0\.1 (\d+)\n/,
    )
    expect(await get(Number(relay), '/a/path')).toContain('You asked for /a/path')
    const client = await dial(Number(file))
    expect(await client.text()).toBe(sample)
    client.end()
    expect(await example.stop()).toBe(0)
    expect(example.text).toMatch(/stopping: \d sessions? (is|are) left\n[\s\S]*done\n$/)
  },
}

describe('examples', () => {
  it('each have a test here', () => {
    const files = readdirSync(folder).filter((name) => name.endsWith('.js'))
    expect(files.toSorted()).toEqual(Object.keys(claims).toSorted())
  })

  for (const [file, claim] of Object.entries(claims)) it(`${file} does what it says`, claim)

  it('fit on a page, are checked by the compiler and say how to try them', async () => {
    for (const file of Object.keys(claims)) {
      const text = await readFile(new URL(file, folder), 'utf8')
      expect(text, file).toMatch(/^\/\/ @ts-check\n\/\/ [\s\S]*\n\/\/ Try it: {2}/)
      expect(text.split('\n').length, file).toBeLessThanOrEqual(50)
      for (const [, from] of text.matchAll(/from '([^']+)'/g))
        expect(from, file).toMatch(
          /^(xps|xps\/(http|http-proxy|http-sessions|state|soap|testing)|node:[\w/]+|hono|express|express-session)$/,
        )
    }
  })

  it('demo.js says in one line that a port is in use, and ends with exit code 1', async () => {
    await using other = await TestServer.start()
    for (const ports of [
      [other.port, 0, 0],
      [0, other.port, 0],
      [0, 0, other.port],
    ]) {
      await using example = new Example('demo.js', ...ports)
      expect(await example.exited()).toBe(1)
      expect(example.text).toBe('')
      expect(example.errors).toMatch(new RegExp(`^demo: .*127\\.0\\.0\\.1:${other.port}.*\\n$`))
      expect(example.errors).toContain('in use')
    }
  })
})
