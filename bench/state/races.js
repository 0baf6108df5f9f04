// What is left of parallel requests on one session, beside the stores of express-session and @fastify/session.
import { existsSync } from 'node:fs'
import { freePort, stop, temporaryFolder } from '../lib/processes.js'
import { inNode } from '../lib/servers.js'
import { redisMissing, startRedis } from './redis.js'

const parallel = 50

export const races = {
  name: 'races',
  line: `${parallel} parallel requests on one session, and a logout during a slow one`,
  rounds: 3,
  how: `A browser sends ${parallel} requests at once, each of which reads its session, takes 20 ms, and adds one to a counter, or puts
a key of its own. Then it sends one that takes 150 ms, and while that is under way logs out: is the session there again? In
Express with express-session, or in Fastify with @fastify/session; of the rounds, the worst of ours and the best of theirs is
shown. Merging is for properties that one request writes: of two that change the same one, the later wins.
Peers: \`npm ci --prefix bench/state/peers\`.`,

  async run({ rounds, tell }) {
    if (!existsSync(new URL('peers/node_modules', import.meta.url))) {
      const missing = 'npm ci --prefix bench/state/peers'
      return { figures: figures().map((figure) => ({ ...figure, missing })), table: table(new Map()) }
    }
    const results = new Map()
    for (let round = 1; round <= rounds; round++) {
      for await (const { name, ours = false, shop, close } of stacks(tell)) {
        const outcome = await race(shop)
        await close?.()
        results.set(name, worse(results.get(name), outcome, ours))
      }
      tell(`round ${round} of ${rounds}`)
    }
    return { figures: figures(results), table: table(results) }
  },
}

/** Makes one after the other, so that none is there while another is looked at. */
async function* stacks(tell) {
  // Not before it has been built.
  const { ExpressStore, MemoryStore, SharedSessions, StateClient } = await import('xps/state')
  const { expressShop, fastifyShop, fileStore, memoryStore, redisStore } = await import('./peers/shops.js')
  yield { name: 'express-session, MemoryStore', shop: expressShop(memoryStore()) }
  const missing = redisMissing()
  if (missing === undefined) {
    const port = await freePort()
    const redis = await startRedis(port)
    const { store, close } = await redisStore(port)
    const end = async () => {
      await close()
      await stop(redis)
    }
    yield { name: 'express-session, connect-redis', shop: expressShop(store), close: end }
  } else tell(`left out: connect-redis (${missing})`)
  yield { name: 'express-session, session-file-store', shop: expressShop(fileStore(temporaryFolder())) }
  yield { name: '@fastify/session, memory', shop: fastifyShop() }
  for (const mode of ['locking', 'merging']) {
    const shopOf = (source) => expressShop(new ExpressStore(source, { mode }))
    const { client, close } = await overServer(StateClient)
    yield { name: `xps, ${mode}, over a server`, ours: true, shop: shopOf(client), close }
    const sessions = await new SharedSessions(new MemoryStore()).open()
    yield { name: `xps, ${mode}, over a container`, ours: true, shop: shopOf(sessions), close: () => sessions.close() }
  }
}

async function overServer(StateClient) {
  const port = await freePort()
  const server = await inNode(new URL('server.js', import.meta.url))(port)
  const client = new StateClient(`127.0.0.1:${port}`)
  const close = async () => {
    await client.close()
    await stop(server)
  }
  return { client, close }
}

/** What is left of the counter, of the keys, and of the logout. */
async function race(start) {
  let began
  const slowBegan = new Promise((resolve) => {
    began = resolve
  })
  const { url, close } = await start(() => began())
  const all = Array.from({ length: parallel }, (_, index) => index)
  const counting = await browser(url)
  // Opens the connections, so that the requests come together.
  await Promise.all(all.map(() => counting('/see')))
  await Promise.all(all.map(() => counting('/add')))
  const { n } = await counting('/see')
  const putting = await browser(url)
  await Promise.all(all.map((index) => putting(`/key/${index}`)))
  const keys = Object.keys(await putting('/see')).filter((key) => key.startsWith('key')).length
  const leaving = await browser(url)
  const slow = leaving('/slow')
  await slowBegan
  await Promise.all([leaving('/logout'), slow])
  const undone = (await leaving('/see')).n !== undefined
  await close()
  return { n, keys, undone }
}

/** Somebody who has logged in. */
async function browser(url) {
  const response = await fetch(`${url}/login`)
  // express-session sends the head before the session is saved, and the last byte after it.
  await response.text()
  const [cookie] = response.headers.getSetCookie()[0].split(';')
  return async (path) => {
    const answer = await fetch(url + path, { headers: { cookie } })
    if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
    return answer.json()
  }
}

/** The worst of ours, and the best of the others'. */
function worse(before, { n, keys, undone }, ours) {
  if (before === undefined) return { n, keys, undone }
  const chosen = ours ? Math.min : Math.max
  return {
    n: chosen(before.n, n),
    keys: chosen(before.keys, keys),
    undone: ours ? before.undone || undone : before.undone && undone,
  }
}

function figures(results = new Map()) {
  const ours = [...results].filter(([name]) => name.startsWith('xps'))
  const locking = ours.filter(([name]) => name.includes('locking'))
  const fewest = (some, what) => Math.min(...some.map(([, outcome]) => outcome[what]))
  return [
    {
      figure: `${parallel} parallel requests that each add one, locking: counted`,
      median: fewest(locking, 'n'),
      unit: '',
      least: parallel,
    },
    {
      figure: `${parallel} parallel requests with a key each, locking or merging: kept`,
      median: fewest(ours, 'keys'),
      unit: '',
      least: parallel,
    },
    {
      figure: 'Logouts during a slow request that were undone',
      median: ours.filter(([, { undone }]) => undone).length,
      unit: '',
      most: 0,
    },
  ]
}

function table(results) {
  return {
    head: ['One session', `${parallel} add one`, `${parallel} keys`, 'logout is undone'],
    rows: [...results].map(([name, { n, keys, undone }]) => [name, String(n), String(keys), undone ? 'yes' : 'no']),
  }
}
