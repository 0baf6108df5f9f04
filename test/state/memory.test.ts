import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { MemoryStore, stateServer } from '../../src/state/index.ts'
import { inMemory } from '../../src/testing/index.ts'
import { Client } from './support.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const large = 'x'.repeat(200_000)
const rounds = 20

/** What is left on the heap of an open session after large values have come with small ones and gone again, in bytes. */
async function growth(linesOf: (key: string, id: string) => readonly string[]): Promise<number> {
  const { client: peer, session } = inMemory(stateServer({ store: new MemoryStore() }))
  const client = new Client(peer)
  const id = await client.make({ a: '1' })
  const before = heap()
  for (let round = 0; round < rounds; round++) {
    for (const line of linesOf(`a-key-that-is-number-${round}`, id)) await client.ask(line)
  }
  const after = heap()
  session.abort()
  return after - before
}

function heap(): number {
  collect()
  return process.memoryUsage().heapUsed
}

describe('the memory of a shared session', () => {
  for (const [how, linesOf] of [
    ['put', (key, id) => [`open ${id}`, `put ${key} ${large}`, `put ${key} 1`, 'close']],
    ['mput', (key, id) => [`open ${id}`, `mput ${key} a-value-that-is-kept big ${large}`, 'remove big', 'close']],
    ['patch', (key, id) => [`patch ${id} put ${key} a-value-that-is-kept put big ${large}`, `patch ${id} remove big`]],
  ] as [string, (key: string, id: string) => readonly string[]][]) {
    it(`does not hold what has been replaced or removed: ${how}`, async () => {
      expect(await growth(linesOf)).toBeLessThan((rounds * large.length) / 4)
    })
  }

  it('does not hold the rest of an array that a string or a number of it came in', async () => {
    const { client: peer, session } = inMemory(stateServer({ store: new MemoryStore() }))
    const client = new Client(peer)
    const array = `put_all a:3:{s:3:"big";s:${large.length}:"${large}";i:0;s:20:"a-value-that-is-kept";i:1;d:0.12345678901234;}`
    const before = heap()
    for (let round = 0; round < rounds; round++) await client.askAll('new', array, 'remove big', 'close')
    expect(heap() - before).toBeLessThan((rounds * large.length) / 4)
    session.abort()
  })
})
