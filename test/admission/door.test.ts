import { describe, expect, it } from 'vitest'
import { Admission } from '../../src/admission/admission.ts'
import { Door, type Visitor } from '../../src/admission/door.ts'
import { defaultLimits } from '../../src/admission/limits.ts'
import { ManualClock } from '../../src/testing/index.ts'

/** A connection that does nothing by itself. */
class Guest implements Visitor {
  destroyed = false
  on(): void {}
  once(): void {}
  destroySoon(): void {
    this.destroyed = true
  }
}

function open(maxBytes = 0) {
  const clock = new ManualClock()
  const admission = new Admission(clock, { ...defaultLimits, maxConnections: 1 }, maxBytes)
  const served: Guest[] = []
  const refused: string[] = []
  const door = new Door<Guest>(admission, defaultLimits, 0, {
    comesForOthers: () => false,
    serve: (guest) => void served.push(guest),
    refused: (_guest, reason) => void refused.push(reason),
    full: () => {},
    evict: () => {},
  })
  return { clock, admission, door, served, refused }
}

describe('Door', () => {
  it('counts those whose socket broke while they waited as gone, and serves the next', () => {
    const { door, served, refused } = open()
    const [first, waiting, broken] = [new Guest(), new Guest(), new Guest()]
    for (const guest of [first, waiting, broken]) door.offer(guest)
    broken.destroyed = true
    door.left(false)
    expect(refused).toEqual(['gone'])
    expect(served).toEqual([first, waiting])
    expect(door.counters.refused.gone).toBe(1)
  })

  it('leaves no alarm behind when it shuts, though somebody waits for buffers to empty', () => {
    const { clock, admission, door, served } = open(100)
    admission.account.held = 100
    door.offer(new Guest())
    expect([served.length, door.queued]).toEqual([0, 1])
    expect(clock.pending).toBe(2)
    door.shut()
    expect(clock.pending).toBe(0)
  })
})
