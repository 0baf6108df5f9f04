import type { Awaitable, Stored } from './container.ts'
import type { StateFault } from './faults.ts'
import type { StateLimits } from './limits.ts'
import type { SharedSession } from './shared-session.ts'

/** How a shared session is opened: `'rw'` has it alone and may write, `'r'` sees what was last committed. */
export type OpenMode = 'rw' | 'r'

/** What an open session needs of where it came from. */
export interface SessionKeeper {
  readonly limits: StateLimits
  commit(session: SharedSession): Awaitable<StateFault | undefined>
  destroy(session: SharedSession): Awaitable<StateFault | undefined>
  regenerate(session: SharedSession): Awaitable<string | StateFault>
  touch(session: SharedSession): void
  forget(session: SharedSession): void
  expiry(stored: Stored): number
}
