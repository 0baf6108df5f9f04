// What is left of a great many connections that came and went, most of them badly.
import { connect } from 'node:net'
import { pause, residentMemory } from '../lib/processes.js'
import { startLimited } from './limited.js'

const cycles = 200_000
const lorises = 20_000
const wave = 1_000
const probes = 20_000
const parallel = 64

export const soak = {
  name: 'soak',
  line: `${cycles} connections opened and closed, ${lorises} slow-loris ones, ${probes} probes: memory, descriptors, zombies`,
  rounds: 1,
  how: `${cycles} clients connect and close, ${lorises} connect in waves of ${wave} and send a byte now and then until
maxSessionAge (1 s) ends them, and ${probes} connect and reset at once, as a port scan does. The start is after a tenth of
each, so that it is not the first use of the code that is measured; both times after a collection of garbage.`,

  async run({ quick, tell }) {
    const share = quick ? 0.1 : 1
    const options = { maxConnections: 5_000, maxSessionAge: 1_000, zombieInterval: 5_000, tunnelIdleTimeout: 2_000 }
    const server = await startLimited(options, '../relay/upstream.js')
    const { port } = server

    await everything(port, share / 10, tell)
    const start = await state(server)
    tell(`start: ${(start.memory / 1e6).toFixed(0)} MB, ${start.descriptors} descriptors`)
    await everything(port, share, tell)
    const end = await state(server)
    tell(`end: ${(end.memory / 1e6).toFixed(0)} MB, ${end.descriptors} descriptors, ${end.accepted} accepted`)
    await server.stop()
    return {
      figures: [
        {
          figure: 'Memory at the end, beside that at the start',
          median: end.memory / start.memory,
          unit: '×',
          most: 1.1,
        },
        {
          figure: 'Descriptors at the end, more than at the start',
          median: end.descriptors - start.descriptors,
          unit: '',
          most: 0,
        },
        { figure: 'Sessions left', median: end.sessions + end.active + end.queued, unit: '', most: 0 },
        { figure: 'Zombies', median: end.zombies, unit: '', most: 0 },
      ],
      table: {
        head: ['Soak', 'start', 'end'],
        rows: [
          ['resident memory', `${(start.memory / 1e6).toFixed(0)} MB`, `${(end.memory / 1e6).toFixed(0)} MB`],
          ['descriptors', String(start.descriptors), String(end.descriptors)],
          ['accepted', String(start.accepted), String(end.accepted)],
          ['timed out', String(start.timedOut['session-age']), String(end.timedOut['session-age'])],
        ],
      },
    }
  },
}

async function everything(port, share, tell) {
  await many(
    cycles * share,
    parallel,
    () => visit(port, (socket) => socket.end()),
    (done) => tell(`${done} opened and closed`),
  )
  for (let left = lorises * share; left > 0; left -= wave) {
    await many(Math.min(wave, left), wave, () => loris(port))
    tell(`${Math.max(0, left - wave)} slow-loris clients left`)
  }
  await many(
    probes * share,
    parallel,
    () => visit(port, (socket) => socket.resetAndDestroy()),
    (done) => tell(`${done} probes`),
  )
}

/** Numbers when all is quiet again: two looks a second apart see no session. */
async function state(server) {
  for (let quiet = 0, tries = 0; quiet < 2 && tries < 60; tries++) {
    await pause(1_000)
    const { active, queued } = await server.stats()
    quiet = active === 0 && queued === 0 ? quiet + 1 : 0
  }
  return { ...(await server.stats()), memory: residentMemory(server.pid) }
}

async function many(count, parallelNow, act, told = () => {}) {
  let done = 0
  let begun = 0
  const worker = async () => {
    while (begun++ < count) {
      await act()
      if (++done % 20_000 === 0) told(done)
    }
  }
  await Promise.all(Array.from({ length: parallelNow }, worker))
}

function visit(port, leave) {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' }, () => leave(socket))
    socket.on('error', () => {})
    socket.resume()
    socket.once('close', resolve)
  })
}

function loris(port) {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    const drip = setInterval(() => socket.write('x'), 300)
    socket.on('error', () => {})
    socket.resume()
    socket.once('close', () => {
      clearInterval(drip)
      resolve()
    })
  })
}
