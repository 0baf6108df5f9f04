import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import express from 'express'
import session, { type Store } from 'express-session'

declare module 'express-session' {
  interface SessionData {
    n: number
    user: string
    [key: `k${number}`]: number
  }
}

/** A web server on a port of its own. */
export interface Web extends AsyncDisposable {
  readonly url: string
  /** A request with the cookie of a browser; resolves to the body. */
  get(path: string, cookie?: string): Promise<{ status: number; text: string; cookie: string }>
}

export async function listen(server: Server): Promise<Web> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url,
    async get(path, cookie = '') {
      const response = await fetch(url + path, { headers: { cookie } })
      const [given = cookie] = response.headers.getSetCookie().map((one) => one.split(';')[0] ?? '')
      return { status: response.status, text: await response.text(), cookie: given }
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** A shop, one of whose requests waits until it is let go on. */
export interface Shop extends Web {
  /** Resolves when that request has read its session. */
  readonly began: Promise<void>
  release(): void
}

/** A shop in Express, each of whose requests takes its time: as real ones do. */
export async function shop(
  store: Store,
  options: { before?: express.RequestHandler; together?: number } = {},
): Promise<Shop> {
  const app = express()
  let release = (): void => {}
  let begin = (): void => {}
  const began = new Promise<void>((resolve) => {
    begin = resolve
  })
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const together = barrier(options.together ?? 1)
  if (options.before !== undefined) app.use(options.before)
  app.use(session({ store, secret: 'a secret', resave: false, saveUninitialized: false }))
  app.get('/login', (req, res) => {
    req.session.n = 0
    req.session.user = 'ali'
    res.send('in')
  })
  app.get('/add', async (req, res) => {
    const { n = 0 } = req.session
    await setTimeout(2)
    req.session.n = n + 1
    res.send(String(req.session.n))
  })
  app.get('/key/:index', async (req, res) => {
    await together()
    req.session[`k${Number(req.params.index)}`] = 1
    res.send('kept')
  })
  app.get('/logout', (req, res) => void req.session.destroy(() => res.send('out')))
  app.get('/slow', async (req, res) => {
    begin()
    await released
    req.session.n = 99
    res.send('slow')
  })
  app.get('/renew', (req, res) => {
    const { user = '' } = req.session
    req.session.regenerate(() => {
      req.session.user = user
      res.send('renewed')
    })
  })
  app.get('/reload', (req, res) => {
    req.session.n = 1_000
    req.session.reload(() => res.send(String(req.session.n)))
  })
  app.get('/see', (req, res) => void res.json({ ...req.session, cookie: undefined }))
  app.get('/fail', () => {
    throw new Error('a handler failed')
  })
  app.get('/leave', (_req, res) => void res.socket?.destroy())
  app.use(
    ((error, _req, res, _next) =>
      void res.status(500).send(String((error as Error).message))) as express.ErrorRequestHandler,
  )
  return { ...(await listen(createServer(app))), began, release }
}

/** Lets nobody go on before so many are there; and everybody, once they were. */
function barrier(count: number): () => Promise<void> {
  let there = 0
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return () => {
    if (++there >= count) open()
    return opened
  }
}
