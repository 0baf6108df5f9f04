import { Agent, fetch as ask, type Headers, type RequestInit } from 'undici'
import type { HttpOptions } from '../../src/http/http.ts'
import type { Transaction } from '../../src/http/index.ts'
import {
  type CookieSession,
  type CookieSessions,
  type CookieSessionsOptions,
  cookieSessions,
} from '../../src/http-sessions/index.ts'
import {
  type LockNumbers,
  MemoryStore,
  SharedSessions,
  type SharedSessionsOptions,
  StateClient,
  stateServer,
} from '../../src/state/index.ts'
import { Served } from '../http/e2e/support.ts'
import { withCore } from '../support/net.ts'

/** What the sessions of the tests hold. */
export interface Shop {
  n: number
  user: string
  cart: string[]
  [key: `k${number}`]: number
}

export type ShopSession = CookieSession<Shop>

export const newest = 'the newest key, which is long enough to sign with'
export const older = 'an older key, which is long enough to sign with too'

/** Where sessions are kept, in one of two ways. */
export interface Kept extends AsyncDisposable {
  readonly source: StateClient | SharedSessions
  readonly sessions: SharedSessions
  locks(): LockNumbers
  /** How many requests wait for a session that another has. */
  waiting(): number
}

export function overContainer(): Promise<Kept> {
  const sessions = new SharedSessions(new MemoryStore())
  return Promise.resolve({
    source: sessions,
    sessions,
    locks: () => sessions.stats().locks,
    waiting: () => sessions.stats().locks.waiting,
    [Symbol.asyncDispose]: async () => void (await sessions.close()),
  })
}

export async function overServer(options: SharedSessionsOptions = {}): Promise<Kept> {
  const core = withCore()
  const server = stateServer({ store: new MemoryStore(), ...options })
  const { address } = await core.listen({ port: 0, host: '127.0.0.1', protocol: server })
  const client = new StateClient(address)
  return {
    source: client,
    sessions: server.sessions,
    locks: () => server.sessions.stats().locks,
    waiting: () => client.stats().behind,
    async [Symbol.asyncDispose]() {
      client.abort()
      await core[Symbol.asyncDispose]()
    },
  }
}

/** A server with sessions, and browsers for it. */
export class Site implements AsyncDisposable {
  readonly served: Served
  readonly sessions: CookieSessions<Shop>
  readonly #agent: Agent

  private constructor(served: Served, sessions: CookieSessions<Shop>, agent: Agent) {
    this.served = served
    this.sessions = sessions
    this.#agent = agent
  }

  static async start(
    given: Partial<CookieSessionsOptions<Shop>>,
    http: (sessions: CookieSessions<Shop>) => HttpOptions,
    listening: object = {},
  ): Promise<Site> {
    const sessions = cookieSessions<Shop>({ store: new MemoryStore(), keys: [newest], ...given })
    const { hooks = [], ...options } = http(sessions)
    const all = [sessions.hooks, ...(Array.isArray(hooks) ? hooks : [hooks])]
    const served = await Served.start({ ...options, hooks: all }, {}, listening)
    // Handlers of the tests fail on purpose.
    served.core.on('fault', () => {})
    const tls = 'tls' in listening
    const agent = new Agent({ allowH2: false, connect: tls ? { rejectUnauthorized: false } : {} })
    return new Site(served, sessions, agent)
  }

  browser(cookie = ''): Browser {
    return new Browser(this.#agent, this.served.url, cookie)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy()
    await this.served[Symbol.asyncDispose]()
    await this.sessions.close()
  }
}

/** What a browser was answered. */
export interface Answered {
  readonly status: number
  readonly text: string
  /** The cookies that it was given. */
  readonly set: string[]
  readonly headers: Headers
}

/** Keeps the cookie of its session, as a browser does. */
export class Browser {
  cookie: string
  readonly #agent: Agent
  readonly #url: string

  constructor(agent: Agent, url: string, cookie: string) {
    this.#agent = agent
    this.#url = url
    this.cookie = cookie
  }

  /** Another with the same cookie. */
  clone(): Browser {
    return new Browser(this.#agent, this.#url, this.cookie)
  }

  async get(path: string, init: RequestInit & { headers?: Record<string, string> } = {}): Promise<Answered> {
    const headers = { ...(this.cookie === '' ? {} : { cookie: this.cookie }), ...init.headers }
    const url = init.dispatcher === undefined ? this.#url : this.#url.replace('http:', 'https:')
    const response = await ask(url + path, { dispatcher: this.#agent, ...init, headers })
    const set = response.headers.getSetCookie()
    for (const one of set) {
      const [pair = ''] = one.split(';')
      if (pair.startsWith('xps-session=') || pair.startsWith('__Host-')) this.cookie = pair.endsWith('=') ? '' : pair
    }
    return { status: response.status, text: await response.text(), set, headers: response.headers }
  }
}

/** A handler of web standards that does something with the session of its path's name. */
export function shop(sessions: CookieSessions<Shop>, actions: Actions): HttpOptions {
  return {
    routes: [
      {
        fetch: async (request, transaction) => {
          const action = actions[new URL(request.url).pathname.slice(1)]
          if (action === undefined) return new Response('none')
          const outcome = await action(await sessions.of(transaction), transaction)
          return outcome instanceof Response ? outcome : Response.json(outcome ?? null)
        },
      },
    ],
  }
}

/** What handlers do with a session. */
export type Actions = Record<string, (session: ShopSession, transaction: Transaction) => unknown>

/** What most tests ask for. */
export const usual: Actions = {
  login: (session) => void session.set('n', 0).set('user', 'ali'),
  add: async (session) => {
    const n = session.get('n') ?? 0
    await new Promise((resolve) => setImmediate(resolve))
    session.set('n', n + 1)
    return n + 1
  },
  see: (session) => session.toObject(),
  logout: (session) => session.destroy(),
  renew: (session) => session.set('user', 'root').rotate(),
}
