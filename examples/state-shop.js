// @ts-check
// A shop with two app servers and one state server: express-session, but a request has its session alone. Add to the
// cart as often and as fast as you like, on either server: nothing is lost.
//
// Run:     node examples/state-shop.js 8091 8092
// Try it:  it says what to type
import express from 'express'
import session from 'express-session'
import { Core } from 'xps'
import { ExpressStore, FileStore, StateClient, stateServer } from 'xps/state'

const ports = [Number(process.argv[2] ?? 8091), Number(process.argv[3] ?? 8092)]
const folder = process.argv[4] ?? 'sessions'

// In a real shop this is a program of its own, such as `xps state`.
const core = new Core()
core.on('fault', (error) => console.error(error.message))
const { address } = await core.listen(0, { protocol: stateServer({ store: new FileStore(folder) }) })

const state = new StateClient(address)
const servers = ports.map((port) => {
  const app = express()
  app.use(session({ store: new ExpressStore(state), secret: 'change me', resave: false, saveUninitialized: false }))
  app.get('/add', async (req, res) => {
    const cart = /** @type {{ items?: number }} */ (req.session)
    const items = cart.items ?? 0
    await new Promise((resolve) => setTimeout(resolve, 20)) // Looks at the stock.
    cart.items = items + 1
    res.send(`${cart.items} in the cart\n`)
  })
  app.get('/logout', (req, res) => void req.session.destroy(() => res.send('goodbye\n')))
  const server = app.listen(port, '127.0.0.1', () => {
    const { port: bound } = /** @type {import('node:net').AddressInfo} */ (server.address())
    console.log(`shop on http://127.0.0.1:${bound}; try: curl -c jar -b jar http://127.0.0.1:${bound}/add`)
  })
  return server
})

async function stop() {
  for (const server of servers) server.close().closeIdleConnections()
  await state.close()
  await core.close({ deadline: 1_000 })
}
process.once('SIGINT', stop).once('SIGTERM', stop)
