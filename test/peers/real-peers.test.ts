import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { closedPort, TestServer, withCore } from '../support/net.ts'

// The programs are installed by the CI script. A machine without one fails here, and says which is missing.
let folder: string
const children: ChildProcess[] = []
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xps-'))
  await writeFile(join(folder, 'big.bin'), Buffer.alloc(5_000_000, 'b'))
  await writeFile(join(folder, 'small.txt'), 'small\n')
})
afterAll(async () => {
  for (const child of children) {
    child.kill()
    if (child.exitCode === null) await once(child, 'exit')
  }
  await rm(folder, { recursive: true })
})

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
    const upstream = await start('python3', (port) => [
      '-m',
      'http.server',
      `${port}`,
      '--bind',
      '127.0.0.1',
      '--directory',
      folder,
    ])
    await using core = withCore()
    const { port } = await core.listen({ port: 0, host: '127.0.0.1', route: { upstream: `127.0.0.1:${upstream}` } })
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
    const upstream = await startNginx()
    await using core = withCore()
    const { port } = await core.listen({ port: 0, host: '127.0.0.1', route: { upstream: `127.0.0.1:${upstream}` } })
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

/** Runs a program to its end and resolves to its output; a missing program or a failure rejects with its name. */
function run(command: string, args: readonly string[], input = ''): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      command,
      args,
      { encoding: 'buffer', maxBuffer: 64 * 1024 * 1024, timeout: 15_000 },
      (error, stdout) => {
        if (error === null) resolve(stdout)
        else reject(new Error(`${command}: ${error.message} (is it installed?)`))
      },
    )
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
  })
}

/** Starts a server program on a free port; resolves to the port when it listens. */
async function start(command: string, args: (port: number) => string[]): Promise<number> {
  const port = await closedPort()
  const child = spawn(command, args(port), { stdio: ['ignore', 'ignore', 'ignore'] })
  children.push(child)
  let failure: Error | undefined
  child.once('error', (error) => {
    failure = new Error(`${command}: ${error.message} (is it installed?)`)
  })
  for (let tries = 0; tries < 200; tries++) {
    if (failure !== undefined) throw failure
    if (await listens(port)) return port
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error(`${command} does not listen`)
}

async function startNginx(): Promise<number> {
  return start('nginx', (port) => {
    const config = `
      daemon off; pid ${folder}/nginx.pid; error_log ${folder}/error.log; worker_processes 1; user root;
      events { worker_connections 256; }
      http {
        access_log off; client_body_temp_path ${folder}/body; client_max_body_size 50m;
        proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
        server { listen 127.0.0.1:${port}; root ${folder}; location / { dav_methods PUT; } }
      }`
    return ['-p', folder, '-e', `${folder}/error.log`, '-c', writeConfig(config)]
  })
}

function writeConfig(text: string): string {
  const path = join(folder, 'nginx.conf')
  writeFileSync(path, text)
  return path
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
