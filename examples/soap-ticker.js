// @ts-check
// A stock ticker: who subscribes is sent ticks until it unsubscribes, leaves or is gone.
//
// Run:     node examples/soap-ticker.js 8081
// Try it:  node examples/soap-ticker.js 8081 ACME      in another terminal: five ticks, then the client just dies
import { EventEmitter } from 'node:events'
import { Core } from 'xps'
import { SoapClient, soapServer, xml } from 'xps/soap'

const port = Number(process.argv[2] ?? process.env.PORT ?? 8081)
const symbol = process.argv[3]
const quotes = 'urn:example:quotes'

await (symbol === undefined ? serve() : watch(symbol))

async function serve() {
  const market = new EventEmitter().setMaxListeners(0)
  setInterval(() => market.emit('tick', { symbol: 'ACME', price: (100 + Math.random()).toFixed(2) }), 50).unref()
  const server = soapServer({
    login: ({ username, password }) => username === 'ann' && password === 'sesame',
    processors: {
      [`${quotes}/subscribe`]: ({ body }, session) => {
        /** @param {{ symbol: string, price: string }} tick */
        const send = (tick) => tick.symbol === body?.string('symbol') && session.send(xml(quotes, 'Tick', tick))
        market.on('tick', send)
        // It goes with the session, however that ends.
        session.own(() => market.off('tick', send))
        session.on('close', () => console.log(`${session.username} is gone, ${market.listenerCount('tick')} are left`))
      },
    },
  })
  const core = new Core()
  core.own(server)
  const { address } = await core.listen({ host: '127.0.0.1', port, protocol: server })
  console.log(`quotes at soap.tcp://${address}`)
  process.once('SIGINT', () => core.close()).once('SIGTERM', () => core.close())
}

/** @param {string} name */
async function watch(name) {
  const client = new SoapClient(`soap.tcp://127.0.0.1:${port}`, { username: 'ann', password: 'sesame' })
  await client.login()
  await client.send(`${quotes}/subscribe`, xml(quotes, 'Subscribe', { symbol: name }))
  let ticks = 0
  for await (const { body } of client) {
    console.log(body?.number('price'))
    if (++ticks === 5) process.kill(process.pid, 'SIGKILL')
  }
}
