// How many sessions are written to the disk in a second, beside the bare engines and Redis.
import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort, startServer, stop, temporaryFolder } from '../lib/processes.js'
import { inTurn, median, ratio, summary } from '../lib/statistics.js'

const parallel = 64
const sessions = { lmdb: 4_096, file: 512 }
const file = fileURLToPath(new URL('durable-worker.js', import.meta.url))

const names = {
  lmdb: 'state server, LmdbStore',
  rawLmdb: 'lmdb, bare put',
  redis: 'Redis, appendfsync always',
  lmdbWithin: 'within a program, LmdbStore',
  redisWithin: 'within a program, RedisStore on Redis, appendfsync always',
  file: 'state server, FileStore',
  rawFile: 'file, bare pattern',
}

export const stateDurable = {
  name: 'state-durable',
  line: 'sessions of 1 KB that are written and on the disk when the answer comes, 64 at a time',
  rounds: 9,
  how: `Over the wire, 64 connections in a process of their own; each opens a session, puts 1 KB and closes it (three
commands, one segment), or sends Redis one \`HSET\`, and goes on when it is answered. Each is one of ${sessions.lmdb.toLocaleString('en')} sessions
(files: ${sessions.file}), by chance. Bare: 64 at a time in the process of the engine: \`put\` of the package lmdb as it opens by default,
awaited until flushed (fdatasync for each transaction); and for files another file, fsync, rename, fsync of the folder. Redis
has \`appendonly yes\`, \`appendfsync always\`, no snapshots. Within a program: 64 sessions at a time are opened, changed and
closed by \`SharedSessions\` in the same process, without a wire of ours; Redis is spoken to by node-redis. Rates are turned into the time per session, so that less is
better: 2× is half of the rate. The delay of the loop is that of the server's process while it writes (perf_hooks, in steps of 1 ms).`,

  async run({ rounds, quick, tell }) {
    const home = temporaryFolder()
    const milliseconds = quick ? 300 : 800
    const delays = { [names.lmdb]: [], [names.file]: [] }
    const load = await start('load', home)
    const subjects = []
    const ends = [() => load.end()]
    try {
      for (const kind of ['lmdb', 'file']) {
        const ids = Array.from({ length: sessions[kind] }, () => randomBytes(16).toString('hex'))
        const raw = await start(`raw-${kind}`, folderIn(home, `raw-${kind}`))
        const server = await start('serve', folderIn(home, kind), kind)
        ends.push(raw.end, server.end)
        const work = { ids, parallel, milliseconds }
        await raw.ask('make', work)
        subjects.push({ name: kind === 'lmdb' ? names.rawLmdb : names.rawFile, run: () => raw.ask('run', work) })
        const overWire = { ...work, port: server.port, dialect: 'state' }
        await load.ask('make', overWire)
        const name = names[kind]
        const run = async () => {
          await server.ask('begin')
          const rate = await load.ask('run', overWire)
          delays[name].push(await server.ask('delay'))
          return rate
        }
        subjects.push({ name, run })
        if (kind === 'lmdb') {
          const redis = await startRedis(folderIn(home, 'redis'), tell)
          if (redis === undefined) continue
          ends.push(() => stop(redis.child))
          const inRedis = { ...work, port: redis.port, dialect: 'redis' }
          await load.ask('make', inRedis)
          subjects.push({ name: names.redis, run: () => load.ask('run', inRedis) })
          for (const [store, storePort] of [['lmdb'], ['redis', redis.port]]) {
            const within = await start('within', folderIn(home, `within-${store}`), store)
            ends.push(within.end)
            const ids = Array.from({ length: sessions.lmdb }, () => randomBytes(16).toString('hex'))
            const inProgram = { ...work, ids, port: storePort }
            await within.ask('make', inProgram)
            const name = store === 'lmdb' ? names.lmdbWithin : names.redisWithin
            subjects.push({ name, run: () => within.ask('run', inProgram) })
          }
        }
      }
      const measure = async ({ run }) => 1e6 / (await run())
      await inTurn(subjects, 1, measure)
      for (const values of Object.values(delays)) values.length = 0
      const samples = await inTurn(subjects, rounds, measure, { told: (n) => tell(`round ${n} of ${rounds}`) })
      return { figures: figures(samples, delays), table: table(samples, diskOf(home)) }
    } finally {
      for (const end of ends.reverse()) await end()
    }
  },
}

function figures(samples, delays) {
  const beside = (ours, theirs, most) => ({
    figure: `Time per durable session, ${ours}, beside ${theirs}`,
    ...(samples[theirs] === undefined ? { missing: 'not installed' } : ratio(samples[ours], samples[theirs])),
    unit: '×',
    most,
  })
  return [
    beside(names.lmdb, names.rawLmdb, 2),
    beside(names.lmdb, names.redis, 1),
    beside(names.lmdbWithin, names.rawLmdb, 2),
    beside(names.lmdbWithin, names.redisWithin, 1),
    beside(names.file, names.rawFile, 1.25),
    ...Object.entries(delays).map(([name, values]) => ({
      figure: `Delay of the loop while it writes, p99, ${name}`,
      ...summary(values),
      unit: ' ms',
      most: 20,
    })),
  ]
}

function table(samples, disk) {
  return {
    head: [`On ${disk}`, 'sessions per second'],
    rows: Object.entries(samples).map(([name, values]) => [
      name,
      Math.round(1e6 / median(values)).toLocaleString('en'),
    ]),
  }
}

function folderIn(home, name) {
  const folder = join(home, name)
  mkdirSync(folder)
  return folder
}

/** `ext4 on /dev/vda (rw,relatime)`: figures of a disk mean nothing without it. */
function diskOf(folder) {
  const place = realpathSync(folder)
  const mounts = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, where]) => where !== undefined && (where === '/' || place === where || place.startsWith(`${where}/`)))
  const [device, , type, options] = mounts.sort(([, a], [, b]) => b.length - a.length)[0] ?? []
  return `${type} on ${device} (${options})`
}

async function startRedis(folder, tell) {
  const port = await freePort()
  const options = [
    '--appendonly',
    'yes',
    '--appendfsync',
    'always',
    '--save',
    '',
    '--dir',
    folder,
    '--bind',
    '127.0.0.1',
  ]
  try {
    return { port, child: await startServer('redis-server', ['--port', `${port}`, ...options], port) }
  } catch (error) {
    tell(`left out: Redis (${error.message})`)
    return undefined
  }
}

/** A part of it, in a process of its own. */
async function start(role, folder, ...more) {
  const child = fork(file, [role, folder, ...more])
  let ended = (_error) => {}
  child.once('exit', () => ended(new Error(`${role} ended`)))
  const next = () =>
    new Promise((resolve, reject) => {
      child.once('message', ({ result }) => resolve(result))
      ended = reject
    })
  const port = await next()
  const ask = (verb, work) => {
    const answer = next()
    child.send({ verb, work })
    return answer
  }
  return { port, ask, end: () => child.kill() }
}
