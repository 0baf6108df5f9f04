// What a relay needs for a gigabyte each way, at the same time, through one session.
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { bodyOf, matches, send } from '../lib/bodies.js'
import { cpuTime, peakMemory } from '../lib/processes.js'
import { inTurn, summary } from '../lib/statistics.js'
import { pipe, startBefore, stopAll, xps } from './proxies.js'

const timeout = 120_000

export const gigabyte = {
  name: 'gigabyte',
  line: 'memory of a process that relays 1 GB each way at the same time',
  rounds: 3,
  how: `One connection; the client and the upstream each send the other 1 GB, end, and check every byte of what they get.
The figure is the most resident memory that the process ever had (VmHWM of the kernel).`,

  async run({ rounds, quick, tell }) {
    const size = quick ? 100_000_000 : 1_000_000_000
    const body = bodyOf(size)
    const peaks = { xps: [], 'a.pipe(b)': [] }
    const measure = async (proxy) => {
      const { peak, cpu } = await transfer(proxy, body)
      peaks[proxy.name].push(peak / 1e6)
      return cpu / 1_000
    }
    const told = (round) => tell(`round ${round} of ${rounds}`)
    const cpu = await inTurn([xps, pipe], rounds, measure, { told })
    return {
      figures: [{ figure: `Peak memory, ${size / 1e9} GB each way`, ...summary(peaks.xps), unit: ' MB', most: 100 }],
      table: {
        head: [`${size / 1e9} GB each way`, 'peak memory', 'CPU'],
        rows: Object.keys(peaks).map((name) => [
          name,
          `${summary(peaks[name]).median.toFixed(0)} MB`,
          `${summary(cpu[name]).median.toFixed(0)} ms`,
        ]),
      },
    }
  },
}

async function transfer(proxy, body) {
  const accepted = []
  const server = createServer({ allowHalfOpen: true }, (socket) => accepted.push(socket))
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const started = await startBefore(proxy, server.address().port)
  const before = cpuTime(started.pid)
  const next = once(server, 'connection')
  const atClient = exchange(connect({ port: started.port, host: '127.0.0.1', allowHalfOpen: true }), body)
  const [socket] = await next
  await Promise.all([atClient, exchange(socket, body)])
  const result = { cpu: cpuTime(started.pid) - before, peak: peakMemory(started.pid) }
  await stopAll([started])
  // The knock at the start was accepted as well, and nobody has read its end.
  for (const one of accepted) one.destroy()
  await new Promise((resolve) => server.close(resolve))
  return result
}

/** Sends a body, and resolves when the same has come, and the end. */
function exchange(socket, body) {
  return new Promise((resolve, reject) => {
    let got = 0
    const timer = setTimeout(() => socket.destroy(new Error('too slow')), timeout)
    socket.on('data', (chunk) => {
      if (!matches(chunk, 0, chunk.length, body, got)) socket.destroy(new Error('wrong bytes'))
      got += chunk.length
    })
    socket.once('end', () => (got === body.length ? resolve() : reject(new Error(`${got} bytes of ${body.length}`))))
    socket.once('error', reject)
    socket.once('close', () => clearTimeout(timer))
    if (socket.connecting) socket.once('connect', () => send(socket, body))
    else send(socket, body)
  })
}
