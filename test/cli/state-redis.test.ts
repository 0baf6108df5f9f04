import { cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { StateClient } from '../../src/state/index.ts'
import { Cli, said } from '../support/cli.ts'
import { closedPort } from '../support/net.ts'
import { run, type ServerProgram } from '../support/programs.ts'
import { startRedis } from '../support/redis.ts'

const listening = /listening on (127\.0\.0\.1:\d+) → (.*)\n/
const root = fileURLToPath(new URL('../..', import.meta.url))

let folder: string
let redis: ServerProgram
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xps-state-redis-'))
  redis = await startRedis(folder, ['--requirepass', 'a secret'])
})
afterAll(async () => {
  await redis?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

describe('xps state --store redis://', () => {
  it('shares sessions between two servers, one at a time, and leaves no connection behind', async () => {
    const env = { XPS_REDIS_PASSWORD: 'a secret' }
    const args = ['state', '--port', '0', '--admin', '--store', `redis://${redis.address}/1`]
    await using one = new Cli(args, folder, env)
    await using other = new Cli([...args.slice(0, -1), `redis://:a%20secret@${redis.address}/1`], folder)
    const [, near = '', text] = await one.line(listening)
    const [, far = ''] = await other.line(listening)
    expect(text).toBe(`Redis on redis://${redis.address}/1`)
    expect(other.stdout).not.toContain('secret')
    await using first = new StateClient(near)
    await using second = new StateClient(far)
    const id = await first.newSession(async (session) => {
      await session.put('n', '0')
      return session.id
    })
    await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        (index % 2 === 0 ? first : second).session(id, async (session) => {
          await session.put('n', String(Number(await session.get('n')) + 1))
        }),
      ),
    )
    expect((await second.read(id))?.entries.get('n')).toBe('50')
    await Promise.all([first.close(), second.close()])
    for (const cli of [one, other]) cli.process.kill('SIGTERM')
    expect([await one.exited, await other.exited]).toEqual([0, 0])
    expect(one.stderr + other.stderr).toBe('')
    const clients = String(await run('redis-cli', ['-p', String(redis.port), '-a', 'a secret', 'client', 'list']))
    expect(clients.trim().split('\n')).toHaveLength(1)
  })

  it('says in one line what is wrong: no Redis there, a wrong password, no address, no package', async () => {
    const nowhere = `redis://127.0.0.1:${await closedPort()}`
    // As where only xps is installed.
    const alone = join(folder, 'alone')
    await mkdir(join(alone, 'node_modules'), { recursive: true })
    await cp(join(root, 'dist'), join(alone, 'dist'), { recursive: true })
    await cp(join(root, 'package.json'), join(alone, 'package.json'))
    for (const name of ['debug', 'ms', 'eventemitter3', 'path-to-regexp', 'mrmime', 'negotiator', 'range-parser']) {
      await symlink(join(root, 'node_modules', name), join(alone, 'node_modules', name))
    }
    const wrong: [string[], RegExp, number, string?][] = [
      [[nowhere], /^xps: Redis on \S+ cannot be used: connect ECONNREFUSED \S+\n$/, 1],
      [[`redis://:guess@${redis.address}`], /^xps: Redis on \S+ cannot be used: WRONGPASS .*\n$/, 1],
      [[nowhere], /^xps: the package that speaks to Redis is not there: npm install redis\n$/, 1, alone],
    ]
    await Promise.all(
      wrong.map(async ([[store = ''], message, code, where]) => {
        const bin = where === undefined ? undefined : join(where, 'dist', 'cli.js')
        await using cli = new Cli(['state', '--port', '0', '--store', store], folder, {}, bin)
        expect(await cli.exited, store).toBe(code)
        expect(cli.stderr).toMatch(message)
      }),
    )
    for (const store of [`redis://${redis.address}/one`, 'rediss://']) {
      expect(await said(['state', '--port', '0', '--store', store])).toEqual({
        code: 2,
        stdout: '',
        stderr: expect.stringMatching(/^xps: --store rediss?:\/\/… is no address .*\n$/),
      })
    }
  })
})
