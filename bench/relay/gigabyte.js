// What a relay needs for a gigabyte each way, at the same time, through one session.
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { cpuTime, peakMemory } from '../lib/processes.js'
import { inTurn, summary } from '../lib/statistics.js'
import { noise } from './answers.js'
import { pipe, startBefore, stopAll, xps } from './proxies.js'

const timeout = 120_000
const block = noise(1_000_000)
const chunkSize = 250_000

export const gigabyte = {
  name: 'gigabyte',
  line: 'memory of a process that relays 1 GB each way at the same time',
  rounds: 3,
  how: `One connection; the client and the upstream each send the other 1 GB, end, and check every byte of what they get.
The figure is the most resident memory that the process ever had (VmHWM of the kernel).`,

  async run({ rounds, quick, tell }) {
    const size = quick ? 100_000_000 : 1_000_000_000
    const peaks = { xps: [], 'a.pipe(b)': [] }
    const measure = async (proxy) => {
      const { peak, cpu } = await transfer(proxy, size)
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

async function transfer(proxy, size) {
  const accepted = []
  const server = createServer({ allowHalfOpen: true }, (socket) => accepted.push(socket))
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const started = await startBefore(proxy, server.address().port)
  const before = cpuTime(started.pid)
  const next = once(server, 'connection')
  const atClient = exchange(connect({ port: started.port, host: '127.0.0.1', allowHalfOpen: true }), size)
  const [socket] = await next
  await Promise.all([atClient, exchange(socket, size)])
  const result = { cpu: cpuTime(started.pid) - before, peak: peakMemory(started.pid) }
  await stopAll([started])
  // The knock at the start was accepted as well, and nobody has read its end.
  for (const one of accepted) one.destroy()
  await new Promise((resolve) => server.close(resolve))
  return result
}

/** Sends so many bytes, and resolves when as many have come, and the end. */
function exchange(socket, size) {
  let sent = 0
  const send = () => {
    for (let more = true; more && sent < size; sent += chunkSize) {
      const place = sent % block.length
      more = socket.write(block.subarray(place, place + chunkSize))
    }
    if (sent >= size && !socket.writableEnded) socket.end()
  }
  return new Promise((resolve, reject) => {
    let got = 0
    const timer = setTimeout(() => socket.destroy(new Error('too slow')), timeout)
    socket.on('drain', send)
    socket.on('data', (chunk) => {
      if (!isNext(chunk, got)) socket.destroy(new Error('wrong bytes'))
      got += chunk.length
    })
    socket.once('end', () => (got === size ? resolve() : reject(new Error(`${got} bytes of ${size}`))))
    socket.once('error', reject)
    socket.once('close', () => clearTimeout(timer))
    if (socket.connecting) socket.once('connect', send)
    else send()
  })
}

function isNext(chunk, place) {
  const start = place % block.length
  const first = Math.min(chunk.length, block.length - start)
  if (chunk.compare(block, start, start + first, 0, first) !== 0) return false
  return first === chunk.length || chunk.compare(block, 0, chunk.length - first, first) === 0
}
