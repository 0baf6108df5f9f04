// What a WebSocket costs a proxy: CPU per message, and memory while it is silent.
import { once } from 'node:events'
import WebSocket from 'ws'
import { cpuTime, pause, residentMemory } from '../lib/processes.js'
import { inTurn, median, ratio } from '../lib/statistics.js'
import { face, installed, peerVersions, startProxies, stopAll, websocketPeers, xps } from './servers.js'

const clients = 32
const turns = 3
const settling = 5_000
const sizes = [
  { title: '130 B', length: 130, messages: 10_000 },
  { title: '16 KB', length: 16_384, messages: 4_000 },
]

export const websocket = {
  name: 'websocket',
  line: 'CPU per message of a WebSocket relay, and memory of silent ones, beside proxies for Node.js',
  rounds: 21,
  how: `${clients} WebSockets (of ws) through each proxy to a server that sends back what it gets (of ws too); each client sends
its next message when the last has come back, and one that comes back counts as two. In each round each proxy takes ${turns} turns of
${sizes.map((size) => `${size.messages.toLocaleString('en')} messages of ${size.title}`).join(' and ')}. Memory: the growth of the resident memory of a fresh process, from one
WebSocket that was opened and closed to ${settling / 1_000} s after the last was opened. "xps/http-proxy" is our face of http-proxy in a server of Node's;
${peerVersions(websocketPeers)}.`,

  async run({ rounds, quick, tell }) {
    const proxies = installed([xps, face, ...websocketPeers], tell)
    const figures = []
    const rows = []
    const started = await startProxies(proxies, './websocket-upstream.js')
    const opened = []
    for (const proxy of started) opened.push({ ...proxy, sockets: await open(proxy.port, clients) })
    for (const size of sizes) {
      const measure = (proxy) => cpuPerMessage(proxy, size)
      await inTurn(opened, quick ? 1 : 3, measure)
      const told = (round) => tell(`${size.title}, round ${round} of ${rounds}`)
      const samples = await inTurn(opened, rounds, measure, { turns, told })
      figures.push(...beside(samples, `CPU per message, ${size.title}`, 0.95))
      rows.push(...rowsOf(samples, `CPU per message, ${size.title}`, (value) => `${value.toFixed(2)} µs`))
    }
    for (const { sockets } of opened) close(sockets)
    await stopAll(started)
    const count = quick ? 500 : 2_000
    const memory = await inTurn(proxies, quick ? 1 : Math.min(rounds, 5), (proxy) => growth(proxy, count), {
      told: (round) => tell(`memory, round ${round}`),
    })
    figures.push(...beside(memory, 'Memory of a silent WebSocket', 1))
    rows.push(...rowsOf(memory, 'Memory of a silent WebSocket', (value) => `${(value / 1_000).toFixed(1)} KB`))
    return { figures, table: { head: ['', 'proxy', ''], rows } }
  },
}

function beside(samples, title, most) {
  const theirs = samples['http-proxy']
  if (theirs === undefined) return []
  return [{ figure: `${title}, beside http-proxy`, ...ratio(samples[xps.name], theirs), unit: '×', most }]
}

function rowsOf(samples, title, format) {
  return Object.entries(samples).map(([name, values]) => [title, name, format(median(values))])
}

async function open(port, count) {
  const sockets = []
  for (let number = 0; number < count; number++) {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { perMessageDeflate: false })
    await once(socket, 'open')
    sockets.push(socket)
  }
  return sockets
}

function close(sockets) {
  for (const socket of sockets) socket.terminate()
}

/** Resolves to microseconds of CPU per message; a message there and one back are two. */
async function cpuPerMessage({ pid, sockets }, { length, messages }) {
  const body = Buffer.alloc(length, 'message ')
  await Promise.all(sockets.map((socket) => echoes(socket, body, 5)))
  await pause(10)
  const before = cpuTime(pid)
  const each = Math.ceil(messages / 2 / sockets.length)
  await Promise.all(sockets.map((socket) => echoes(socket, body, each)))
  await pause(10)
  return (cpuTime(pid) - before) / (each * sockets.length * 2)
}

/** Sends so many messages, one after the other, and checks that each comes back. */
function echoes(socket, body, count) {
  return new Promise((resolve, reject) => {
    let left = count
    const next = (data) => {
      if (data !== undefined && !body.equals(data)) reject(new Error('a wrong message'))
      else if (left-- > 0) socket.send(body)
      else {
        socket.off('message', next)
        resolve()
      }
    }
    socket.on('message', next)
    next()
  })
}

/** Resolves to bytes of memory for each WebSocket. */
async function growth(proxy, count) {
  const [started] = await startProxies([proxy], './websocket-upstream.js')
  close(await open(started.port, 1))
  await pause(500)
  const before = residentMemory(started.pid)
  const sockets = await open(started.port, count)
  await pause(settling)
  const grown = residentMemory(started.pid) - before
  close(sockets)
  await stopAll([started])
  return grown / count
}
