import { type Clock, systemClock } from '../../clock.ts'
import { XpsError } from '../../errors.ts'
import { durationOption, invalidOption, knownOptions } from '../../options.ts'
import type { Commit, CommitResult, Container, ContainerLock, Stored, Summary } from '../container.ts'
import { isId } from '../ids.ts'
import { RedisCaller } from './redis/redis-caller.ts'
import { type RedisClient, redisPort } from './redis/redis-client.ts'
import { isOutOfMemory } from './redis/redis-error.ts'
import { commitWords, expiryText, readExpiry, readFields } from './redis/redis-fields.ts'
import { fenceMemory, RedisLocks } from './redis/redis-locks.ts'
import { commitScript, destroyScript, readScript, touchScript } from './redis/redis-scripts.ts'

/** Options of a {@link RedisStore}. */
export interface RedisStoreOptions {
  /** A client of node-redis or ioredis, for one server or a cluster. The host connects it, and closes it afterwards. */
  client: RedisClient
  /** Another client, which hears that locks are free. @default one that is made of the first when it is needed */
  subscriber?: RedisClient
  /** What keys and the channel begin with: one for each application. No braces. @default 'xps:' */
  prefix?: string
  /** How long Redis may take to answer, in milliseconds. @default 5000 */
  commandTimeout?: number
  /** How often one who waits for a lock looks by itself, in case a message was lost, in milliseconds. @default 1000 */
  pollInterval?: number
  /** @default the machine's */
  clock?: Clock
}

/** How many keys Redis looks at in one step of a list. */
const scanCount = '200'
/** How many ids are remembered, so that none is listed twice. */
const mostRemembered = 100_000

/**
 * Keeps shared sessions in Redis or Valkey, for processes on several machines.
 *
 * A session is a hash, and a commit writes the keys that were changed. Lock, fence and hash are in one slot of a cluster,
 * and each change is one script there: all of it or nothing, and only under the highest fence. Redis removes what has
 * expired. What was acknowledged is as durable as Redis is configured to be.
 */
export class RedisStore implements Container {
  readonly name = 'redis'
  readonly expiresAlone = true
  readonly #caller: RedisCaller
  readonly #locks: RedisLocks
  readonly #prefix: string

  constructor(options: RedisStoreOptions) {
    const names = ['client', 'subscriber', 'prefix', 'commandTimeout', 'pollInterval', 'clock']
    knownOptions('redis store options', options, names)
    const { client, subscriber, prefix = 'xps:', clock = systemClock } = options
    // Braces would choose the slot of a cluster.
    if (typeof prefix !== 'string' || !/^[^{}]{0,200}$/.test(prefix)) {
      throw invalidOption('prefix', prefix, 'a text of at most 200 characters without braces')
    }
    const port = portOf('client', client)
    const ears = subscriber === undefined ? undefined : portOf('subscriber', subscriber)
    const channel = `${prefix}free`
    this.#prefix = prefix
    this.#caller = new RedisCaller(port, clock, durationOption('commandTimeout', options.commandTimeout, 5_000))
    this.#locks = new RedisLocks(this.#caller, {
      clock,
      pollInterval: durationOption('pollInterval', options.pollInterval, 1_000),
      channel,
      keysOf: (id) => this.#keysOf(id),
      subscribe(told) {
        const listener = (id: unknown): void => told(String(id))
        return ears === undefined ? port.hearApart(channel, listener) : ears.hear(channel, listener)
      },
    })
  }

  /** Rejects if Redis cannot be reached, or does not know what is needed of it. */
  async open(): Promise<void> {
    this.#locks.open()
    await this.read('nobody')
  }

  async read(id: string): Promise<Stored | undefined> {
    const answer = await this.#caller.run(readScript, this.#keysOf(id).slice(0, 1), [])
    try {
      return readFields(answer as Buffer[])
    } catch (error) {
      throw new XpsError('XPS_READ', 'redis: what is kept for a session cannot be read', { cause: error })
    }
  }

  async commit(id: string, stored: Stored, { expect, fence, changes }: Commit): Promise<CommitResult> {
    const words = [expect, String(fence), ...commitWords(stored, changes, timeToLive(stored.expires))]
    try {
      return String(await this.#caller.run(commitScript, this.#keysOf(id), words)) as CommitResult
    } catch (error) {
      if (isOutOfMemory(error)) return 'full'
      throw error
    }
  }

  async destroy(id: string, fence: number): Promise<boolean | 'fenced'> {
    const words = [String(fence), String(fenceMemory)]
    return outcome(await this.#caller.run(destroyScript, this.#keysOf(id), words))
  }

  async touch(id: string, expires: number, fence?: number): Promise<boolean | 'fenced'> {
    const words = [fence === undefined ? '' : String(fence), expiryText(expires), timeToLive(expires)]
    return outcome(await this.#caller.run(touchScript, this.#keysOf(id), words))
  }

  async *list(): AsyncIterableIterator<Summary> {
    const { port } = this.#caller
    const begin = `${port.keyPrefix}${this.#prefix}{`
    const pattern = `${begin.replace(/[\\*?[\]]/g, '\\$&')}*}`
    const remembered = new Set<string>()
    const masters = await this.#caller.wait(Promise.resolve(port.masters()))
    if (masters.length === 0) throw new XpsError('XPS_CONNECT', 'redis: no master is known', { origin: 'upstream' })
    for (const ask of masters) {
      let cursor = '0'
      do {
        const step = await this.#caller.wait(ask(['SCAN', cursor, 'MATCH', pattern, 'COUNT', scanCount]))
        const [next, keys] = step as [Buffer, Buffer[]]
        cursor = String(next)
        const ids = keys.map((key) => String(key).slice(begin.length, -1))
        yield* await this.#summaries(ids.filter((id) => isId(id) && isNew(remembered, id)))
      } while (cursor !== '0')
    }
  }

  /** Locks a session for this process, as `Container` has it. A waiter is woken by what is published. */
  lock(
    id: string,
    request: { readonly wait: number; readonly lease: number; readonly signal: AbortSignal },
  ): Promise<ContainerLock | undefined> {
    return this.#locks.lock(id, request)
  }

  /** Ends what it has begun; the client stays as it is. */
  close(): Promise<void> {
    return this.#locks.close()
  }

  /** What has gone meanwhile is left out. */
  async #summaries(ids: readonly string[]): Promise<Summary[]> {
    const texts = await Promise.all(
      ids.map((id) => {
        const [key = ''] = this.#keysOf(id)
        return this.#caller.wait(this.#caller.port.ask(key, ['HGET', key, 'expires']))
      }),
    )
    return ids.flatMap((id, index) => {
      const text = texts[index]
      return text === null || text === undefined ? [] : [{ id, expires: readExpiry(String(text)) }]
    })
  }

  /** The hash, the fence and the lock. */
  #keysOf(id: string): readonly [string, string, string] {
    const key = `${this.#prefix}{${id}}`
    return [key, `${key}:fence`, `${key}:lock`]
  }
}

function portOf(name: string, client: unknown): NonNullable<ReturnType<typeof redisPort>> {
  const port = redisPort(client)
  if (port !== undefined) return port
  throw invalidOption(name, client, `a client of node-redis (createClient, createCluster) or ioredis (Redis, Cluster)`)
}

/** How long Redis keeps it, in milliseconds from now; its clock may be another. */
function timeToLive(expires: number): string {
  return expires === Number.POSITIVE_INFINITY ? '' : String(Math.ceil(expires - Date.now()))
}

function outcome(answer: unknown): boolean | 'fenced' {
  const number = Number(answer)
  return number < 0 ? 'fenced' : number === 1
}

/** Redis may tell a key twice while it grows or shrinks. */
function isNew(remembered: Set<string>, id: string): boolean {
  if (remembered.has(id)) return false
  remembered.add(id)
  if (remembered.size > mostRemembered) {
    for (const first of remembered) {
      remembered.delete(first)
      break
    }
  }
  return true
}
