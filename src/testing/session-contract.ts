import assert from 'node:assert/strict'
import type { ClientSession } from '../core/client-session.ts'
import type { Connection } from '../core/connection.ts'
import { isXpsError, type XpsError } from '../errors.ts'
import { type InMemory, inMemory } from './in-memory.ts'
import type { TestPeer } from './test-peer.ts'

/** A kind of session, as the contract needs to know it. */
export interface SessionKind {
  /** Makes a session; called once or more for each claim. */
  protocol: (client: Connection) => ClientSession | Promise<ClientSession>
  /** Says something as a client of this kind would, and checks the answer; the session must stay open. */
  exchange: (client: TestPeer) => Promise<void>
  /** Ends the work of a client that has made an exchange. @default ends the client's direction */
  leave?: (client: TestPeer) => void
  /** For what belongs to a claim and must end with it. @default nothing */
  cleanUp?: () => void | Promise<void>
}

/** One promise that every kind of session keeps. */
export interface Claim {
  name: string
  run: () => Promise<void>
}

/**
 * The claims that every kind of session must meet, to be run by any test runner:
 *
 * ```
 * for (const { name, run } of sessionContract(kind)) test(name, run)
 * ```
 */
export function sessionContract(kind: SessionKind): Claim[] {
  const leave = kind.leave ?? ((client: TestPeer) => client.end())
  const claims: Record<string, (opened: InMemory<ClientSession>) => Promise<void>> = {
    'is open when its protocol has made it': async ({ session }) => {
      assert.equal(session.phase, 'open')
      assert.equal(session.error, undefined)
    },
    'makes an exchange and stays open': async ({ session, client }) => {
      await kind.exchange(client)
      assert.equal(session.phase, 'open')
    },
    'ends without an error when the client leaves after an exchange': async ({ session, client }) => {
      await kind.exchange(client)
      leave(client)
      assert.equal(await session.closed, undefined)
      assert.equal(session.phase, 'closed')
    },
    'ends when the client leaves without a word': async ({ session, client }) => {
      client.end()
      await session.closed
      assert.equal(session.size, 0)
    },
    'ends with a reset, and nothing left, when the client breaks off': async ({ session, client }) => {
      await kind.exchange(client)
      client.reset()
      const error = await session.closed
      assert.ok(isXpsError(error, 'XPS_RESET'), `ended with ${error?.code}`)
      assert.equal(session.size, 0)
      assert.equal(session.pipes.length, 0)
    },
    'tells close once and last, after its connections': async ({ session, client, connection }) => {
      const told: string[] = []
      connection.on('close', () => told.push('connection'))
      session.on('close', () => told.push(`session ${session.phase} ${session.size}`))
      await kind.exchange(client)
      session.abort()
      await session.closed
      session.abort()
      await session.close()
      assert.deepEqual(told, ['connection', 'session closed 0'])
    },
    'ends at once when it is aborted, for the reason given': async ({ session, client }) => {
      await kind.exchange(client)
      const reason = new Error('enough')
      session.abort(reason)
      const error = await session.closed
      assert.equal(error?.cause, reason)
      await client.over()
    },
    'ends when it is aborted before a word was said': async ({ session, client }) => {
      session.abort()
      assert.ok(isXpsError(await session.closed, 'XPS_ABORTED'))
      await client.over()
    },
    'drains: close() resolves when the client has left': async ({ session, client }) => {
      await kind.exchange(client)
      const closed = session.close()
      assert.notEqual(session.phase, 'open')
      leave(client)
      assert.equal(await closed, undefined)
    },
    'never rejects, and close() after the end resolves to the same': async ({ session, client }) => {
      client.reset()
      const error: XpsError | undefined = await session.closed
      assert.equal(await session.close(), error)
      assert.equal(await session.closed, error)
    },
    'owns each of its connections': async ({ session, client, connection }) => {
      await kind.exchange(client)
      assert.equal(connection.session, session)
      for (const one of session.connections) assert.equal(one.session, session)
    },
    'disposes of what it owns once, in reverse order, before close is told': async ({ session, client }) => {
      const told: string[] = []
      session.own(() => told.push('first'))
      session.own(() => told.push('second'))
      session.on('close', () => told.push('close'))
      await kind.exchange(client)
      leave(client)
      await session.closed
      assert.deepEqual(told, ['second', 'first', 'close'])
    },
  }
  return Object.entries(claims).map(([name, claim]) => ({
    name,
    run: async () => {
      const opened = inMemory(kind.protocol)
      try {
        await claim(opened)
      } finally {
        opened.session.abort()
        await opened.session.closed
        await kind.cleanUp?.()
      }
    },
  }))
}
