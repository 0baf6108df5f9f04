// Another process on the folder of an LmdbStore, which does what it is told: node lmdb-peer.js FOLDER OPTIONS LEASE [put ID]
import { LmdbStore, SharedSessions } from 'xps/state'

const [folder, options, lease, verb, id] = process.argv.slice(2)
const sessions = new SharedSessions(new LmdbStore(folder, JSON.parse(options)), {
  lockLease: Number(lease),
  lockTimeout: 50_000,
})
await sessions.open()
const held = new Map()

const verbs = {
  /** Adds one, so many times at once. */
  async add(id, times) {
    const one = async () => {
      const session = await sessions.openSession(id)
      session.put('n', String(Number(session.get('n')) + 1))
      await session.close()
    }
    await Promise.all(Array.from({ length: times }, one))
  },
  async open(id) {
    held.set(id, await sessions.openSession(id))
    return held.get(id).get('n')
  },
  put: async (id, value) => void held.get(id).put('n', value),
  close: (id) => held.get(id).close(),
  leave: () => sessions.close(),
}

if (verb === 'put') {
  await sessions.patch(id, { put: [['n', 'put']] })
  await sessions.close()
} else {
  process.on('message', async ([name, ...args]) => {
    try {
      process.send({ result: await verbs[name](...args) })
    } catch (error) {
      process.send({ code: error.code ?? String(error) })
    }
  })
  process.send({ result: 'open' })
}
