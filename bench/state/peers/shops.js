// The same small shop in Express and in Fastify, each of whose requests takes its time with its session.
import { setTimeout } from 'node:timers/promises'
import cookie from '@fastify/cookie'
import fastifySession from '@fastify/session'
import { RedisStore } from 'connect-redis'
import express from 'express'
import session from 'express-session'
import fastify from 'fastify'
import { createClient } from 'redis'
import fileStoreOf from 'session-file-store'

const secret = 'a secret that is long enough for both of them'
const taking = 20
const slowly = 150

/** What each path does with a session; `began` is told when the slow one has it. */
function handlers(began) {
  return {
    '/login': (session) => {
      session.n = 0
    },
    '/add': async (session) => {
      const { n } = session
      await setTimeout(taking)
      session.n = n + 1
    },
    '/key/:index': async (session, { index }) => {
      await setTimeout(taking)
      session[`key${index}`] = true
    },
    '/slow': async (session) => {
      began()
      await setTimeout(slowly)
      session.slow = true
    },
    '/logout': (session) => new Promise((resolve) => session.destroy(resolve)),
    '/see': () => {},
  }
}

/** What a client gets to see of a session. */
function contents(session) {
  if (session === undefined || session === null) return {}
  const { cookie: _, ...rest } = typeof session.toJSON === 'function' ? session.toJSON() : session
  return rest
}

/** In Express; a store is one of express-session's kind. */
export function expressShop(store) {
  return async (began) => {
    const app = express()
    app.use(session({ store, secret, resave: false, saveUninitialized: false }))
    for (const [path, handle] of Object.entries(handlers(began))) {
      app.get(path, async (request, response) => {
        await handle(request.session, request.params)
        response.json(contents(request.session))
      })
    }
    const server = await new Promise((resolve) => {
      const listening = app.listen(0, '127.0.0.1', () => resolve(listening))
    })
    const close = async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
    return { url: `http://127.0.0.1:${server.address().port}`, close }
  }
}

/** In Fastify, with the store that @fastify/session has of its own. */
export function fastifyShop() {
  return async (began) => {
    const app = fastify({ forceCloseConnections: true })
    await app.register(cookie)
    await app.register(fastifySession, { secret, cookie: { secure: false }, saveUninitialized: false })
    for (const [path, handle] of Object.entries(handlers(began))) {
      app.get(path, async (request) => {
        await handle(request.session, request.params)
        return contents(request.session)
      })
    }
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    return { url, close: () => app.close() }
  }
}

export const memoryStore = () => new session.MemoryStore()

export const fileStore = (path) => new (fileStoreOf(session))({ path, logFn() {} })

export async function redisStore(port) {
  const client = createClient({ url: `redis://127.0.0.1:${port}` })
  await client.connect()
  return { store: new RedisStore({ client }), close: () => client.close() }
}
