// What a relay keeps in memory for clients that read nothing of what an endless upstream sends.
import { connect, createServer } from 'node:net'
import { pause, residentMemory } from '../lib/processes.js'
import { inTurn, summary } from '../lib/statistics.js'
import { noise } from './answers.js'
import { pipe, startBefore, stopAll, xps } from './proxies.js'

const clients = 20
const pipeBound = 64 * 1024
// What goes to the client is in two pipes: from the upstream into the session, and from there to the client.
const bound = clients * 2 * pipeBound
const waiting = 5_000

export const stalled = {
  name: 'stalled',
  line: 'memory that 20 clients cost who read nothing of an endless stream',
  rounds: 5,
  how: `Growth of the resident memory in the ${waiting / 1_000} s after ${clients} clients have connected who read nothing, while the upstream
sends whatever it can. (${clients} others have done the same before, so that it is not the first use of the code that is
measured.) The bound: of the four pipes of a session two lead to the client, of 64 KiB each; times ${clients}. What waits in the
kernel's buffers is no part of it.`,

  async run({ rounds, tell }) {
    let late = 0
    const measure = async (proxy) => {
      const { grown, sentLate } = await growth(proxy)
      if (proxy === xps) late += sentLate
      return grown
    }
    const samples = await inTurn([xps, pipe], rounds, measure, (round) => tell(`round ${round} of ${rounds}`))
    return {
      figures: [
        { figure: `Growth of memory by ${clients} stalled clients`, ...inMegabytes(samples.xps), unit: ' MB', most: bound / 1e6 },
        { figure: 'What the upstream can still send in the last second', median: late / rounds / 1e6, unit: ' MB', most: 0 },
      ],
      table: {
        head: [`Growth by ${clients} stalled clients`, ''],
        rows: [
          ...Object.keys(samples).map((name) => [name, `${inMegabytes(samples[name]).median.toFixed(2)} MB`]),
          ['the bounds of their two pipes, all full', `${(bound / 1e6).toFixed(2)} MB`],
        ],
      },
    }
  },
}

async function growth(proxy) {
  const endless = await endlessUpstream()
  const started = await startBefore(proxy, endless.port)
  const first = await connectAll(started.port)
  await pause(waiting)
  const before = residentMemory(started.pid)
  const second = await connectAll(started.port)
  await pause(waiting - 1_000)
  const sent = endless.sent()
  await pause(1_000)
  const result = { grown: residentMemory(started.pid) - before, sentLate: endless.sent() - sent }
  for (const client of [...first, ...second]) client.destroy()
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

function connectAll(port) {
  const one = () =>
    new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => resolve(socket.pause()))
      socket.on('error', reject)
    })
  return Promise.all(Array.from({ length: clients }, one))
}

function inMegabytes(values) {
  return summary(values.map((value) => value / 1e6))
}
