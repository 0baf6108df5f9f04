import { describe, expect, it } from 'vitest'
import { isId, newId } from '../../src/state/ids.ts'

describe('ids', () => {
  // F.1.48
  it('are 32 hexadecimal digits, all different, each digit as frequent as any other', () => {
    const ids = Array.from({ length: 100_000 }, newId)
    for (const id of ids.slice(0, 500)) expect(id).toMatch(/^[0-9a-f]{32}$/)
    expect(new Set(ids).size).toBe(ids.length)
    expect(new Set(ids.map((id) => id.slice(0, 12))).size).toBe(ids.length)
    const counts = new Array<number>(16).fill(0)
    for (const digit of ids.join('')) counts[Number.parseInt(digit, 16)] = (counts[Number.parseInt(digit, 16)] ?? 0) + 1
    const expected = (ids.length * 32) / 16
    const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
    // p = 0.00001 for 15 degrees of freedom: a good source fails this once in 100,000 runs.
    expect(chiSquare).toBeLessThan(52.9)
  })

  it('are told from what could be a path, a command or a guess', () => {
    for (const id of ['0'.repeat(32), 'Az09-_,Az09-_,Az', 'a'.repeat(100)]) expect(isId(id), id).toBe(true)
    const refused = [
      '',
      'a'.repeat(15),
      'a'.repeat(101),
      '../../etc/passwd',
      `${'a'.repeat(16)}\n`,
      `${'a'.repeat(16)} r`,
    ]
    for (const id of [...refused, `${'a'.repeat(16)}\0`, 'ä'.repeat(16), `${'a'.repeat(16)}.txt`])
      expect(isId(id), id).toBe(false)
  })
})
