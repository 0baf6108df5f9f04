import type { ClientSession } from '../core/client-session.ts'
import { Connection } from '../core/connection.ts'
import type { ConnectionOptions } from '../core/connection-options.ts'
import { memorySockets } from '../core/memory-socket.ts'
import { isPromiseLike } from '../lifetime/owned.ts'
import { invalidOption } from '../options.ts'
import { TestPeer } from './test-peer.ts'

/** Two connections of this process that are connected to each other: what one's sink is given, the other's source has. */
export function memoryConnections(options: ConnectionOptions = {}): [Connection, Connection] {
  const [one, other] = memorySockets()
  return [new Connection(one, options), new Connection(other, options)]
}

/** A session and the client that it talks to. */
export interface InMemory<S extends ClientSession> {
  client: TestPeer
  session: S
  connection: Connection
}

/**
 * Opens a session of a protocol as a listener would, but without a port: its client is in the test's hands.
 *
 * `port` is what the session's client seems to have come in on. Throws `XPS_INVALID_OPTION` for a protocol that makes its session
 * later: that needs a listener.
 */
export function inMemory<S extends ClientSession>(
  protocol: (client: Connection) => S | Promise<S>,
  options: Omit<ConnectionOptions, 'entrance'> & { port?: number } = {},
): InMemory<S> {
  const { port = 0, ...rest } = options
  const [near, far] = memorySockets()
  const connection = new Connection(near, { ...rest, entrance: { port, address: `in-process:${port}` } })
  const session = protocol(connection)
  if (isPromiseLike(session)) throw invalidOption('protocol', session, 'one that makes its session at once')
  session.open()
  return { client: new TestPeer(far), session, connection }
}
