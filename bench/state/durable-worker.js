// One part of the durable benchmark, in a process of its own: node durable-worker.js serve|raw-lmdb|raw-file|load FOLDER
import { randomBytes } from 'node:crypto'
import { open, rename } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'

const [role, folder, kind] = process.argv.slice(2)
const value = 'v'.repeat(1024)

/** So many at a time, for so long; resolves to how many there were in a second. */
async function rateOf(parallel, milliseconds, one) {
  const began = performance.now()
  const end = began + milliseconds
  let count = 0
  await Promise.all(
    Array.from({ length: parallel }, async (_, index) => {
      for (; performance.now() < end; count++) await one(index)
    }),
  )
  return (count * 1_000) / (performance.now() - began)
}

function pick(ids, index, parallel) {
  const share = Math.floor(ids.length / parallel)
  return ids[index + parallel * Math.floor(Math.random() * share)]
}

const roles = {
  /** A state server; tells how late its loop was while it was loaded. */
  async serve() {
    const { Core } = await import('xps')
    const { FileStore, LmdbStore, stateServer } = await import('xps/state')
    const store = kind === 'lmdb' ? new LmdbStore(folder) : new FileStore(folder)
    const core = new Core()
    const { port } = await core.listen({ port: 0, host: '127.0.0.1', protocol: stateServer({ store }) })
    const delay = monitorEventLoopDelay({ resolution: 1 })
    return {
      port,
      begin: () => delay.reset() || delay.enable(),
      delay: () => delay.disable() && delay.percentile(99) / 1e6,
    }
  },

  /** Puts in an LMDB environment as it is opened by default. */
  async 'raw-lmdb'() {
    const lmdb = await import('lmdb')
    const env = lmdb.open({ path: folder, noSubdir: false, encoding: 'binary', separateFlushed: true })
    const bytes = Buffer.from(value)
    return {
      async make({ ids }) {
        await Promise.all(ids.map((id) => env.put(id, bytes)))
        await env.flushed
      },
      run: ({ ids, parallel, milliseconds }) =>
        rateOf(parallel, milliseconds, (index) => env.put(pick(ids, index, parallel), bytes).flushed),
    }
  },

  /** Another file, fsync, rename, fsync of the folder. */
  async 'raw-file'() {
    const write = async (id) => {
      const temporary = join(folder, `.${randomBytes(12).toString('hex')}.tmp`)
      const file = await open(temporary, 'wx', 0o600)
      await file.writeFile(value, 'latin1')
      await file.sync()
      await file.close()
      await rename(temporary, join(folder, `${id}.txt`))
      const directory = await open(folder, 'r')
      await directory.sync()
      await directory.close()
    }
    return {
      make: ({ ids }) => rateOfAll(ids, write),
      run: ({ ids, parallel, milliseconds }) =>
        rateOf(parallel, milliseconds, (index) => write(pick(ids, index, parallel))),
    }
  },

  /** Clients that each write a session and wait for the answer, of a state server or of Redis. */
  async load() {
    const dialects = {
      state: {
        make: (id) => `create ${id}\r\nput v ${value}\r\nclose\r\n`,
        made: /^ok [0-9a-f]{32}\r\nok\r\nok\r\n$/,
        change: (id) => `open ${id}\r\nput v ${value}\r\nclose\r\n`,
        changed: /^ok\r\nok\r\nok\r\n$/,
      },
      redis: {
        make: (id) => `*4\r\n$4\r\nHSET\r\n$32\r\n${id}\r\n$1\r\nv\r\n$${value.length}\r\n${value}\r\n`,
        made: /^:1\r\n$/,
        change: (id) => `*4\r\n$4\r\nHSET\r\n$32\r\n${id}\r\n$1\r\nv\r\n$${value.length}\r\n${value}\r\n`,
        changed: /^:0\r\n$/,
      },
    }
    const pools = new Map()
    const poolOf = async (port, parallel) => {
      if (!pools.has(port)) pools.set(port, await Promise.all(Array.from({ length: parallel }, () => dial(port))))
      return pools.get(port)
    }
    return {
      async make({ port, ids, parallel, dialect }) {
        const pool = await poolOf(port, parallel)
        const { make, made } = dialects[dialect]
        const left = [...ids]
        await Promise.all(
          pool.map(async (ask) => {
            for (let id = left.pop(); id !== undefined; id = left.pop()) await ask(make(id), made)
          }),
        )
      },
      async run({ port, ids, parallel, milliseconds, dialect }) {
        const pool = await poolOf(port, parallel)
        const { change, changed } = dialects[dialect]
        return rateOf(parallel, milliseconds, (index) => pool[index](change(pick(ids, index, parallel)), changed))
      },
    }
  },
}

async function rateOfAll(ids, one) {
  const left = [...ids]
  const work = async () => {
    for (let id = left.pop(); id !== undefined; id = left.pop()) await one(id)
  }
  await Promise.all(Array.from({ length: 64 }, work))
}

/** A connection as a function: asks, and resolves when the answer is whole. */
async function dial(port) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  let [text, expected, settle] = ['', /^$/, undefined]
  socket.setEncoding('latin1').on('data', (chunk) => {
    text += chunk
    if (expected.test(text)) {
      text = ''
      settle.resolve()
    } else if (/err|-ERR/.test(text)) settle.reject(new Error(text))
  })
  return (question, answer) =>
    new Promise((resolve, reject) => {
      expected = answer
      settle = { resolve, reject }
      socket.write(question, 'latin1')
    })
}

const part = await roles[role]()
process.on('message', async ({ verb, work }) => process.send({ result: await part[verb](work) }))
process.send({ result: part.port })
