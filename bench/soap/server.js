// A server for the measurements of memory and of ticks. node bench/soap/server.js
import { Core } from 'xps'
import { soapServer, xml } from 'xps/soap'
import { action, namespace } from './order.js'

const server = soapServer({
  login: () => true,
  processors: { [action]: ({ body }) => body },
  maxUnauthenticated: 20_000,
})
const core = new Core({ maxConnections: 20_000 })
const { port } = await core.listen({ port: 0, host: '127.0.0.1', backlog: 4096, protocol: server })

/**
 * Sends each session so many messages a second, spread evenly, for so long. Each says when it was due, so that one that is
 * sent late is as old as it would be for who waits for it.
 */
async function tick({ perSecond, seconds }) {
  const sessions = [...server.sessions.values()]
  const total = sessions.length * perSecond * seconds
  const apart = 1_000_000 / (sessions.length * perSecond)
  const began = microseconds()
  for (let sent = 0; sent < total; ) {
    const due = Math.min(total, Math.floor((microseconds() - began) / apart))
    for (; sent < due; sent++) {
      const at = Math.round(began + sent * apart)
      sessions[sent % sessions.length].send(xml(namespace, 'Tick', { symbol: 'ACME', price: 12.5, at }))
    }
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  return total
}

/** The time of a clock that all processes share. */
function microseconds() {
  return Number(process.hrtime.bigint() / 1_000n)
}

process.on('message', async (asked) => {
  if (asked === 'stats') {
    const { sessions, connections } = server.stats()
    process.send({ sessions, connections, lifetimes: core.sessions.length })
  } else process.send(await tick(asked))
})
process.send({ port })
