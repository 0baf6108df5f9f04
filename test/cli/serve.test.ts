import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Cli, said } from '../support/cli.ts'
import { closedPort, dial, TestServer } from '../support/net.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xps-'))
  await mkdir(join(folder, 'public'))
  await writeFile(join(folder, 'public', 'sample.txt'), 'sample\n')
  await writeFile(join(folder, 'secret.txt'), 'secret\n')
})
afterAll(() => rm(folder, { recursive: true }))

describe('xps serve', () => {
  it('relays and sends files, prints one line per listener, and ends with 0 on SIGTERM', async () => {
    await using upstream = await TestServer.start((peer) => void peer.end('from upstream'))
    await using cli = new Cli(
      [
        'serve',
        '--upstream',
        `127.0.0.1:0=${upstream.address}`,
        '--file',
        '[::1]:0=public/sample.txt',
        '--file',
        `127.0.0.1:0=sample.txt`,
        '--root',
        'public',
      ],
      folder,
    )
    expect(await cli.exited).toBe(1) // public/public/sample.txt is none: with a root, paths are within it.
    expect(cli.stderr).toBe('xps: public/sample.txt does not exist\n')

    await using good = new Cli(
      ['serve', '--upstream', `127.0.0.1:0=${upstream.address}`, '--file', '127.0.0.1:0=public/sample.txt'],
      folder,
    )
    const relay = await good.line(new RegExp(`listening on 127\\.0\\.0\\.1:(\\d+) → ${upstream.address}\n`))
    const file = await good.line(/listening on 127\.0\.0\.1:(\d+) → file public\/sample\.txt\n/)
    const one = await dial(Number(relay[1]))
    expect(await one.text()).toBe('from upstream')
    one.end()
    const two = await dial(Number(file[1]))
    expect(await two.text()).toBe('sample\n')
    two.end()
    await Promise.all([one.gone(), two.gone()])
    good.process.kill('SIGTERM')
    expect(await good.exited).toBe(0)
    expect(good.stderr).toBe('')
    expect(good.stdout.trim().split('\n').at(-1)).toBe('done')
  })

  it('drains on SIGINT with a progress line, and lets the session finish', async () => {
    await using upstream = await TestServer.start()
    await using cli = new Cli(['serve', '--upstream', `127.0.0.1:0=${upstream.address}`])
    const [, port] = await cli.line(/listening on 127\.0\.0\.1:(\d+)/)
    const client = await dial(Number(port))
    await client.write('begun')
    const peer = await upstream.accept()
    await peer.read(5)
    cli.process.kill('SIGINT')
    await cli.line(/draining: 1 session left of 1, for at most 10000 ms\n/)
    await expect(dial(Number(port))).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    peer.end('and ended')
    client.end()
    expect(await client.text()).toBe('and ended')
    expect(await cli.exited).toBe(0)
  })

  it('aborts on a second signal, and says so by exit code 1', async () => {
    await using upstream = await TestServer.start()
    await using cli = new Cli(['serve', '--upstream', `127.0.0.1:0=${upstream.address}`])
    const [, port] = await cli.line(/listening on 127\.0\.0\.1:(\d+)/)
    const client = await dial(Number(port))
    await upstream.accept()
    cli.process.kill('SIGTERM')
    await cli.line(/draining: 1 session left/)
    cli.process.kill('SIGTERM')
    expect(await cli.exited).toBe(1)
    expect(cli.stdout).toContain('aborting: 1 session cut off')
    await client.over()
    client.end()
  })

  it('cuts off what has not finished by the deadline', async () => {
    await using upstream = await TestServer.start()
    await using cli = new Cli(['serve', '--upstream', `127.0.0.1:0=${upstream.address}`, '--deadline', '50'])
    const [, port] = await cli.line(/listening on 127\.0\.0\.1:(\d+)/)
    const client = await dial(Number(port))
    await upstream.accept()
    cli.process.kill('SIGTERM')
    expect(await cli.exited).toBe(0)
    expect(cli.stdout).toContain('cut off what was left')
    await client.over()
    client.end()
  })

  it.each<[string, string[], string]>([
    ['nothing to serve', ['serve'], 'nothing to serve: give --http, --https, --upstream or --file'],
    ['an unknown option', ['serve', '--upstreem', '1=a:1'], "Unknown option '--upstreem'"],
    ['an unknown command', ['sevre'], "unknown command 'sevre'"],
    [
      'a mapping without =',
      ['serve', '--upstream', '8001'],
      "--upstream must be LISTEN=TARGET, such as 8001=127.0.0.1:3000, got '8001'",
    ],
    [
      'a port out of range',
      ['serve', '--upstream', '70000=a:1'],
      "LISTEN must be a 'port' or 'host:port', got '70000'",
    ],
    [
      'a bad target',
      ['serve', '--upstream', '8001=nowhere'],
      "--upstream must be an address such as '127.0.0.1:3000' or 'unix:/path', got 'nowhere'",
    ],
    ['a port that is given twice', ['serve', '--file', '8001=a', '--file', '8001=b'], '*:8001 is given twice'],
    [
      'a bad deadline',
      ['serve', '--file', '8001=a', '--deadline', 'soon'],
      "--deadline must be milliseconds from 1 to 86400000, got 'soon'",
    ],
    [
      'a bad connect timeout',
      ['serve', '--upstream', '8001=a:1', '--connect-timeout', '0'],
      '--connect-timeout must be milliseconds',
    ],
  ])('says in one line what is wrong with %s, and ends with 2', async (_name, args, message) => {
    const { code, stdout, stderr } = await said(args)
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toContain(message)
    expect(stderr.trim().split('\n')).toHaveLength(1)
  })

  it('says so on its standard error, with its exit code', async () => {
    await using cli = new Cli(['serve'])
    expect(await cli.exited).toBe(2)
    expect(cli.stdout).toBe('')
    expect(cli.stderr).toMatch(/^xps: nothing to serve: .*\n$/)
  })

  it.each<[string, string, string]>([
    ['a missing file', 'public/absent.txt', 'public/absent.txt does not exist'],
    ['a file outside the root', '../secret.txt', '../secret.txt lies outside .'],
    ['a folder', '.', '. lies outside .'],
  ])('says in one line that it cannot serve %s, and ends with 1', async (_name, path, message) => {
    const args = ['serve', '--file', `127.0.0.1:0=${path}`]
    expect(await said(args, join(folder, 'public'))).toEqual({ code: 1, stdout: '', stderr: `xps: ${message}\n` })
  })

  it('leaves nothing half-started when the second port is in use', async () => {
    await using taken = await TestServer.start()
    const free = await closedPort()
    await using cli = new Cli([
      'serve',
      '--upstream',
      `127.0.0.1:${free}=${taken.address}`,
      '--upstream',
      `${taken.address}=${taken.address}`,
    ])
    expect(await cli.exited).toBe(1)
    expect(cli.stderr).toBe(`xps: cannot listen on ${taken.address}: the address is in use\n`)
    await expect(dial(free)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })
})

describe('xps', () => {
  it('shows its help', async () => {
    await using cli = new Cli(['--help'])
    expect(await cli.exited).toBe(0)
    for (const word of ['serve', '--upstream', '--file', '--root', '--deadline', 'Examples', 'Exit codes']) {
      expect(cli.stdout).toContain(word)
    }
  })

  it('shows its help, as a mistake, when it is not told what to do', async () => {
    expect(await said([])).toEqual({ code: 2, stdout: expect.stringContaining('Usage'), stderr: '' })
  })

  it('tells its version', async () => {
    await using cli = new Cli(['--version'])
    expect(await cli.exited).toBe(0)
    expect(cli.stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})
