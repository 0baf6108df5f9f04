// Four times as many clients as can be served: who is, and how long that takes.
import { connect } from 'node:net'
import { pause } from '../lib/processes.js'
import { startLimited } from './limited.js'

const limit = 50
const service = 100
const capacity = (limit * 1_000) / service
const arrivals = 4 * capacity
const queueTimeout = 2_000

export const overload = {
  name: 'overload',
  line: `four times the clients that can be served, newest first and oldest first: served, refused, p50 and p99`,
  rounds: 30,
  how: `A round is a second. The limit is ${limit} sessions and the upstream takes ${service} ms for each, so ${capacity} clients a second can
be served; ${arrivals} come, whether or not those before them were served, as strangers do. 1,024 may wait (the default), for ${queueTimeout / 1_000} s. The times
are those of the clients that were served, from the call to connect to the last byte.`,

  async run({ rounds, tell }) {
    const results = {}
    for (const order of ['newest', 'oldest']) results[order] = await pressure(order, rounds * 1_000, tell)
    const { newest, oldest } = results
    return {
      figures: [
        {
          figure: 'p99 of the served, newest first beside oldest first',
          median: newest.p99 / oldest.p99,
          unit: '×',
          most: 0.5,
        },
      ],
      table: {
        head: ['Overload', 'served', 'refused', 'p50', 'p99'],
        rows: Object.entries(results).map(([order, { served, refused, p50, p99 }]) => [
          `${order} first`,
          String(served),
          String(refused),
          `${p50.toFixed(0)} ms`,
          `${p99.toFixed(0)} ms`,
        ]),
      },
      bars: [bars('p50 of the served', results, 'p50'), bars('p99 of the served', results, 'p99')],
    }
  },
}

function bars(title, results, key) {
  const values = Object.entries(results).map(([order, result]) => ({
    name: `${order} first`,
    value: result[key],
    ours: order === 'newest',
  }))
  return { title, axis: 'ms from connecting to the last byte (shorter is better)', values }
}

/** Clients for so long; resolves to what became of them. */
async function pressure(order, duration, tell) {
  const options = { maxConnections: limit, queueTimeout, order }
  const server = await startLimited(options, './slow-upstream.js', service)
  const times = []
  let refused = 0
  let coming = 0
  const start = performance.now()
  const client = async () => {
    const begun = performance.now()
    const served = await visit(server.port)
    // When no more come the pressure is off, and those who still wait are served as they would be at any other time.
    if (performance.now() < start + duration) {
      if (served) times.push(performance.now() - begun)
      else refused++
    }
    coming--
  }
  for (let come = 0, said = 5_000; ; ) {
    const elapsed = performance.now() - start
    if (elapsed >= duration) break
    for (; come < (arrivals * elapsed) / 1_000; come++, coming++) void client()
    if (elapsed > said) {
      tell(`${order} first: ${come} came, ${times.length} served, ${refused} refused`)
      said += 5_000
    }
    await pause(5)
  }
  while (coming > 0) await pause(50)
  const { active, queued } = await settled(server)
  if (active !== 0 || queued !== 0) throw new Error(`${active} sessions and ${queued} waiting were left`)
  await server.stop()
  times.sort((a, b) => a - b)
  const at = (share) => times[Math.floor((times.length - 1) * share)]
  return { served: times.length, refused, p50: at(0.5), p99: at(0.99) }
}

async function settled(server) {
  for (let tries = 0; ; tries++) {
    const stats = await server.stats()
    if ((stats.active === 0 && stats.queued === 0) || tries === 50) return stats
    await pause(100)
  }
}

/** One connection; resolves to whether it was served. */
function visit(port) {
  return new Promise((resolve) => {
    let got = 0
    const socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => socket.write('?'))
    socket.on('data', (chunk) => {
      got += chunk.length
    })
    socket.on('error', () => {})
    socket.once('close', () => resolve(got === 130))
  })
}
