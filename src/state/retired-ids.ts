import type { Alarm, Clock } from '../clock.ts'
import type { Awaitable, Container, Stored } from './container.ts'

/** What stands for the own lifetime of a session that another id has taken the place of: no use prolongs it. */
export const retiredIdle = -1

/** A session, and the ids that it had before. */
interface Chain {
  now: string
  readonly before: Set<string>
}

/** Ids that another has taken the place of, and that can be read for a while. */
export class RetiredIds {
  readonly #clock: Clock
  readonly #retired = new Map<string, { readonly alarm: Alarm; readonly chain: Chain }>()
  /** By the ids that the sessions have now. */
  readonly #chains = new Map<string, Chain>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  has(id: string, { idle }: Stored): boolean {
    return idle === retiredIdle || this.#retired.has(id)
  }

  /** The ids that the session of this one had before, as far as they can be read still. */
  before(id: string): string[] {
    return [...(this.#chains.get(id)?.before ?? [])]
  }

  /** Remembers one for so long, whose place another takes. */
  add(id: string, by: string, time: number, over: () => void): void {
    const chain = this.#chains.get(id) ?? { now: by, before: new Set<string>() }
    this.#chains.delete(id)
    chain.now = by
    chain.before.add(id)
    this.#chains.set(by, chain)
    const alarm = this.#clock.after(time, () => {
      this.delete(id)
      over()
    })
    this.#retired.set(id, { alarm, chain })
  }

  delete(id: string): void {
    const retired = this.#retired.get(id)
    if (retired === undefined) return
    const { alarm, chain } = retired
    alarm.cancel()
    this.#retired.delete(id)
    chain.before.delete(id)
    if (chain.before.size === 0) this.#chains.delete(chain.now)
  }

  clear(): void {
    for (const { alarm } of this.#retired.values()) alarm.cancel()
    this.#retired.clear()
    this.#chains.clear()
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
