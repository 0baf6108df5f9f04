// Memory of a relay per session that is open and silent.
import { pause, residentMemory } from '../lib/processes.js'
import { inTurn, ratio, summary } from '../lib/statistics.js'
import { openClients } from './load.js'
import { pipe, startOne, stopAll, xps } from './proxies.js'

const settling = 5_000

export const idle = {
  name: 'idle',
  line: 'memory of 5,000 idle sessions, beside a.pipe(b)',
  rounds: 5,
  how: `Growth of the resident memory from the start of a fresh process to ${settling / 1_000} s after the last of 5,000
clients has had its answer to one request of 100 B. Both processes are started alike, and no garbage collection is forced.`,

  async run({ rounds, quick, tell }) {
    const sessions = quick ? 1_000 : 5_000
    const measure = (proxy) => growth(proxy, sessions)
    const told = (round) => tell(`round ${round} of ${rounds}`)
    const samples = await inTurn([xps, pipe], rounds, measure, { told })
    const perSession = (name) => summary(samples[name]).median / sessions / 1_000
    return {
      figures: [
        {
          figure: `Memory of ${sessions.toLocaleString('en')} idle sessions, beside a.pipe(b)`,
          ...ratio(samples.xps, samples['a.pipe(b)']),
          unit: '×',
          most: 1.1,
        },
      ],
      table: {
        head: ['Memory per idle session', ''],
        rows: Object.keys(samples).map((name) => [name, `${perSession(name).toFixed(1)} KB`]),
      },
    }
  },
}

async function growth(proxy, sessions) {
  const started = await startOne(proxy)
  await pause(500)
  const before = residentMemory(started.pid)
  const clients = await openClients(started.port, sessions)
  await clients.request('s', sessions)
  await pause(settling)
  const grown = residentMemory(started.pid) - before
  await clients.close()
  await stopAll([started])
  return grown
}
