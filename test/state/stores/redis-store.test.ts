import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Cluster, Redis } from 'ioredis'
import { createClient, createCluster } from 'redis'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { RedisStore, type RedisStoreOptions } from '../../../src/state/stores/redis-store.ts'
import { containerContract } from '../../../src/testing/index.ts'
import type { ServerProgram } from '../../support/programs.ts'
import { RedisClusterProgram, startRedis } from '../../support/redis.ts'

let folder: string
let server: ServerProgram
let cluster: RedisClusterProgram
const ends: (() => unknown)[] = []
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xps-redis-'))
  ;[server, cluster] = await Promise.all([startRedis(folder), RedisClusterProgram.start(folder)])
})
afterAll(async () => {
  for (const end of ends) await end()
  await server?.[Symbol.asyncDispose]()
  await cluster?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

/** A client of each kind. */
const kinds = {
  async 'node-redis'() {
    const client = createClient({ url: `redis://${server.address}` })
    client.on('error', () => {})
    ends.push(() => client.close())
    await client.connect()
    return client
  },
  ioredis() {
    const client = new Redis(server.port, '127.0.0.1')
    client.on('error', () => {})
    ends.push(() => client.disconnect())
    return client
  },
  async 'a cluster by node-redis'() {
    const rootNodes = cluster.nodes.map(({ address }) => ({ url: `redis://${address}` }))
    const client = createCluster({ rootNodes })
    client.on('error', () => {})
    ends.push(() => client.close())
    await client.connect()
    return client
  },
  'a cluster by ioredis'() {
    const client = new Cluster(cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port })))
    client.on('error', () => {})
    ends.push(() => client.disconnect())
    return client
  },
}

let prefixes = 0

for (const [name, connect] of Object.entries(kinds)) {
  describe(`RedisStore with ${name}`, () => {
    let client: RedisStoreOptions['client']
    let prefix = ''
    beforeAll(async () => {
      client = await connect()
    })
    const make = (): RedisStore => {
      prefix = `test[${++prefixes}]*:`
      return new RedisStore({ client, prefix })
    }
    const again = (): RedisStore => new RedisStore({ client, prefix })
    for (const claim of containerContract({ make, again })) it(claim.name, claim.run)
  })
}
