import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { closedPort, TestServer, withCore } from '../support/net.ts'
import { startNginx } from '../support/nginx.ts'
import { run, ServerProgram } from '../support/programs.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xps-'))
  await writeFile(join(folder, 'big.bin'), Buffer.alloc(5_000_000, 'b'))
  await writeFile(join(folder, 'small.txt'), 'small\n')
})
afterAll(() => rm(folder, { recursive: true }))

describe('nc', () => {
  it('gets a file, also when it sends something first', async () => {
    await using core = withCore()
    const { port } = await core.listen({ port: 0, host: '127.0.0.1', route: { file: 'small.txt', root: folder } })
    expect((await run('nc', ['-N', '127.0.0.1', `${port}`], '')).toString()).toBe('small\n')
    expect((await run('nc', ['-N', '127.0.0.1', `${port}`], 'hello\n')).toString()).toBe('small\n')
  })

  it('gets its whole answer after it has sent its request and ended (echo request | nc -N)', async () => {
    await using upstream = await TestServer.start((peer) => {
      void peer.text().then((text) => peer.end(`you said ${text}`))
    })
    await using core = withCore()
    const { port } = await core.listen({ port: 0, host: '127.0.0.1', route: { upstream: upstream.address } })
    expect((await run('nc', ['-N', '127.0.0.1', `${port}`], 'request')).toString()).toBe('you said request')
  })

  it('gets zero bytes and an end when the upstream is down', async () => {
    await using core = withCore()
    const refused = await closedPort()
    const { port } = await core.listen({ port: 0, host: '127.0.0.1', route: { upstream: `127.0.0.1:${refused}` } })
    expect(await run('nc', ['-N', '127.0.0.1', `${port}`], 'request')).toHaveLength(0)
  })
})

describe("Python's http.server behind the relay", () => {
  it('serves files of any size to curl, one connection after the other and many at once', async () => {
    await using upstream = await ServerProgram.start('python3', (port) => [
      '-m',
      'http.server',
      `${port}`,
      '--bind',
      '127.0.0.1',
      '--directory',
      folder,
    ])
    await using core = withCore()
    const { port } = await core.listen({ port: 0, host: '127.0.0.1', route: { upstream: upstream.address } })
    const big = await run('curl', ['-sf', `http://127.0.0.1:${port}/big.bin`])
    expect(big.equals(await readFile(join(folder, 'big.bin')))).toBe(true)
    const many = await Promise.all(
      Array.from({ length: 8 }, () => run('curl', ['-sf', `http://127.0.0.1:${port}/small.txt`])),
    )
    expect(many.map(String)).toEqual(Array(8).fill('small\n'))
  })
})

describe('nginx behind the relay', () => {
  it('serves keep-alive requests, downloads and uploads to curl', async () => {
    await using upstream = await startNginx(
      folder,
      (port) => `server { listen 127.0.0.1:${port}; root ${folder}; location / { dav_methods PUT; } }`,
    )
    await using core = withCore()
    const { port } = await core.listen({ port: 0, host: '127.0.0.1', route: { upstream: upstream.address } })
    const url = `http://127.0.0.1:${port}`
    const twice = await run('curl', ['-sf', '-w', '%{num_connects} ', `${url}/small.txt`, `${url}/small.txt`])
    expect(twice.toString()).toBe('small\n1 small\n0 ')
    const big = await run('curl', ['-sf', `${url}/big.bin`])
    expect(big).toHaveLength(5_000_000)
    const upload = ['-sf', '-T', join(folder, 'big.bin'), `${url}/uploaded.bin`]
    await run('curl', upload)
    expect((await readFile(join(folder, 'uploaded.bin'))).equals(big)).toBe(true)
  })
})

describe('An http.Server of the same process, without a port, behind the relay', () => {
  it('answers curl, request after request on one connection', async () => {
    const server = createServer((incoming, response) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('end', () => response.end(`${incoming.method} ${incoming.url} ${Buffer.concat(chunks).length}\n`))
    })
    await using core = withCore()
    const { port } = await core.listen({ port: 0, host: '127.0.0.1', route: { upstream: server } })
    const url = `http://127.0.0.1:${port}`
    const twice = await run('curl', ['-sf', '-w', '%{num_connects} ', `${url}/one`, `${url}/two`])
    expect(twice.toString()).toBe('GET /one 0\n1 GET /two 0\n0 ')
    const upload = await run('curl', [
      '-sf',
      '-H',
      'Expect:',
      '--data-binary',
      `@${join(folder, 'big.bin')}`,
      `${url}/up`,
    ])
    expect(upload.toString()).toBe('POST /up 5000000\n')
  })

  it('can be called by node:http, and closes when asked to', async () => {
    const server = createServer((_incoming, response) => response.end('done'))
    await using core = withCore()
    const { port } = await core.listen({ port: 0, host: '127.0.0.1', route: { upstream: server } })
    const text = await new Promise<string>((resolve, reject) => {
      request({ port, host: '127.0.0.1', headers: { connection: 'close' } }, (response) => {
        response.on('data', (chunk) => resolve(String(chunk)))
      })
        .on('error', reject)
        .end()
    })
    expect(text).toBe('done')
    expect(await core.close({ deadline: 3_000 })).toBeUndefined()
  })
})
