import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Alarm } from '../../src/clock.ts'
import { Wheel, wheelInterval } from '../../src/lifetime/wheel.ts'
import { ManualClock } from '../../src/testing/index.ts'

describe('Wheel', () => {
  it('turns every 100 ms unless it is told otherwise', () => {
    expect(wheelInterval).toBe(100)
  })

  it('rings once, never early and at most one interval late', () => {
    const clock = new ManualClock()
    const wheel = new Wheel(clock)
    clock.advance(130)
    const rings: number[] = []
    wheel.after(250, () => rings.push(clock.now()))
    clock.advance(249)
    expect(rings).toEqual([])
    clock.advance(10_000)
    expect(rings).toEqual([400])
  })

  it('sets the clock going only while an alarm is set, and with one alarm for all', () => {
    const clock = new ManualClock()
    const wheel = new Wheel(clock)
    expect(clock.pending).toBe(0)
    const alarms = [100, 5_000, 100_000].map((delay) => wheel.after(delay, () => {}))
    expect(clock.pending).toBe(1)
    expect(wheel.size).toBe(3)
    for (const alarm of alarms) alarm.cancel()
    expect(wheel.size).toBe(0)
    expect(clock.pending).toBe(0)
    wheel.after(100, () => {})
    clock.advance(1_000)
    expect(wheel.size).toBe(0)
    expect(clock.pending).toBe(0)
  })

  it('does not ring what was called off, even by an alarm of the same moment', () => {
    const clock = new ManualClock()
    const wheel = new Wheel(clock)
    const rings: string[] = []
    const alarms: Alarm[] = []
    for (const name of ['a', 'b', 'c']) {
      alarms.push(
        wheel.after(100, () => {
          rings.push(name)
          for (const alarm of alarms) alarm.cancel()
        }),
      )
    }
    clock.advance(1_000)
    expect(rings).toHaveLength(1)
    expect(wheel.size).toBe(0)
    for (const alarm of alarms) alarm.cancel()
    expect(wheel.size).toBe(0)
    expect(clock.pending).toBe(0)
  })

  it('rings what an alarm sets when it rings', () => {
    const clock = new ManualClock()
    const wheel = new Wheel(clock)
    const rings: number[] = []
    const again = (): void => {
      rings.push(clock.now())
      if (rings.length < 3) wheel.after(100, again)
    }
    wheel.after(100, again)
    clock.advance(1_000)
    expect(rings).toHaveLength(3)
    for (let index = 1; index < 3; index++) {
      expect((rings[index] as number) - (rings[index - 1] as number)).toBeGreaterThanOrEqual(100)
    }
    expect(clock.pending).toBe(0)
  })

  it('waits more than one turn for an alarm that is further off than its slots reach', () => {
    const clock = new ManualClock()
    const wheel = new Wheel(clock, 10)
    const rings: number[] = []
    wheel.after(512 * 10, () => rings.push(clock.now()))
    wheel.after(3 * 512 * 10, () => rings.push(clock.now()))
    clock.advance(100_000)
    expect(rings).toEqual([5_120, 15_360])
  })

  it('catches up in order when the clock has jumped', () => {
    // A clock whose alarm rings only after everything was late.
    let now = 0
    let ring: (() => void) | undefined
    const wheel = new Wheel({
      now: () => now,
      after: (_delay, then) => {
        ring = then
        return {
          cancel: () => {
            ring = undefined
          },
        }
      },
    })
    const rings: number[] = []
    for (const delay of [900, 100, 500]) wheel.after(delay, () => rings.push(delay))
    now = 60_000
    ring?.()
    expect(rings).toEqual([100, 500, 900])
    expect(wheel.size).toBe(0)
    expect(ring).toBeUndefined()
  })

  it('tells the clock’s own time, and a coarse one that is never earlier while an alarm is set', () => {
    const clock = new ManualClock()
    const wheel = new Wheel(clock)
    wheel.after(100_000, () => {})
    for (let step = 0; step < 50; step++) {
      clock.advance(37)
      expect(wheel.now()).toBe(clock.now())
      expect(wheel.time).toBeGreaterThanOrEqual(clock.now())
      expect(wheel.time).toBeLessThanOrEqual(clock.now() + wheelInterval)
    }
  })

  it('rings every alarm in its time, whatever is set and called off when', () => {
    const delay = fc.oneof(fc.nat(50), fc.nat(2_000), fc.nat(20_000))
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ act: fc.constant('set' as const), by: delay }) },
      { weight: 1, arbitrary: fc.record({ act: fc.constant('cancel' as const), by: fc.nat(30) }) },
      {
        weight: 2,
        arbitrary: fc.record({ act: fc.constant('advance' as const), by: fc.oneof(fc.nat(30), fc.nat(3_000)) }),
      },
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom(1, 7, 100), (steps, interval) => {
        const clock = new ManualClock()
        const wheel = new Wheel(clock, interval)
        const alarms: { alarm: Alarm; due: number; rung: number | undefined; cancelled: boolean }[] = []
        for (const { act, by } of steps) {
          if (act === 'advance') clock.advance(by)
          else if (act === 'set') {
            const due = clock.now() + by
            const entry = {
              alarm: { cancel() {} } as Alarm,
              due,
              rung: undefined as number | undefined,
              cancelled: false,
            }
            entry.alarm = wheel.after(by, () => {
              if (entry.rung !== undefined) throw new Error('rang twice')
              entry.rung = clock.now()
            })
            alarms.push(entry)
          } else {
            const entry = alarms[by]
            if (entry === undefined) continue
            entry.alarm.cancel()
            if (entry.rung === undefined) entry.cancelled = true
          }
          const waiting = alarms.filter(({ rung, cancelled }) => rung === undefined && !cancelled)
          expect(wheel.size).toBe(waiting.length)
          expect(clock.pending).toBe(waiting.length > 0 ? 1 : 0)
        }
        clock.advance(30_000)
        for (const { due, rung, cancelled } of alarms) {
          if (cancelled) expect(rung).toBeUndefined()
          else {
            expect(rung).toBeGreaterThanOrEqual(due)
            // What is due now waits for the next tick, like everything else.
            expect(rung).toBeLessThanOrEqual(due + interval)
          }
        }
        expect(clock.pending).toBe(0)
      }),
      { numRuns: 100 },
    )
  })
})
