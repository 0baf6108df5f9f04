import type { Changes, Commit } from './container.ts'
import type { SharedSession } from './shared-session.ts'

/**
 * How an open session is to be committed. Most containers do not ask what was changed: it is found out for those that do.
 *
 * A class, because its getter is on the prototype. An object literal that has a getter is, for V8, of a shape of its own
 * each time, and that lives until the next full collection, with all that the getter sees: the whole session.
 */
export class SessionCommit implements Commit {
  readonly expect: 'absent' | 'present'
  readonly fence: number
  readonly #session: SharedSession

  constructor(session: SharedSession, expect: 'absent' | 'present', fence: number) {
    this.#session = session
    this.expect = expect
    this.fence = fence
  }

  get changes(): Changes {
    return this.#session.changes
  }
}
