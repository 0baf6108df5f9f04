import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { StateClient } from '../../../src/state/index.ts'
import { Cli } from '../../support/cli.ts'
import { Random } from '../../support/random.ts'
import { durableStores } from './durable-stores.ts'

// KILL_ROUNDS=200 SEED=1 npx vitest run --config .ci/vitest.config.ts --root . test/state/stores/kill.test.ts
const asked = Number(process.env['KILL_ROUNDS'] ?? 0)
const writers = 16
/** A server lives for so long at most once its clients have begun, in milliseconds. */
const longestLife = asked > 10 ? 500 : 150

const args = ['state', '--port', '0']

/** What a session must be: as it was acknowledged, or as a command that was never answered would have left it. */
interface Known {
  acknowledged: number | undefined
  asked: number | undefined
}

/** The keys of a session of the given number: torn, they would not agree. */
function entriesOf(number: number): [string, string][] {
  return [
    ['n', `${number}`],
    ['pad', `${number} `.repeat((number * 37) % 600)],
    ['again', `${number}`],
  ]
}

/** One who makes, changes and destroys sessions until the server is gone. */
class Writer {
  readonly known = new Map<string, Known>()
  acknowledged = 0
  readonly #random: Random
  #number = 0

  constructor(random: Random) {
    this.#random = random
  }

  async run(client: StateClient, isKilled: () => boolean, answered: () => void): Promise<void> {
    try {
      for (;;) {
        await this.#step(client)
        this.acknowledged++
        answered()
      }
    } catch (error) {
      if (!isKilled()) throw error
    }
  }

  async #step(client: StateClient): Promise<void> {
    const number = ++this.#number
    const ids = [...this.known.keys()]
    const kind = this.#random.below(10)
    if (ids.length < 4) return this.#make(client, number)
    const id = this.#random.pick(ids)
    const known = this.known.get(id) as Known
    if (kind === 0) {
      known.asked = undefined
      expect(await client.destroySession(id)).toBe(true)
      this.known.delete(id)
      return
    }
    known.asked = number
    if (kind < 5) await client.patch(id, { put: entriesOf(number) })
    else {
      await client.session(id, async (session) => {
        expect(await session.get('n')).toBe(`${known.acknowledged}`)
        for (const [key, value] of entriesOf(number)) await session.put(key, value)
      })
    }
    known.acknowledged = number
  }

  async #make(client: StateClient, number: number): Promise<void> {
    const session = await client.createSession()
    const known: Known = { acknowledged: undefined, asked: number }
    this.known.set(session.id, known)
    for (const [key, value] of entriesOf(number)) await session.put(key, value)
    await session.close()
    known.acknowledged = number
  }

  /** Compares all that it knows of with what is there. */
  async check(client: StateClient): Promise<void> {
    await Promise.all(
      [...this.known].map(async ([id, { acknowledged, asked }]) => {
        const found = await client.read(id)
        const number = found === undefined ? undefined : Number(found.entries.get('n'))
        expect([acknowledged, asked]).toContain(number)
        if (number === undefined) this.known.delete(id)
        else {
          expect([...(found?.entries ?? [])]).toEqual(entriesOf(number))
          this.known.set(id, { acknowledged: number, asked: number })
        }
      }),
    )
  }
}

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xps-kill-'))
})
afterEach(() => rm(folder, { recursive: true }))

describe('A state server that is killed at any moment', () => {
  for (const [name, open] of Object.entries(durableStores)) {
    it(`has lost nothing that it acknowledged, and torn nothing: ${name}`, {
      timeout: 60_000 + asked * 20_000,
    }, async () => {
      const random = new Random()
      const engine = await open(folder)
      // An engine that has to be started anew takes its time.
      const rounds = asked > 0 ? asked : engine.crash === undefined ? 3 : 1
      const all = Array.from({ length: writers }, () => new Writer(random))
      try {
        for (let round = 0; round <= rounds; round++) {
          await using server = new Cli([...args, '--store', engine.store, ...(engine.options ?? [])], folder)
          const [, address = ''] = await server.line(/listening on (127\.0\.0\.1:\d+) /)
          const client = new StateClient(address, { replyTimeout: 5_000 })
          let killed = false
          try {
            await Promise.all(all.map((writer) => writer.check(client)))
            if (round === rounds) break
            let answered = (): void => {}
            const first = new Promise<void>((resolve) => {
              answered = resolve
            })
            const running = all.map((writer) => writer.run(client, () => killed, answered))
            const ended = Promise.allSettled(running)
            // Now and then it is killed before it has answered anything.
            const moment = round % 4 === 3 ? setTimeout(random.below(20)) : first
            const life = moment.then(() => setTimeout(random.below(longestLife)))
            await Promise.race([life, Promise.all(running)])
            killed = true
            server.process.kill('SIGKILL')
            await Promise.all([engine.crash?.(), server.exited, ended])
            await Promise.all(running)
          } finally {
            client.abort()
            await client.closed
          }
        }
      } catch (error) {
        throw new Error(`seed ${random.seed}`, { cause: error })
      } finally {
        await engine.close?.()
      }
      const acknowledged = all.reduce((sum, writer) => sum + writer.acknowledged, 0)
      console.log(`${name}: killed ${rounds} times, ${acknowledged} answers, seed ${random.seed}`)
      expect(acknowledged).toBeGreaterThan(0)
    })
  }
})
