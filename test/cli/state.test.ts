import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { StateClient } from '../../src/state/index.ts'
import { Cli, said } from '../support/cli.ts'
import { until } from '../support/until.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xps-state-'))
})
afterAll(() => rm(folder, { recursive: true }))

const listening = /listening on (127\.0\.0\.1:\d+) → (.*)\n/

describe('xps state', () => {
  it('serves sessions from files, and lists, shows, watches and removes them', async () => {
    await using cli = new Cli(['state', '--port', '0', '--store', 'file:store', '--admin'], folder)
    const [, address = '', store] = await cli.line(listening)
    expect(store).toBe('files in store')
    await using state = new StateClient(address)
    await using watching = new Cli(['state', 'watch', '--server', address])
    const ask = async (...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> => {
      await using one = new Cli(['state', ...args, '--server', address])
      return { code: await one.exited, stdout: one.stdout, stderr: one.stderr }
    }
    // Who watches is told what happens from when it has begun to.
    await until(async () => {
      await state.destroySession(await state.newSession(({ id: passing }) => passing))
      expect(watching.stdout).toContain('destroyed')
    }, 15_000)
    const id = await state.newSession(async (session) => {
      await session.put('user', 'Zoë')
      await session.put('evil', '\u001b[2J')
      return session.id
    })
    await watching.line(new RegExp(`committed ${id}\n`))
    expect((await readdir(join(folder, 'store'))).sort()).toEqual(['.xps-lock', `${id}.txt`])
    expect((await ask('ls')).stdout).toMatch(new RegExp(`^${id} {2}expires \\d{4}-\\d\\d-.*Z\n$`))
    expect((await ask('show', id)).stdout).toBe('"user" "Zoë"\n"evil" "\\u001b[2J"\n')
    expect(await ask('rm', id)).toEqual({ code: 0, stdout: '', stderr: '' })
    await watching.line(new RegExp(`destroyed ${id}\n`))
    expect(await ask('rm', id)).toEqual({ code: 1, stdout: '', stderr: 'xps: there is no such session\n' })
    watching.process.kill('SIGINT')
    expect(await watching.exited).toBe(0)
    await state.close()
    cli.process.kill('SIGTERM')
    expect(await cli.exited).toBe(0)
    expect(cli.stderr).toBe('')
  })

  it('asks for the secret of a file, and tells nobody the ids who may not know', async () => {
    await writeFile(join(folder, 'secret'), 'open sesame\n')
    await using cli = new Cli(['state', '--port', '0', '--store', 'memory', '--secret-file', 'secret'], folder)
    const [, address = ''] = await cli.line(listening)
    await using without = new Cli(['state', 'ls', '--server', address])
    await using wrong = new Cli(['state', 'ls', '--server', address], folder, { XPS_STATE_SECRET: 'guess' })
    await using right = new Cli(['state', 'ls', '--server', address, '--secret-file', 'secret'], folder)
    expect([await without.exited, await wrong.exited, await right.exited]).toEqual([1, 1, 1])
    expect(without.stderr).toMatch(/not authenticated/)
    expect(wrong.stderr).toMatch(/wrong secret/)
    expect(right.stderr).toMatch(/not allowed/)
  })

  // F.1.37
  it('loses nothing that was acknowledged when it is killed', async () => {
    const kept = new Map<string, number>()
    for (let round = 0; round < 3; round++) {
      await using cli = new Cli(['state', '--port', '0', '--store', 'file:killed'], folder)
      const [, address = ''] = await cli.line(listening)
      await using state = new StateClient(address)
      for (const [id, n] of kept) expect(Number((await state.read(id))?.entries.get('n'))).toBeGreaterThanOrEqual(n)
      const writers = Array.from({ length: 4 }, async () => {
        for (;;) {
          const id = await state.newSession(async (session) => {
            await session.put('n', '1')
            return session.id
          })
          kept.set(id, 1)
          for (let n = 2; n < 5; n++) {
            await state.session(id, (session) => session.put('n', String(n)))
            kept.set(id, n)
          }
        }
      })
      const before = kept.size
      await until(() => expect(kept.size).toBeGreaterThan(before + 20))
      cli.process.kill('SIGKILL')
      await Promise.allSettled(writers)
    }
    expect(kept.size).toBeGreaterThan(60)
  })

  it('leaves a folder to the server that has it, and takes it over from one that was killed', async () => {
    const args = ['state', '--port', '0', '--store', 'file:claimed']
    await using first = new Cli(args, folder)
    await first.line(listening)
    await using second = new Cli(args, folder)
    expect(await second.exited).toBe(1)
    expect(second.stderr).toBe(
      `xps: claimed is in use by process ${first.process.pid}: one store at a time may have a folder\n`,
    )
    first.process.kill('SIGKILL')
    await first.exited
    await using third = new Cli(args, folder)
    await third.line(listening)
  })

  it('says what was typed wrong', async () => {
    const wrong: [string[], RegExp][] = [
      [['state', 'bogus'], /unknown command 'state bogus'/],
      [['state', '--store', 'tape'], /--store must be memory, file:DIR, lmdb:DIR, redis/],
      [['state', '--port', 'x'], /--port/],
      [['state', '--host', '0.0.0.0', '--store', 'memory'], /host must be of this machine/],
      [['state', '--idle-lifetime', 'long'], /--idle-lifetime/],
      [['state', '--deadline', '99999999999'], /^xps: --deadline must be milliseconds from 0 to 2147483647, got/],
      [
        ['state', '--deadline', '-1'],
        /^xps: Option '--deadline' argument is ambiguous \(xps state --help says more\)\n$/,
      ],
      [['state', '--secret-file', 'nowhere'], /^xps: --secret-file: nowhere cannot be read \(ENOENT\)/],
      [['state', 'show'], /takes one id/],
      [['state', 'ls', 'more'], /takes no id/],
      [['state', 'ls', '--server', 'nowhere'], /upstream must be an address/],
    ]
    for (const [args, message] of wrong) {
      expect(await said(args, folder)).toEqual({ code: 2, stdout: '', stderr: expect.stringMatching(message) })
    }
    await using cli = new Cli(['state', 'bogus'])
    expect(await cli.exited).toBe(2)
    expect(cli.stderr).toBe("xps: unknown command 'state bogus' (xps state --help says more)\n")
  })
})
