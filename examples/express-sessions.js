// @ts-check
// Express with sessions that lock: parallel requests of one browser wait for each other, so nothing is lost; those that
// only read do not wait. Nothing else of express-session changes, and no server of sessions is needed for one process.
//
// Run:     node examples/express-sessions.js 8095
// Try it:  curl -c jar http://127.0.0.1:8095/add
//          for n in 1 2 3; do curl -b jar http://127.0.0.1:8095/add & done; wait; curl -b jar http://127.0.0.1:8095/
import express from 'express'
import session from 'express-session'
import { ExpressStore, MemoryStore, SharedSessions } from 'xps/state'

const port = Number(process.argv[2] ?? 8095)

const sessions = new SharedSessions(new MemoryStore()) // or new FileStore('sessions')
const store = new ExpressStore(sessions, {
  readOnly: (request) => /** @type {express.Request} */ (request).path === '/',
  lockTimeout: 5_000,
})

const app = express()
app.use(/** @type {express.RequestHandler} */ (store.request)) // Tells the store which request asks, for readOnly.
app.use(session({ store, secret: 'change me', resave: false, saveUninitialized: false }))
app.get('/', (req, res) => {
  const { count = 0 } = /** @type {{ count?: number }} */ (req.session)
  res.send(`${count}\n`)
})
app.get('/add', async (req, res) => {
  const counter = /** @type {{ count?: number }} */ (req.session)
  const { count = 0 } = counter
  await new Promise((resolve) => setTimeout(resolve, 20)) // Asks a database.
  counter.count = count + 1
  res.send(`${counter.count}\n`)
})
app.get('/logout', (req, res) => void req.session.destroy(() => res.send('goodbye\n')))

const server = app.listen(port, '127.0.0.1', () => {
  const { port: bound } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`counting on http://127.0.0.1:${bound}`)
})

async function stop() {
  server.close().closeIdleConnections()
  await sessions.close()
}
process.once('SIGINT', stop).once('SIGTERM', stop)
