import { XpsError } from '../../../errors.ts'

/** What is said to Redis: words, which may hold any bytes. */
export type RedisWords = readonly (string | Buffer)[]

/** What is asked of a client of the package redis (node-redis), made by `createClient` and connected by the host. */
export interface NodeRedisClient {
  readonly isOpen: boolean
  sendCommand(words: RedisWords, options?: object): Promise<unknown>
  withTypeMapping(types: object): unknown
  duplicate(): NodeRedisClient
  connect(): Promise<unknown>
  destroy(): void
  on(event: 'error', listener: (error: Error) => void): unknown
  subscribe(channel: string, listener: (message: unknown) => void): Promise<unknown>
  unsubscribe(channel: string, listener: (message: unknown) => void): Promise<unknown>
}

/** The same of one that was made by `createCluster`. */
export interface NodeRedisCluster {
  readonly isOpen: boolean
  readonly masters: readonly unknown[]
  sendCommand(key: string | undefined, readOnly: boolean, words: RedisWords, options?: object): Promise<unknown>
  nodeClient(master: never): Promise<Pick<NodeRedisClient, 'sendCommand'>>
  subscribe(channel: string, listener: (message: unknown) => void): Promise<unknown>
  unsubscribe(channel: string, listener: (message: unknown) => void): Promise<unknown>
}

/** What is asked of a client of the package ioredis: a `Redis`, or a `Cluster`. */
export interface IoredisClient {
  readonly isCluster: boolean
  readonly options: { readonly keyPrefix?: string | undefined }
  callBuffer(command: string, words: (string | Buffer)[]): Promise<unknown>
  nodes?(role: 'master'): object[]
  duplicate(...options: never[]): unknown
  disconnect(): void
  on(event: string, listener: (...words: string[]) => void): unknown
  off(event: string, listener: (...words: string[]) => void): unknown
  subscribe(channel: string): Promise<unknown>
  unsubscribe(channel: string): Promise<unknown>
}

/** A client for Redis or Valkey that the host has made, and ends when it likes. */
export type RedisClient = NodeRedisClient | NodeRedisCluster | IoredisClient

/** Says one command, and resolves to the answer, whose texts are `Buffer`s. */
export type RedisAsk = (words: RedisWords) => Promise<unknown>

/** A wish to hear what is published; `ready` when nothing will be missed any more. It may end at any time. */
export interface Subscription {
  readonly ready: Promise<unknown>
  end(): unknown
}

/** What clients of all kinds are to us. */
export interface RedisPort {
  /** What the client puts before keys, but not before patterns. */
  readonly keyPrefix: string
  /** Says a command to the master that has the key. */
  ask(key: string, words: RedisWords): Promise<unknown>
  /** All masters. */
  masters(): RedisAsk[] | Promise<RedisAsk[]>
  /** Hears on the client itself. */
  hear(channel: string, told: (message: unknown) => void): Subscription
  /** Hears on a connection that is made for it, if the client does not do so by itself. */
  hearApart(channel: string, told: (message: unknown) => void): Subscription
}

/** What a client is to us; undefined if it is none that we know. */
export function redisPort(client: unknown): RedisPort | undefined {
  if (typeof client !== 'object' || client === null) return undefined
  if (has(client, 'evalshaBuffer', 'duplicate', 'subscribe')) return ioredisPort(client as IoredisClient)
  if (!has(client, 'sendCommand', 'withTypeMapping', 'subscribe')) return undefined
  if (has(client, 'nodeClient')) return nodeClusterPort(client as NodeRedisCluster)
  // Those of sentinels and pools want commands in another way.
  return has(client, 'duplicate', 'destroy', 'createPool') ? nodePort(client as NodeRedisClient) : undefined
}

/** Texts as bytes: 36 and 43 are `$` and `+`, the first bytes of the two kinds that there are. */
const asBytes = { typeMapping: { 36: Buffer, 43: Buffer } }

function nodePort(client: NodeRedisClient): RedisPort {
  const ask: RedisAsk = (words) => client.sendCommand(words, asBytes)
  return {
    keyPrefix: '',
    ask: (_key, words) => ask(words),
    masters: () => [ask],
    hear: (channel, told) => nodeSubscription(client, channel, told),
    hearApart(channel, told) {
      const own = client.duplicate()
      own.on('error', ignored)
      return {
        ready: own.connect().then(() => own.subscribe(channel, told)),
        end: () => {
          if (own.isOpen) own.destroy()
        },
      }
    },
  }
}

function nodeClusterPort(client: NodeRedisCluster): RedisPort {
  return {
    keyPrefix: '',
    ask: (key, words) => client.sendCommand(key, false, words, asBytes),
    masters: () =>
      Promise.all(
        client.masters.map(async (master): Promise<RedisAsk> => {
          const node = await client.nodeClient(master as never)
          return (words) => node.sendCommand(words, asBytes)
        }),
      ),
    hear: (channel, told) => nodeSubscription(client, channel, told),
    // A cluster's client has a connection apart for that, as long as it hears anything.
    hearApart: (channel, told) => nodeSubscription(client, channel, told),
  }
}

function nodeSubscription(
  client: NodeRedisClient | NodeRedisCluster,
  channel: string,
  told: (message: unknown) => void,
): Subscription {
  // It would wait until somebody connects it.
  if (!client.isOpen) {
    const options = { origin: 'upstream', retryable: true } as const
    const closed = new XpsError('XPS_CONNECT', 'redis: the client that is to hear is not connected', options)
    return { ready: Promise.reject(closed), end: ignored }
  }
  return { ready: client.subscribe(channel, told), end: () => client.unsubscribe(channel, told) }
}

function ioredisPort(client: IoredisClient): RedisPort {
  const hear = (channel: string, told: (message: unknown) => void): Subscription =>
    ioredisSubscription(client, channel, told)
  return {
    keyPrefix: client.options.keyPrefix ?? '',
    ask: (_key, words) => call(client, words),
    masters() {
      const nodes = client.isCluster ? (client.nodes?.('master') ?? []) : [client]
      return nodes.map((node) => (words) => call(node, words))
    },
    hear,
    hearApart(channel, told) {
      // A cluster's client has a connection apart for that.
      if (client.isCluster) return hear(channel, told)
      const duplicate = client.duplicate.bind(client) as (options: object) => IoredisClient
      const own = duplicate({ enableOfflineQueue: true, autoResubscribe: true })
      own.on('error', ignored)
      return { ready: ioredisSubscription(own, channel, told).ready, end: () => own.disconnect() }
    },
  }
}

/** By the method of the command: `callBuffer` forgets its name where commands are pipelined by themselves (ioredis 6.0). */
function call(client: object, [command, ...words]: RedisWords): Promise<unknown> {
  type Method = (words: (string | Buffer)[]) => Promise<unknown>
  const methods = client as Record<string, Method | undefined>
  const name = `${String(command).toLowerCase()}Buffer`
  const answer = methods[name]?.(words)
  return answer ?? Promise.reject(new TypeError(`the client has no ${name}`))
}

function ioredisSubscription(client: IoredisClient, channel: string, told: (message: unknown) => void): Subscription {
  const listener = (from = '', message = ''): void => {
    if (from === channel) told(message)
  }
  client.on('message', listener)
  return {
    ready: client.subscribe(channel),
    end() {
      client.off('message', listener)
      return client.unsubscribe(channel)
    },
  }
}

/** Our own connections come back by themselves, and meanwhile it is looked from time to time. */
function ignored(): void {}

function has(client: object, ...names: string[]): boolean {
  return names.every((name) => typeof (client as Record<string, unknown>)[name] === 'function')
}
