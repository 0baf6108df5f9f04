import type { Alarm, Clock } from '../clock.ts'

/** How coarse a wheel is by default, in milliseconds: an alarm rings up to so much late, and never early. */
export const wheelInterval: number = 100

// A power of two, so that a tick's slot is a mask away. An alarm that is further off than one turn waits in its slot
// for the turns to pass.
const slots = 512

/**
 * A clock whose alarms cost next to nothing: one timer turns a wheel of slots, and each alarm waits in a slot.
 *
 * ```
 *   slot   0      1      2      3    …  511      after(250 ms): ceil(250 / 100) = 3 slots ahead
 *        ┌──────┬──────┬──────┬──────┬──────┐
 *        │      │  ▲   │      │      │ a, b │    setting and cancelling an alarm: a link in a list
 *        └──────┴──│───┴──────┴──────┴──────┘    the timer runs only while an alarm is set
 *              the tick: rings what is due here
 * ```
 */
export class Wheel implements Clock {
  readonly #clock: Clock
  readonly #interval: number
  readonly #slots: (WheelAlarm | undefined)[] = new Array(slots).fill(undefined)
  #tick = 0
  #start: number
  #size = 0
  #timer: Alarm | undefined
  #time: number

  constructor(clock: Clock, interval: number = wheelInterval) {
    this.#clock = clock
    this.#interval = interval
    this.#start = clock.now()
    this.#time = this.#start
  }

  /** How many alarms are set. */
  get size(): number {
    return this.#size
  }

  /**
   * The time, for less than the clock asks for it: the end of the tick that runs, so never earlier than {@link now}.
   * It stands still while no alarm is set.
   */
  get time(): number {
    return this.#time
  }

  /** The clock's own time. */
  now(): number {
    return this.#clock.now()
  }

  after(delay: number, ring: () => void, hold = false): Alarm {
    // What keeps the process alive is rare, and not worth a wheel that does.
    if (hold) return this.#clock.after(delay, ring, true)
    if (this.#size++ === 0) this.#wind()
    // Counted from now, which is somewhere after the last tick: never early.
    const due = Math.ceil((this.#clock.now() - this.#start + delay) / this.#interval)
    const alarm = new WheelAlarm(this, Math.max(due, this.#tick + 1), ring)
    this.#link(alarm)
    return alarm
  }

  /** @internal */
  remove(alarm: WheelAlarm): void {
    if (alarm.previous !== undefined) alarm.previous.next = alarm.next
    else this.#slots[alarm.due & (slots - 1)] = alarm.next
    if (alarm.next !== undefined) alarm.next.previous = alarm.previous
    if (--this.#size === 0) {
      this.#timer?.cancel()
      this.#timer = undefined
    }
  }

  #link(alarm: WheelAlarm): void {
    const slot = alarm.due & (slots - 1)
    const first = this.#slots[slot]
    alarm.next = first
    if (first !== undefined) first.previous = alarm
    this.#slots[slot] = alarm
  }

  #wind(): void {
    // Nothing was set: the ticks that have passed meanwhile had nothing to ring.
    this.#tick = Math.floor((this.#clock.now() - this.#start) / this.#interval)
    this.#schedule()
  }

  #schedule(): void {
    this.#time = this.#start + (this.#tick + 1) * this.#interval
    this.#timer = this.#clock.after(Math.max(0, this.#time - this.#clock.now()), () => this.#turn())
  }

  #turn(): void {
    const until = Math.floor((this.#clock.now() - this.#start) / this.#interval)
    while (this.#tick < until && this.#size > 0) {
      this.#tick++
      this.#time = this.#start + (this.#tick + 1) * this.#interval
      this.#ringSlot(this.#tick)
    }
    this.#tick = Math.max(this.#tick, until)
    // What rang may have emptied the wheel, or emptied and wound it again.
    this.#timer?.cancel()
    this.#timer = undefined
    if (this.#size > 0) this.#schedule()
  }

  #ringSlot(tick: number): void {
    const due: WheelAlarm[] = []
    for (let alarm = this.#slots[tick & (slots - 1)]; alarm !== undefined; alarm = alarm.next) {
      if (alarm.due <= tick) due.push(alarm)
    }
    // Unlinked one by one, because what rings may cancel what comes after it.
    for (const alarm of due) alarm.fire()
  }
}

class WheelAlarm implements Alarm {
  readonly due: number
  previous: WheelAlarm | undefined
  next: WheelAlarm | undefined
  readonly #wheel: Wheel
  #ring: (() => void) | undefined

  constructor(wheel: Wheel, due: number, ring: () => void) {
    this.#wheel = wheel
    this.due = due
    this.#ring = ring
  }

  cancel(): void {
    if (this.#ring === undefined) return
    this.#ring = undefined
    this.#wheel.remove(this)
  }

  fire(): void {
    const ring = this.#ring
    this.cancel()
    try {
      ring?.()
    } catch (error) {
      // As a timer's would be: uncaught, but not in the way of the alarms that are still to ring.
      process.nextTick(() => {
        throw error
      })
    }
  }
}
