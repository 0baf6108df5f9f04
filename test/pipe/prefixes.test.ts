import { describe, expect, it } from 'vitest'
import { pieceOf } from '../../src/pipe/piece.ts'
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

describe('A piece of a chunk', () => {
  it('is what was asked for, whatever was asked for before', () => {
    const [one, other] = [Buffer.from('0123456789'), Buffer.from('abcdefghij')]
    for (const [chunk, from, to, text] of [
      [one, 2, 5, '234'],
      [other, 2, 5, 'cde'],
      [other, 3, 5, 'de'],
      [other, 3, 6, 'def'],
      [other, 0, 0, ''],
      [one, 2, 5, '234'],
    ] as const) {
      const piece = pieceOf(chunk, from, to)
      expect(piece.toString()).toBe(text)
      expect(piece.buffer).toBe(chunk.buffer)
      expect(pieceOf(chunk, from, to)).toBe(piece)
    }
  })
})
