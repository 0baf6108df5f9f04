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

  /** A program that has its sessions within: in LMDB, or in the Redis that it is told. */
  async within() {
    const { LmdbStore, RedisStore, SharedSessions } = await import('xps/state')
    let sessions
    const open = async ({ port }) => {
      if (kind === 'lmdb') return new SharedSessions(new LmdbStore(folder)).open()
      const { createClient } = await import('redis')
      const client = await createClient({ url: `redis://127.0.0.1:${port}` }).connect()
      return new SharedSessions(new RedisStore({ client })).open()
    }
    const write = async (id) => {
      const session = await sessions.openSession(id)
      await session.put('v', value)
      await session.close()
    }
    return {
      async make(work) {
        sessions = await open(work)
        await rateOfAll(work.ids, async (id) => {
          const session = await sessions.createSession(id)
          await session.put('v', value)
          await session.close()
        })
      },
      run: ({ ids, parallel, milliseconds }) =>
        rateOf(parallel, milliseconds, (index) => write(pick(ids, index, parallel))),
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
        made: (id) => `ok ${id}\r\nok\r\nok\r\n`,
        change: (id) => `open ${id}\r\nput v ${value}\r\nclose\r\n`,
        changed: () => 'ok\r\nok\r\nok\r\n',
      },
      redis: { make: hset, made: () => ':1\r\n', change: hset, changed: () => ':0\r\n' },
    }
    const pools = new Map()
    const poolOf = async (port, parallel) => {
      if (!pools.has(port)) pools.set(port, await Promise.all(Array.from({ length: parallel }, () => dial(port))))
      return pools.get(port)
    }
    const changes = new Map()
    return {
      async make({ port, ids, parallel, dialect }) {
        const pool = await poolOf(port, parallel)
        const { make, made, change, changed } = dialects[dialect]
        const left = [...ids]
        const next = () => {
          const id = left.pop()
          return id === undefined ? undefined : { question: Buffer.from(make(id)), answer: made(id) }
        }
        await Promise.all(pool.map((work) => work(next)))
        changes.set(
          port,
          ids.map((id) => ({ question: Buffer.from(change(id)), answer: changed(id) })),
        )
      },
      async run({ port, parallel, milliseconds }) {
        const pool = await poolOf(port, parallel)
        const all = changes.get(port)
        const began = performance.now()
        const end = began + milliseconds
        let count = 0
        const workOf = (index) => () => {
          if (performance.now() >= end) return undefined
          count++
          return pick(all, index, parallel)
        }
        await Promise.all(pool.map((work, index) => work(workOf(index))))
        return (count * 1_000) / (performance.now() - began)
      },
    }
  },
}

function hset(id) {
  return `*4\r\n$4\r\nHSET\r\n$32\r\n${id}\r\n$1\r\nv\r\n$${value.length}\r\n${value}\r\n`
}

async function rateOfAll(ids, one) {
  const left = [...ids]
  const work = async () => {
    for (let id = left.pop(); id !== undefined; id = left.pop()) await one(id)
  }
  await Promise.all(Array.from({ length: 64 }, work))
}

/** A connection as a function: asks one thing after the other, for as long as there is a next one. */
async function dial(port) {
  const slab = Buffer.alloc(4096)
  let [text, expected, proceed, fail] = ['', '', undefined, undefined]
  const callback = (length) => {
    text += slab.latin1Slice(0, length)
    if (text === expected) proceed()
    else if (text.length >= expected.length || /err|-/.test(text)) fail(new Error(`answered ${text}`))
    return true
  }
  const socket = connect({ port, host: '127.0.0.1', noDelay: true, onread: { buffer: slab, callback } })
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  return (next) =>
    new Promise((resolve, reject) => {
      fail = reject
      proceed = () => {
        const one = next()
        if (one === undefined) return resolve()
        text = ''
        expected = one.answer
        socket.write(one.question)
      }
      proceed()
    })
}

const part = await roles[role]()
process.on('message', async ({ verb, work }) => process.send({ result: await part[verb](work) }))
process.send({ result: part.port })
