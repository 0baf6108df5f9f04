import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AcceptQueue } from '../../src/admission/accept-queue.ts'

describe('AcceptQueue', () => {
  it('gives the newest or the oldest, and says since when each waits', () => {
    const queue = new AcceptQueue<string>()
    for (const [index, item] of ['a', 'b', 'c', 'd'].entries()) queue.push(item, index * 10)
    expect(queue.oldest).toEqual({ item: 'a', since: 0 })
    expect(queue.newest).toEqual({ item: 'd', since: 30 })
    expect(queue.take('newest')?.item).toBe('d')
    expect(queue.take('oldest')?.item).toBe('a')
    expect(queue.length).toBe(2)
  })

  it('has nobody when it is empty', () => {
    const queue = new AcceptQueue<string>()
    expect([queue.oldest, queue.newest, queue.take('newest'), queue.take('oldest')]).toEqual(Array(4).fill(undefined))
    queue.push('a', 1)
    queue.take('oldest')
    expect([queue.length, queue.oldest, queue.newest]).toEqual([0, undefined, undefined])
  })

  it('does as a plain list does, whatever comes and goes', () => {
    const acts = fc.array(fc.constantFrom('push', 'newest', 'oldest'), { maxLength: 400 })
    fc.assert(
      fc.property(acts, (list) => {
        const queue = new AcceptQueue<number>()
        const plain: number[] = []
        for (const [index, act] of list.entries()) {
          if (act === 'push') {
            queue.push(index, index)
            plain.push(index)
          } else {
            const expected = act === 'newest' ? plain.pop() : plain.shift()
            expect(queue.take(act as 'newest')?.item).toBe(expected)
          }
          expect(queue.length).toBe(plain.length)
          expect(queue.oldest?.item).toBe(plain[0])
          expect(queue.newest?.item).toBe(plain.at(-1))
        }
      }),
    )
  })
})
