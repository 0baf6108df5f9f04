// What the kernel does with clients while a Node program is too busy to accept them.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { freePort, pause, stop } from '../lib/processes.js'

const backlog = 8
const clients = 40
const busy = 2_500

const program = `
  const { Core } = await import('xps')
  const core = new Core()
  await core.listen({ port: Number(process.argv[1]), host: '127.0.0.1', backlog: ${backlog}, route: { refuse: 'all' } })
  process.stdout.write('ready')
  process.stdin.once('data', () => { const end = Date.now() + ${busy}; while (Date.now() < end); })`

export const backlogs = {
  name: 'backlog',
  line: `${clients} clients of a listener with a backlog of ${backlog}, while its program is busy for ${busy / 1_000} s`,
  rounds: 1,
  how: `The program does not return to its event loop for ${busy / 1_000} s; ${clients} clients connect meanwhile.`,

  async run() {
    const port = await freePort()
    const server = spawn(process.execPath, ['--input-type=module', '-e', program, String(port)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    await once(server.stdout, 'data')
    server.stdin.write('go')
    await pause(100)
    const times = await Promise.all(Array.from({ length: clients }, () => timeToConnect(port)))
    await stop(server)
    const atOnce = times.filter((time) => time < 500).length
    const rows = [
      ['connected at once, and waiting in the kernel', String(atOnce)],
      [
        'connected at the second try, after about 1 s',
        String(times.filter((time) => time >= 500 && time < 2_000).length),
      ],
      ['connected later', String(times.filter((time) => time >= 2_000).length)],
    ]
    return {
      figures: [
        {
          figure: 'Clients that the kernel keeps, beyond backlog + 1',
          median: Math.max(0, atOnce - backlog - 1),
          unit: '',
          most: 0,
        },
      ],
      table: { head: [`${clients} clients, backlog ${backlog}`, ''], rows },
    }
  },
}

function timeToConnect(port) {
  return new Promise((resolve, reject) => {
    const start = performance.now()
    const socket = connect(port, '127.0.0.1', () => {
      resolve(performance.now() - start)
      socket.destroy()
    })
    socket.once('error', reject)
  })
}
