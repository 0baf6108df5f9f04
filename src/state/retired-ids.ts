import type { Alarm, Clock } from '../clock.ts'
import type { Awaitable, Container, Stored } from './container.ts'

/** What stands for the own lifetime of a session that another id has taken the place of: no use prolongs it. */
export const retiredIdle = -1

/** Ids that another has taken the place of, and that can be read for a while. */
export class RetiredIds {
  readonly #clock: Clock
  readonly #alarms = new Map<string, Alarm>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  has(id: string, { idle }: Stored): boolean {
    return idle === retiredIdle || this.#alarms.has(id)
  }

  /** Remembers one for so long. */
  add(id: string, time: number, over: () => void): void {
    const alarm = this.#clock.after(time, () => {
      this.#alarms.delete(id)
      over()
    })
    this.#alarms.set(id, alarm)
  }

  delete(id: string): void {
    this.#alarms.get(id)?.cancel()
    this.#alarms.delete(id)
  }

  clear(): void {
    for (const alarm of this.#alarms.values()) alarm.cancel()
    this.#alarms.clear()
  }
}

/** Lets a session be read until then, and no longer; in every process, where several use the container. */
export function retire(
  container: Container,
  id: string,
  fence: number,
  stored: Stored,
  expires: number,
): Awaitable<boolean | 'fenced'> {
  if (container.lock === undefined) return container.touch(id, expires, fence)
  // Other processes have to see what it is.
  const commit = { expect: 'present', fence, changes: { cleared: false, keys: new Map() } } as const
  const retired = container.commit(id, { ...stored, expires, idle: retiredIdle }, commit)
  return Promise.resolve(retired).then((result) => {
    if (result === 'full') return container.destroy(id, fence)
    return result === 'fenced' ? result : result === 'done'
  })
}
