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

/** Sends each session so many messages a second, spread evenly, for so long. */
async function tick({ perSecond, seconds }) {
  const sessions = [...server.sessions.values()]
  const total = sessions.length * perSecond * seconds
  const began = performance.now()
  for (let sent = 0; sent < total; ) {
    const due = Math.min(total, Math.floor(((performance.now() - began) / 1_000) * sessions.length * perSecond))
    for (; sent < due; sent++) {
      const at = Number(process.hrtime.bigint() / 1_000n)
      sessions[sent % sessions.length].send(xml(namespace, 'Tick', { symbol: 'ACME', price: 12.5, at }))
    }
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  return total
}

process.on('message', async (asked) => {
  if (asked === 'stats') {
    const { sessions, connections } = server.stats()
    process.send({ sessions, connections, lifetimes: core.sessions.length })
  } else process.send(await tick(asked))
})
process.send({ port })
