import { XpsError } from '../index.ts'
import { RedisStore } from '../state/index.ts'

/** A store that has something to close besides. */
export interface RedisStateStore {
  readonly store: RedisStore
  /** What to print: nothing of it is secret. */
  readonly text: string
  close(): Promise<void>
}

/** How long the connection waits before it comes back, at most, in milliseconds. */
const longestDelay = 2_000

/**
 * Sessions in the Redis or Valkey of a URL, which is connected now. A password that the URL does not have is that of
 * `XPS_REDIS_PASSWORD`. Rejects with `XPS_NOT_FOUND` if the optional package redis, which speaks to it, is not installed,
 * and with `XPS_CONNECT` if it cannot be reached.
 */
export async function redisStore(url: URL): Promise<RedisStateStore> {
  const { createClient } = await import('redis').catch(() => {
    throw new XpsError('XPS_NOT_FOUND', 'the package that speaks to Redis is not there: npm install redis')
  })
  const text = `Redis on ${url.protocol}//${url.host}${url.pathname}`
  const password = process.env['XPS_REDIS_PASSWORD']
  if (password !== undefined && url.password === '') url.password = encodeURIComponent(password)
  let connected = false
  const client = createClient({
    url: url.href,
    name: 'xps',
    // What cannot be sent now is refused now: nobody waits for it, and it does no harm later.
    disableOfflineQueue: true,
    socket: {
      reconnectStrategy: (retries, cause) => (connected ? Math.min(50 * 2 ** retries, longestDelay) : cause),
    },
  })
  let told = false
  client.on('error', (error: Error) => {
    if (connected && !told) console.error(`xps: Redis: ${error.message}`)
    told = true
  })
  client.on('ready', () => {
    told = false
  })
  await client.connect().catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new XpsError('XPS_CONNECT', `${text} cannot be used: ${reason}`, { origin: 'upstream', cause })
  })
  connected = true
  return {
    store: new RedisStore({ client }),
    text,
    close: async () => {
      if (client.isOpen) client.destroy()
    },
  }
}
