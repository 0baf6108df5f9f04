import type { Alarm, Clock } from '../clock.ts'
import { after } from './ask.ts'
import type { ByteString } from './codec/byte-string.ts'
import type { Awaitable, Container, Stored } from './container.ts'

/** What stands for the own lifetime of a session that another id has taken the place of: no use prolongs it. */
export const retiredIdle = -1

/** How many ids one after the other are followed to the one that a session has now. */
export const mostReplaced = 100

/**
 * The key that says, of a session that another id has taken the place of, which one that is: for other processes that use
 * the container. Who reads the session does not see it.
 */
const linkKey: ByteString = '\0xps now'

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

  /** The id that has taken the place of this one; undefined if that is not known any more. */
  next(id: string, stored: Stored): string | undefined {
    const link = isLinked(stored) ? stored.data.get(linkKey) : undefined
    return typeof link === 'string' ? link : this.#retired.get(id)?.chain.now
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

  /** No other has taken its place after all. */
  keep(id: string): void {
    const chain = this.#retired.get(id)?.chain
    this.delete(id)
    if (chain === undefined || chain.before.size === 0) return
    this.#chains.delete(chain.now)
    chain.now = id
    this.#chains.set(id, chain)
  }

  clear(): void {
    for (const { alarm } of this.#retired.values()) alarm.cancel()
    this.#retired.clear()
    this.#chains.clear()
  }
}

/** What is read of a session that another id has taken the place of. */
export function withoutLink(stored: Stored): Stored {
  if (!isLinked(stored)) return stored
  const data = new Map(stored.data)
  data.delete(linkKey)
  return { ...stored, data }
}

/** Whether it says where its session is now. A key of that name in any other session is a program's own. */
function isLinked({ idle, data }: Stored): boolean {
  return idle === retiredIdle && data.has(linkKey)
}

/**
 * Lets a session be read until then, and no longer, and says where it is now: in every process, where several use the
 * container, and also after a restart.
 */
export function retire(
  container: Container,
  { id, stored, fence }: { readonly id: string; readonly stored: Stored; readonly fence: number },
  by: string,
  expires: number,
): Awaitable<boolean | 'fenced'> {
  const link: [ByteString, ByteString] = [linkKey, by]
  const commit = { expect: 'present', fence, changes: { cleared: false, keys: new Map([link]) } } as const
  const data = new Map([...stored.data, link])
  return after(container.commit(id, { ...stored, data, expires, idle: retiredIdle }, commit), (result) => {
    if (result === 'full') return container.destroy(id, fence)
    return result === 'fenced' ? result : result === 'done'
  })
}
