// Many sessions: how old messages are when they come, what is left of clients that crash, what a large message takes.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { SoapClient, xml } from 'xps/soap'
import { cpuTime, pause, peakMemory, residentMemory } from '../lib/processes.js'
import { median, summary } from '../lib/statistics.js'
import { action, namespace, order } from './order.js'

const large = 4_000_000

export const soapSessions = {
  name: 'soap-sessions',
  line: '2,000 sessions with 10 messages a second each; 10,000 that crash; a message of 4 MB',
  rounds: 5,
  how: `A server in a process of its own sends every session 10 messages of 350 B a second, for 5 s. Two other processes note how
old each is when it comes. Then 10,000 more clients log in, and all of them are killed: the figure is how many sessions,
connections and lifetimes are left 2 s later. Memory: a fresh server that has answered 300 small messages is sent one of 4 MB, and
answers with the same: the growth of the most resident memory that it had (VmHWM), by the size.`,

  async run({ rounds, quick, tell }) {
    const [ages, cpu, left, growth] = [[], [], [], []]
    for (let round = 0; round < rounds; round++) {
      const measured = await ticks(
        quick ? { sessions: 200, seconds: 1, crash: 200 } : { sessions: 2_000, seconds: 5, crash: 10_000 },
      )
      ages.push(measured.age)
      cpu.push(measured.cpu)
      left.push(measured.left)
      growth.push(await memory())
      tell(`round ${round + 1} of ${rounds}`)
    }
    return {
      figures: [
        { figure: '99 % of messages of 2,000 sessions are not older than', ...summary(ages), unit: ' ms', most: 50 },
        { figure: 'Left of 12,000 clients that crashed', ...summary(left), unit: '', most: 0 },
        { figure: 'Memory for a message of 4 MB, by its size', ...summary(growth), unit: '×', most: 5 },
      ],
      table: {
        head: ['Server', ''],
        rows: [['CPU per message sent', `${median(cpu).toFixed(1)} µs`]],
      },
    }
  },
}

/** A program beside this one, asked by messages. */
function start(file, ...args) {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), args.map(String))
  const next = () => new Promise((resolve) => child.once('message', resolve))
  const ask = (question) => {
    child.send(question)
    return next()
  }
  return { child, next, ask }
}

async function ticks({ sessions, seconds, crash }) {
  const server = start('server.js')
  const { port } = await server.next()
  const watchers = [1, 2].map(() => start('watchers.js', port, sessions / 2))
  await Promise.all(watchers.map(({ next }) => next()))
  await Promise.all(watchers.map(({ ask }) => ask('begin')))
  const before = cpuTime(server.child.pid)
  const sent = await server.ask({ perSecond: 10, seconds })
  const cpu = (cpuTime(server.child.pid) - before) / sent
  await pause(500)
  const ages = (await Promise.all(watchers.map(({ ask }) => ask('ages')))).flat().sort((a, b) => a - b)
  if (ages.length !== sent) throw new Error(`${ages.length} of ${sent} messages have come`)
  const more = Array.from({ length: 5 }, () => start('watchers.js', port, crash / 5))
  await Promise.all(more.map(({ next }) => next()))
  for (const { child } of [...watchers, ...more]) child.kill('SIGKILL')
  await pause(2_000)
  const left = await server.ask('stats')
  server.child.kill()
  return { age: ages[Math.floor(ages.length * 0.99)], cpu, left: left.sessions + left.connections + left.lifetimes }
}

async function memory() {
  const server = start('server.js')
  const { port } = await server.next()
  const client = new SoapClient(`soap.tcp://127.0.0.1:${port}`, { username: 'a', password: 'b', heartbeatInterval: 0 })
  await client.login()
  for (let count = 0; count < 300; count++) await client.request(action, xml(namespace, 'Order', order))
  const before = residentMemory(server.child.pid)
  const { body } = await client.request(action, xml(namespace, 'Large', 'x'.repeat(large)))
  if (body.text.length !== large) throw new Error('the answer is not the message')
  const grown = peakMemory(server.child.pid) - before
  await client.close()
  server.child.kill()
  return grown / large
}
