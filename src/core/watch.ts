import { isXpsError } from '../errors.ts'
import type { Phase } from '../lifetime/lifetime.ts'
import type { ClientSession } from './client-session.ts'
import type { Connection } from './connection.ts'

/** Why the watch took something for dead. */
export type ZombieReason = 'silent' | 'stuck' | 'orphan'

/** What the watch has found, whole, for the log. */
export interface Zombie {
  readonly id: string
  /** Silent: no byte for too long, and no timeout ended it. Stuck: draining for ever. Orphan: belongs to no session. */
  readonly reason: ZombieReason
  readonly phase: Phase
  /** How long it has been there, in milliseconds. */
  readonly age: number
  /** Bytes from the client. */
  readonly bytesIn: number
  /** Bytes to the client. */
  readonly bytesOut: number
  readonly client: string
  /** The upstream's address, or undefined if there is none. */
  readonly upstream: string | undefined
  /** Bytes from the upstream. */
  readonly upstreamBytesIn: number
  /** Bytes to the upstream. */
  readonly upstreamBytesOut: number
}

/** Something to be ended. */
export interface Finding {
  readonly zombie: Zombie
  readonly found: ClientSession | Connection
}

/**
 * Looks for lives that should have ended: a net under defects, not a timeout. Sessions that work end by themselves
 * long before it finds them, so anything that it finds is worth a report.
 */
export function findZombies(
  sessions: readonly ClientSession[],
  clients: Iterable<Connection>,
  interval: number,
): Finding[] {
  const findings: Finding[] = []
  for (const session of sessions) {
    // One that was found before, and is not over yet, was reported then.
    const reason = isXpsError(session.error, 'XPS_ZOMBIE') ? undefined : judge(session, interval)
    if (reason !== undefined) findings.push({ found: session, zombie: describe(session.client, reason, session) })
  }
  for (const client of clients) {
    const owner = client.session
    const alone = owner === undefined || owner.phase === 'closed'
    if (alone && client.clock.now() - client.since > interval) {
      findings.push({ found: client, zombie: describe(client, 'orphan') })
    }
  }
  return findings
}

function judge(session: ClientSession, interval: number): ZombieReason | undefined {
  const now = session.client.clock.now()
  const quiet = now - Math.max(session.lastActive, session.phaseSince)
  if (session.phase === 'draining') return quiet > interval ? 'stuck' : undefined
  // Who may be silent for longer than the interval, or for ever, is not dead for being so.
  const { tunnelIdleTimeout } = session.timeouts
  if (tunnelIdleTimeout === 0) return undefined
  const allowed = tunnelIdleTimeout < interval ? interval : tunnelIdleTimeout + interval
  return quiet > allowed ? 'silent' : undefined
}

function describe(client: Connection, reason: ZombieReason, session?: ClientSession): Zombie {
  const upstream = session?.connections.find((connection) => connection !== client)
  return {
    id: session?.id ?? client.id,
    reason,
    phase: (session ?? client).phase,
    age: client.clock.now() - client.since,
    bytesIn: client.bytesIn,
    bytesOut: client.bytesOut,
    client: client.address,
    upstream: upstream?.address,
    upstreamBytesIn: upstream?.bytesIn ?? 0,
    upstreamBytesOut: upstream?.bytesOut ?? 0,
  }
}
