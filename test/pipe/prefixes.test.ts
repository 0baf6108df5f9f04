import { describe, expect, it } from 'vitest'
import { Prefixes } from '../../src/pipe/prefixes.ts'

describe('Beginnings of a piece of memory', () => {
  it('are of the length that is asked for and in that memory, whatever was asked for before', () => {
    const bytes = Buffer.from('0123456789abcdefghijklmnopqrstuvwxyz')
    const prefixes = new Prefixes(bytes)
    for (const length of [3, 11, 3, 0, 8, 16, 8, 36, 3]) {
      const first = prefixes.first(length)
      expect(first.toString()).toBe('0123456789abcdefghijklmnopqrstuvwxyz'.slice(0, length))
      expect(first.buffer).toBe(bytes.buffer)
    }
  })

  it('are not made anew for the same length', () => {
    const prefixes = new Prefixes(Buffer.alloc(64))
    expect(prefixes.first(9)).toBe(prefixes.first(9))
  })
})
