import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { transformSync } from 'esbuild'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../src/clock.ts'
import { ManualClock } from '../src/testing/index.ts'

describe('systemClock', () => {
  it('never goes back', () => {
    let last = systemClock.now()
    for (let look = 0; look < 1_000; look++) {
      const now = systemClock.now()
      expect(now).toBeGreaterThanOrEqual(last)
      last = now
    }
  })

  it('rings once, and not before the time is up', async () => {
    const set = systemClock.now()
    let rings = 0
    await new Promise<void>((resolve) => {
      systemClock.after(5, () => {
        rings++
        resolve()
      })
    })
    // Node's timers count whole milliseconds.
    expect(systemClock.now() - set).toBeGreaterThan(3.9)
    expect(rings).toBe(1)
  })

  it('does not ring when it is called off, and calling off again does nothing', async () => {
    let rang = false
    const alarm = systemClock.after(1, () => {
      rang = true
    })
    alarm.cancel()
    alarm.cancel()
    await new Promise<void>((resolve) => systemClock.after(3, resolve))
    expect(rang).toBe(false)
  })

  it('does not keep the process alive, unless it is told that work waits for it', () => {
    const run = (more: string): string => {
      const source = `${readFileSync('src/clock.ts', 'utf8')}\n${more}`
      const { code } = transformSync(source, { loader: 'ts', format: 'esm' })
      // The minute that it could take would end it by force, which throws.
      return execFileSync(process.execPath, ['--input-type=module', '--eval', code], { timeout: 15_000 }).toString()
    }
    expect(run(`systemClock.after(60_000, () => console.log('rang'))`)).toBe('')
    expect(run(`systemClock.after(1, () => console.log('rang'), true)`)).toBe('rang\n')
    expect(run(`systemClock.after(60_000, () => {}, true).cancel()`)).toBe('')
  })
})

describe('ManualClock', () => {
  it('rings in order of time, also what is set while it rings', () => {
    const clock = new ManualClock()
    const rings: string[] = []
    clock.after(20, () => rings.push(`b ${clock.now()}`))
    clock.after(10, () => {
      rings.push(`a ${clock.now()}`)
      clock.after(5, () => rings.push(`c ${clock.now()}`))
      clock.after(50, () => rings.push('late'))
    })
    clock.advance(30)
    expect(rings).toEqual(['a 10', 'c 15', 'b 20'])
    expect(clock.now()).toBe(30)
    expect(clock.pending).toBe(1)
  })

  it('forgets an alarm that is called off', () => {
    const clock = new ManualClock()
    let rang = false
    const alarm = clock.after(1, () => {
      rang = true
    })
    expect(clock.pending).toBe(1)
    alarm.cancel()
    expect(clock.pending).toBe(0)
    clock.advance(10)
    expect(rang).toBe(false)
  })
})
