import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Cli, said } from '../support/cli.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xps-'))
  await mkdir(join(folder, 'public', 'sub'), { recursive: true })
  await writeFile(join(folder, 'public', 'page.html'), '<p>page</p>')
  await writeFile(join(folder, 'public', 'app.html'), '<p>app</p>')
})
afterAll(() => rm(folder, { recursive: true }))

/** The exit code and what was complained of. */
async function refused(...args: string[]): Promise<[number, string]> {
  const { code, stderr } = await said(['serve', ...args], folder)
  return [code, stderr.trim()]
}

describe('xps serve --http', () => {
  it('forwards to a URL, with the path of the URL in front, and logs each request when asked to', async () => {
    const app = createServer((request, response) => response.end(`app ${request.url}`)).listen(0, '127.0.0.1')
    await new Promise((resolve) => app.once('listening', resolve))
    const { port } = app.address() as AddressInfo
    await using cli = new Cli(
      ['serve', '--http', `127.0.0.1:0=http://127.0.0.1:${port}/base`, '--access-log', '--connect-timeout', '1000'],
      folder,
    )
    const [, own] = await cli.line(/listening on 127\.0\.0\.1:(\d+) → http:\/\//)
    const response = await fetch(`http://127.0.0.1:${own}/x?y=1`)
    expect([response.status, await response.text()]).toEqual([200, 'app /base/x?y=1'])
    await cli.line(/^127\.0\.0\.1 - - \[.*\] "GET \/x\?y=1 HTTP\/1\.1" 200 15 .* 127\.0\.0\.1:\d+ "-"$/m)
    cli.process.kill('SIGTERM')
    expect(await cli.exited).toBe(0)
    expect(cli.stderr).toBe('')
    app.close()
    app.closeAllConnections()
  })

  it('goes on when nobody reads its log any more', async () => {
    await using cli = new Cli(['serve', '--http', '127.0.0.1:0=./public', '--access-log'], folder)
    const [, port] = await cli.line(/listening on 127\.0\.0\.1:(\d+) → \.\/public/)
    cli.process.stdout?.destroy()
    for (let request = 0; request < 3; request++) {
      const response = await fetch(`http://127.0.0.1:${port}/page.html`)
      expect(await response.text()).toBe('<p>page</p>')
    }
    expect(cli.stderr).toBe('')
  })

  it('serves a folder, with a list of it and a file for what is not there when asked to', async () => {
    await using cli = new Cli(
      ['serve', '--http', '127.0.0.1:0=./public', '--listing', '--fallback', 'app.html'],
      folder,
    )
    const [, port] = await cli.line(/listening on 127\.0\.0\.1:(\d+) → \.\/public/)
    const get = async (path: string, headers: Record<string, string> = {}): Promise<[number, string]> => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers })
      return [response.status, await response.text()]
    }
    expect(await get('/page.html')).toEqual([200, '<p>page</p>'])
    expect((await get('/'))[1]).toContain('href="./sub/"')
    expect(await get('/nothing', { accept: 'text/html' })).toEqual([200, '<p>app</p>'])
    expect((await get('/nothing.png', { accept: 'image/png' }))[0]).toBe(404)
  })

  it('says in one line what was typed wrong', async () => {
    expect(await refused('--http', '0=missing')).toEqual([1, 'xps: missing is no folder'])
    expect(await refused('--http', '0=localhost:3000')).toEqual([
      1,
      'xps: localhost:3000 is no folder (or is it http://localhost:3000?)',
    ])
    for (const [args, message] of [
      [
        ['--http', '0=ftp://a.test'],
        `--http must lead to http://HOST[:PORT][/PATH], https://…, h2c://… or a folder, got 'ftp://a.test'`,
      ],
      [['--http', '0=http://a.test/?x'], 'http://HOST[:PORT][/PATH]'],
      [['--http', 'public'], 'such as 8003=http://127.0.0.1:3000 or 8003=./public'],
      [['--http', '0=http://a.test', '--listing'], '--listing and --fallback are for folders'],
    ] as const) {
      const [code, complaint] = await refused(...args)
      expect([code, complaint]).toEqual([2, expect.stringContaining(message)])
      expect(complaint.split('\n')).toHaveLength(1)
    }
  })
})
