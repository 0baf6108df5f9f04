import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { StateClient } from '../../src/state/index.ts'
import { TestPeer } from '../../src/testing/index.ts'
import { Client } from '../state/support.ts'
import { TestAuthority } from '../support/certificates.ts'
import { Cli, said } from '../support/cli.ts'
import { until } from '../support/until.ts'

const listening = /listening on tls:\/\/127\.0\.0\.1:(\d+) → (.*)\n/

let folder: string
let authority: TestAuthority
let ca: string
let server: Cli
let port: number
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xps-state-tls-'))
  await writeFile(join(folder, 'secret'), 'open sesame\n')
  authority = new TestAuthority()
  ca = authority.ca.files.cert
  const { cert, key } = authority.issue('127.0.0.1', 'localhost').files
  const certificate = ['--cert', cert, '--key', key]
  server = new Cli(
    ['state', '--port', '0', '--store', 'memory', '--admin', '--secret-file', 'secret', ...certificate],
    folder,
  )
  port = Number((await server.line(listening))[1])
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  authority[Symbol.dispose]()
  await rm(folder, { recursive: true })
})

async function telnet(): Promise<Client> {
  const socket = await new Promise<TLSSocket>((resolve, reject) => {
    const opened: TLSSocket = connect({ port, host: '127.0.0.1', ca: authority.ca.pem.cert }, () => resolve(opened))
    opened.once('error', reject)
  })
  return new Client(new TestPeer(socket))
}

describe('xps state with a certificate', () => {
  // F.1.43
  it('hears no command before the secret, and none at all after eleven wrong ones', async () => {
    const client = await telnet()
    for (const command of ['new', 'open 0123456789abcdef0123456789abcdef', 'put a b', 'close', 'stats', 'list']) {
      expect(await client.ask(command)).toBe('err Not authenticated.')
    }
    expect(await client.ask('auth open%20sesame')).toBe('ok')
    expect(await client.ask('new')).toMatch(/^ok [0-9a-f]{32}$/)
    client.peer.end()
    const guesser = await telnet()
    for (let guess = 0; guess < 11; guess++) expect(await guesser.ask(`auth guess${guess}`)).toBe('err Wrong secret.')
    await guesser.peer.over()
  })

  it('is asked with tls:// and its authority, by the same commands', async () => {
    const address = `tls://127.0.0.1:${port}`
    const secret = { auth: 'open sesame' }
    await using state = new StateClient(address, { ...secret, tls: { ca } })
    const id = await state.newSession(async (session) => {
      await session.put('user', 'ali')
      return session.id
    })
    const ask = async (...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> => {
      await using one = new Cli(['state', ...args, '--secret-file', 'secret'], folder)
      return { code: await one.exited, stdout: one.stdout, stderr: one.stderr }
    }
    await using watching = new Cli(
      ['state', 'watch', '--server', address, '--ca', ca, '--secret-file', 'secret'],
      folder,
    )
    const [shown, trusted, untrusted, plain] = await Promise.all([
      ask('show', id, '--server', address, '--ca', ca),
      ask('ls', '--server', `127.0.0.1:${port}`, '--ca', ca),
      ask('ls', '--server', address),
      ask('ls', '--server', `127.0.0.1:${port}`),
    ])
    expect(shown).toEqual({ code: 0, stdout: '"user" "ali"\n', stderr: '' })
    expect(trusted.stdout).toContain(id)
    expect(untrusted).toMatchObject({ code: 1, stdout: '' })
    expect(untrusted.stderr).toMatch(/^xps: .*(certificate|UNABLE_TO_VERIFY)/)
    expect(plain).toMatchObject({ code: 1, stdout: '' })
    let count = 0
    await until(async () => {
      await state.session(id, (session) => session.put('count', String(++count)))
      expect(watching.stdout).toContain(`committed ${id}\n`)
    }, 15_000)
    expect(await ask('rm', id, '--server', address, '--ca', ca)).toEqual({ code: 0, stdout: '', stderr: '' })
    await watching.line(new RegExp(`destroyed ${id}\n`))
  })

  it('wants a secret for other machines all the same, and says what was typed wrong', async () => {
    const { cert, key } = authority.issue('127.0.0.1').files
    const wrong: [string[], RegExp, number][] = [
      [['--host', '0.0.0.0', '--cert', cert, '--key', key], /host must be of this machine/, 2],
      [['--cert', cert], /--cert and --key are given both/, 2],
      [['--key', key], /--cert and --key are given both/, 2],
      [['--cert', cert, '--key', 'nowhere.key'], /tls\.key must be a file that can be read/, 1],
      [['--cert', cert, '--key', authority.ca.files.key], /tls must be a certificate with its key/, 1],
    ]
    for (const [args, message, code] of wrong) {
      const outcome = await said(['state', '--port', '0', '--store', 'memory', ...args], folder)
      expect(outcome, args.join(' ')).toEqual({ code, stdout: '', stderr: expect.stringMatching(message) })
    }
    expect(await said(['state', 'ls', '--server', 'tls://127.0.0.1:1', '--ca', 'nowhere.pem'], folder)).toEqual({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/ca must be a file that can be read/),
    })
  })
})
