import { describe, expect, it } from 'vitest'
import { RetiredIds } from '../../src/http-sessions/retired-ids.ts'
import { ManualClock } from '../../src/testing/index.ts'

const entries = new Map([['user', 'ali']])

describe('RetiredIds', () => {
  it('keep what was in a session for their grace, and not until another id is replaced', () => {
    const clock = new ManualClock()
    const retired = new RetiredIds(clock, 10_000)
    retired.replacing('one', entries)('two')
    clock.advance(4_000)
    retired.replacing('other', entries)('another')
    expect([retired.size, retired.entries('one'), retired.successor('one')]).toEqual([2, entries, 'two'])
    clock.advance(6_000)
    expect([retired.size, retired.entries('one')]).toEqual([1, undefined])
    expect(retired.successor('other')).toBe('another')
    clock.advance(4_000)
    expect(retired.size).toBe(0)
    // Nothing is left to ring.
    expect(clock.pending).toBe(0)
  })

  it('leave no alarm behind when they are cleared, or when all of them have gone before', () => {
    const clock = new ManualClock()
    const retired = new RetiredIds(clock, 10_000)
    retired.replacing('one', entries)('two')
    retired.destroyed('two')
    expect([retired.size, clock.pending]).toEqual([0, 0])
    retired.replacing('one', entries)(undefined)
    expect([retired.size, clock.pending]).toEqual([0, 0])
    retired.replacing('one', entries)('two')
    retired.clear()
    expect([retired.size, clock.pending, retired.entries('one')]).toEqual([0, 0, undefined])
  })

  it('remember a thousand at most, the newest', () => {
    const retired = new RetiredIds(new ManualClock(), 10_000)
    for (let index = 0; index < 1_001; index++) retired.replacing(`${index}`, entries)(`now ${index}`)
    expect([retired.size, retired.successor('0'), retired.successor('1')]).toEqual([1_000, undefined, 'now 1'])
  })
})
