import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { dial, TestServer } from './support/net.ts'

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
        expect(from, file).toMatch(/^(xps|xps\/testing|node:[\w/]+)$/)
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
