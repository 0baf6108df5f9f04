// Many sessions: how old messages are when they come, what is left of clients that crash, what a large message takes.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { cpuTime, pause, peakMemory, residentMemory, waitedForProcessor } from '../lib/processes.js'
import { median, summary } from '../lib/statistics.js'
import { action, namespace, order } from './order.js'

const large = 4_000_000

export const soapSessions = {
  name: 'soap-sessions',
  line: '2,000 sessions with 10 messages a second each; 10,000 that crash; a message of 4 MB',
  rounds: 5,
  how: `A server in a process of its own sends every session 10 messages of 350 B a second: for 1 s to get warm, then for 5 s. Two other processes read bytes,
and note how old each message is when it comes: since the moment at which it was due, also if it was sent late. They speak no more
SOAP than that, and the table tells what they took. On a machine that does something else besides, the age is mostly how long the
server had to wait for a processor: the table tells that as well, and \`chrt -r 1 npm run bench -- soap-sessions\` goes before
other programs. Then 10,000 more clients log in, and all of them are killed: the figure is how many sessions,
connections and lifetimes are left 2 s later. Memory: a fresh server that has answered 300 small messages is sent one of 4 MB, and
answers with the same: the growth of the most resident memory that it had (VmHWM), by the size.`,

  async run({ rounds, quick, tell }) {
    const [ages, parts, left, growth] = [[], [], [], []]
    for (let round = 0; round < rounds; round++) {
      const measured = await ticks(
        quick ? { sessions: 200, seconds: 1, crash: 200 } : { sessions: 2_000, seconds: 5, crash: 10_000 },
      )
      ages.push(measured.age)
      parts.push(measured.parts)
      left.push(measured.left)
      growth.push(await memory())
      tell(`round ${round + 1} of ${rounds}`)
    }
    const rows = Object.keys(parts[0]).map((name) => [name, median(parts.map((one) => one[name]))])
    return {
      figures: [
        { figure: '99 % of messages of 2,000 sessions are not older than', ...summary(ages), unit: ' ms', most: 50 },
        { figure: 'Left of 12,000 clients that crashed', ...summary(left), unit: '', most: 0 },
        { figure: 'Memory for a message of 4 MB, by its size', ...summary(growth), unit: '×', most: 5 },
      ],
      table: {
        head: ['20,000 messages a second', 'per message'],
        rows: rows.map(([name, value]) => [name, `${value.toFixed(1)} µs`]),
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
  await server.ask({ perSecond: 10, seconds: 1 })
  await pause(200)
  await Promise.all(watchers.map(({ ask }) => ask('begin')))
  const pids = watchers.map(({ child }) => child.pid)
  const used = () => ({
    'The server computes': cpuTime(server.child.pid),
    'The server waits for a processor': waitedForProcessor(server.child.pid),
    'Both readers compute': pids.map(cpuTime).reduce((sum, time) => sum + time),
    'Both readers wait for a processor': pids.map(waitedForProcessor).reduce((sum, time) => sum + time),
  })
  const before = used()
  const sent = await server.ask({ perSecond: 10, seconds })
  const parts = Object.fromEntries(Object.entries(used()).map(([name, time]) => [name, (time - before[name]) / sent]))
  await pause(500)
  const ages = (await Promise.all(watchers.map(({ ask }) => ask('ages')))).flat().sort((a, b) => a - b)
  if (ages.length !== sent) throw new Error(`${ages.length} of ${sent} messages have come`)
  const more = Array.from({ length: 5 }, () => start('watchers.js', port, crash / 5))
  await Promise.all(more.map(({ next }) => next()))
  for (const { child } of [...watchers, ...more]) child.kill('SIGKILL')
  await pause(2_000)
  const left = await server.ask('stats')
  server.child.kill()
  return { age: ages[Math.floor(ages.length * 0.99)], parts, left: left.sessions + left.connections + left.lifetimes }
}

async function memory() {
  const server = start('server.js')
  const { port } = await server.next()
  // Not before it has been built.
  const { SoapClient, xml } = await import('xps/soap')
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
