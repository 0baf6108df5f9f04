// What a relay keeps in memory for clients that read nothing of what an endless upstream sends.
import { connect, createServer } from 'node:net'
import { noise } from '../lib/bodies.js'
import { pause, residentMemory } from '../lib/processes.js'
import { inTurn, summary } from '../lib/statistics.js'
import { pipe, startBefore, stopAll, xps } from './proxies.js'

const clients = 20
const later = 3
const pipeBound = 64 * 1024
// What goes to the client is in two pipes: from the upstream into the session, and from there to the client.
const bound = clients * 2 * pipeBound
const waiting = 5_000

export const stalled = {
  name: 'stalled',
  line: 'memory that 20 clients cost who read nothing of an endless stream',
  rounds: 7,
  how: `The upstream sends whatever it can. ${clients} clients connect to a fresh process and read nothing; ${waiting / 1_000} s later
${clients * later} more do the same, and after as long again the growth of the resident memory since then, divided by ${later}, is the
figure: so it is not the first use of the code that is measured, and what the garbage collector happens to do is spread.
The bound: of the four pipes of a session two lead to the client, of 64 KiB each; times ${clients}. What waits in the
kernel's buffers is no part of it.`,

  async run({ rounds, tell }) {
    const first = { xps: [], 'a.pipe(b)': [] }
    const late = []
    const measure = async (proxy) => {
      const result = await growth(proxy)
      first[proxy.name].push(result.first)
      if (proxy === xps) late.push(result.late)
      return result.grown
    }
    const told = (round) => tell(`round ${round} of ${rounds}`)
    const samples = await inTurn([xps, pipe], rounds, measure, { told })
    return {
      figures: [
        {
          figure: `Growth of memory by ${clients} stalled clients`,
          ...inMegabytes(samples.xps),
          unit: ' MB',
          most: bound / 1e6,
        },
        { figure: 'What the upstream can still send in the last second', ...inMegabytes(late), unit: ' MB', most: 0 },
      ],
      table: {
        head: [`Growth by ${clients} stalled clients`, 'in a process that had some', 'in a fresh process'],
        rows: [
          ...Object.keys(samples).map((name) => [name, megabytes(samples[name]), megabytes(first[name])]),
          ['the bounds of their two pipes, all full', megabytes([bound]), megabytes([bound])],
        ],
      },
    }
  },
}

async function growth(proxy) {
  const endless = await endlessUpstream()
  const started = await startBefore(proxy, endless.port)
  const fresh = residentMemory(started.pid)
  const some = await connectAll(started.port, clients)
  await pause(waiting)
  const before = residentMemory(started.pid)
  const more = await connectAll(started.port, clients * later)
  await pause(waiting - 1_000)
  const sent = endless.sent()
  await pause(1_000)
  const grown = (residentMemory(started.pid) - before) / later
  const result = { first: before - fresh, grown, late: endless.sent() - sent }
  for (const client of [...some, ...more]) client.destroy()
  await stopAll([started])
  await endless.close()
  return result
}

/** A server that sends without end, as fast as it is taken. */
function endlessUpstream() {
  const chunk = noise(256 * 1024)
  const sockets = new Set()
  let gone = 0
  const server = createServer((socket) => {
    const send = () => {
      while (socket.write(chunk));
    }
    sockets.add(socket)
    socket.on('drain', send)
    socket.on('error', () => {})
    socket.on('close', () => {
      sockets.delete(socket)
      gone += socket.bytesWritten
    })
    send()
  })
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      resolve({
        port: server.address().port,
        /** Bytes that the kernel has taken. */
        sent: () => [...sockets].reduce((sum, socket) => sum + socket.bytesWritten - socket.writableLength, gone),
        close() {
          for (const socket of sockets) socket.destroy()
          return new Promise((closed) => server.close(closed))
        },
      })
    })
  })
}

function connectAll(port, count) {
  const one = () =>
    new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => resolve(socket.pause()))
      socket.on('error', reject)
    })
  return Promise.all(Array.from({ length: count }, one))
}

function megabytes(values) {
  return `${inMegabytes(values).median.toFixed(2)} MB`
}

function inMegabytes(values) {
  return summary(values.map((value) => value / 1e6))
}
