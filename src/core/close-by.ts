import { type Clock, systemClock } from '../clock.ts'
import { XpsError } from '../errors.ts'
import type { Lifetime } from '../lifetime/lifetime.ts'
import { durationOption, knownOptions } from '../options.ts'
import type { ClientSession } from './client-session.ts'

/** Options of closing a core or a listener. */
export interface CloseOptions {
  /** How long what is under way may take to finish, in milliseconds; then it is aborted. @default 10000 */
  deadline?: number
}

/** Closes, and aborts with `XPS_TIMEOUT` what has not closed by the deadline. */
export function closeBy(
  lifetime: Lifetime,
  close: () => Promise<XpsError | undefined>,
  options: CloseOptions,
  clock: Clock = systemClock,
): Promise<XpsError | undefined> {
  knownOptions('close options', options, ['deadline'])
  const deadline = durationOption('deadline', options.deadline, 10_000, true)
  const closed = close()
  if (lifetime.phase === 'closed') return closed
  const alarm = clock.after(deadline, () => {
    lifetime.abort(new XpsError('XPS_TIMEOUT', `not closed within ${deadline} ms`, { reason: 'drain' }))
  })
  void closed.then(() => alarm.cancel())
  return closed
}

/**
 * Tells how many sessions are left of how many, whenever one of them has closed. What it returns tells it once more, if
 * any is left: for the start.
 */
export function followClosing(
  sessions: readonly ClientSession[],
  tell: (left: number, of: number) => void,
): () => void {
  const of = sessions.length
  let left = of
  for (const session of sessions) session.once('close', () => tell(--left, of))
  return () => {
    if (left > 0) tell(left, of)
  }
}
