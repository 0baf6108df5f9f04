// How long it takes until one who waits for a session has it, when many are open and many wait.
import { fork } from 'node:child_process'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { cpuTime, freePort, pause, stop } from '../lib/processes.js'
import { inNode } from '../lib/servers.js'
import { median, summary } from '../lib/statistics.js'

const waiters = 1_000
/** Between so many sessions the waiters are divided, and so long a holder keeps one, in milliseconds. */
const kinds = [
  { title: 'of 100 sessions, each held for 50 ms', sessions: 100, hold: 50 },
  { title: 'of one session, which is given on at once', sessions: 1, hold: 0 },
]

export const stateHandover = {
  name: 'state-handover',
  line: '10,000 open sessions with 1,000 waiters: from when a lock is given up to when the next one has it',
  rounds: 3,
  how: `10,000 connections, each of which has a session open to write; ${waiters.toLocaleString('en')} more that wait for some of these, 10 for
each of 100, or all for one. A holder sends \`put\`, \`close\` and \`open\` in one write, by which it is the last in the queue
again. The time is that from this write to when \`ok\` has come to the next one, in the process of the clients: what the
two directions of the wire, the server and the clients take is all in it. 3 s for each, after 1 s that is not counted.`,

  async run({ rounds, quick, tell }) {
    const open = quick ? 1_000 : 10_000
    const port = await freePort()
    const server = await inNode(new URL('server.js', import.meta.url))(port)
    const idle = await startIdle(port, open - kinds[0].sessions)
    const results = kinds.map((kind) => ({ kind, worst: [], middle: [], rate: [], cpu: [] }))
    for (let round = 1; round <= rounds; round++) {
      for (const result of results) {
        const { times, cpu } = await handOvers(server.pid, port, result.kind, quick ? 500 : 3_000)
        result.worst.push(times[Math.floor(times.length * 0.99)])
        result.middle.push(median(times))
        result.rate.push(times.length)
        result.cpu.push(cpu / times.length)
      }
      tell(`round ${round} of ${rounds}`)
    }
    idle.kill()
    await stop(server)
    return { figures: figures(results), table: table(results) }
  },
}

async function startIdle(port, count) {
  const child = fork(fileURLToPath(new URL('idle-clients.js', import.meta.url)), [port, count].map(String))
  await new Promise((resolve, reject) => {
    child.once('message', resolve)
    child.once('exit', () => reject(new Error('the idle clients could not be opened')))
  })
  return child
}

/** Lets clients hand sessions over for so long; resolves to the times that it took, in milliseconds, and the server's CPU. */
async function handOvers(pid, port, { sessions: count, hold }, duration) {
  const times = []
  const run = { counting: false, over: false, hold, note: (time) => void (run.counting && times.push(time)) }
  const sessions = []
  const clients = []
  while (sessions.length < count) {
    const [client] = await openClients(port, 1)
    const [, id] = (await client.ask('new\r\n')).split(' ')
    await client.ask('close\r\n')
    sessions.push({ id, givenUp: undefined })
    clients.push({ client, session: sessions.at(-1) })
  }
  // One holds each, and the others wait.
  for (const [index, client] of (await openClients(port, waiters)).entries()) {
    clients.push({ client, session: sessions[index % count] })
  }
  const done = clients.map(({ client, session }) => takeTurns(client, session, run))
  await pause(1_000)
  const before = cpuTime(pid)
  run.counting = true
  await pause(duration)
  run.counting = false
  const cpu = cpuTime(pid) - before
  run.over = true
  await Promise.all(done)
  for (const { client } of clients) client.end()
  return { times: times.sort((a, b) => a - b), cpu }
}

/** Waits for a session, keeps it for a while, gives it up and waits again. */
async function takeTurns(client, session, run) {
  const open = `open ${session.id}\r\n`
  let taken = client.ask(open)
  for (;;) {
    if ((await taken) !== 'ok') throw new Error(`a waiter was told '${await taken}'`)
    if (session.givenUp !== undefined) run.note(client.answered - session.givenUp)
    if (run.hold > 0) await pause(run.hold * (0.5 + Math.random()))
    const put = client.expect()
    const closed = client.expect()
    const last = run.over
    if (!last) taken = client.expect()
    session.givenUp = performance.now()
    client.write(`put n 1\r\nclose\r\n${last ? '' : open}`)
    if ((await put) !== 'ok' || (await closed) !== 'ok') throw new Error('a session could not be given up')
    if (last) return
  }
}

function openClients(port, count) {
  return Promise.all(Array.from({ length: count }, () => openClient(port)))
}

/** A client that sends lines, and is told of the answers in order. */
function openClient(port) {
  return new Promise((resolve, reject) => {
    const asked = []
    let text = ''
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    const client = {
      /** When the last answer came. */
      answered: 0,
      expect: () => new Promise((tell) => asked.push(tell)),
      write: (lines) => socket.write(lines),
      ask(line) {
        socket.write(line)
        return this.expect()
      },
      end: () => socket.destroy(),
    }
    socket.setEncoding('latin1')
    socket.once('error', reject)
    socket.once('connect', () => resolve(client))
    socket.on('data', (chunk) => {
      client.answered = performance.now()
      const lines = (text + chunk).split('\r\n')
      text = lines.pop()
      for (const line of lines) asked.shift()(line)
    })
  })
}

function figures(results) {
  return results.map(({ kind, worst }) => ({
    figure: `Lock hand-over, 1,000 waiters ${kind.title}: 99 % within`,
    ...summary(worst),
    unit: ' ms',
    most: 5,
  }))
}

function table(results) {
  return {
    head: ['1,000 waiters', 'median', '99 %', 'hand-overs', 'CPU of the server for each'],
    rows: results.map(({ kind, worst, middle, rate, cpu }) => [
      kind.title,
      `${median(middle).toFixed(2)} ms`,
      `${median(worst).toFixed(2)} ms`,
      String(Math.round(median(rate))),
      `${median(cpu).toFixed(0)} µs`,
    ]),
  }
}
