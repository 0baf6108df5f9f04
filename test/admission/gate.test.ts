import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Gate } from '../../src/admission/gate.ts'

/** Lets in as many of so many as there is room for, and returns how many those were. */
function letIn(gate: Gate, count: number): number {
  let inside = 0
  for (; inside < count && gate.hasRoom(); inside++) gate.enter()
  return inside
}

describe('Gate', () => {
  it('lets in as many as its limit, and shuts when one more wants in', () => {
    const gate = new Gate(3)
    expect(letIn(gate, 3)).toBe(3)
    expect(gate.open).toBe(true)
    expect(gate.hasRoom()).toBe(false)
    expect([gate.open, gate.inside, gate.peak]).toEqual([false, 3, 3])
  })

  it('does not shut for one who leaves before anybody was turned away', () => {
    const gate = new Gate(3)
    letIn(gate, 3)
    gate.leave()
    expect(letIn(gate, 5)).toBe(1)
  })

  it.each([
    [1, 0],
    [2, 0],
    [10, 8],
    [15, 12],
    [100, 89],
    [10_000, 8_999],
  ])('with a limit of %i opens again when %i are left', (limit, left) => {
    const gate = new Gate(limit)
    letIn(gate, limit + 1)
    while (gate.inside > left) {
      expect(gate.open).toBe(false)
      gate.leave()
    }
    expect(gate.open).toBe(true)
  })

  it('lets everybody in when its limit is 0', () => {
    expect(letIn(new Gate(0), 10_000)).toBe(10_000)
  })

  it('opens when its limit is raised, and lets nobody out when it is lowered', () => {
    const gate = new Gate(2)
    letIn(gate, 3)
    gate.limit = 5
    expect(letIn(gate, 9)).toBe(3)
    gate.limit = 1
    expect(gate.inside).toBe(5)
    expect(gate.hasRoom()).toBe(false)
  })

  it('reopens before its time only if there is room', () => {
    const gate = new Gate(10)
    letIn(gate, 11)
    gate.reopen()
    expect(gate.open).toBe(false)
    gate.leave()
    gate.reopen()
    expect(letIn(gate, 9)).toBe(1)
  })

  it('never has more inside than its limit, whatever comes and goes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.array(fc.boolean(), { maxLength: 300 }), (limit, comes) => {
        const gate = new Gate(limit)
        for (const come of comes) {
          if (come && gate.hasRoom()) gate.enter()
          else if (!come && gate.inside > 0) gate.leave()
          expect(gate.inside).toBeLessThanOrEqual(limit)
          if (gate.inside === 0) expect(gate.open).toBe(true)
        }
      }),
    )
  })
})
