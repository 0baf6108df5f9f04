import { XpsError } from '../errors.ts'
import type { ClientSession } from './client-session.ts'

/** Ends the sessions that were silent the longest, at most `count` of them, and returns how many those were. */
export function evictIdle(sessions: readonly ClientSession[], count: number): number {
  // One look at all for several evictions: under pressure this is asked often, and a sorted order would cost each chunk.
  const victims = sessions
    .filter((session) => session.phase === 'open')
    .map((session) => ({ session, last: Math.max(session.lastActive, session.client.since) }))
    .sort((a, b) => a.last - b.last)
    .slice(0, count)
  for (const { session } of victims) {
    session.abort(new XpsError('XPS_EVICTED', 'ended to make room for another, after the longest silence'))
  }
  return victims.length
}
