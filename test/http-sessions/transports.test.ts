import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type ClientHttp2Session, connect, constants, type OutgoingHttpHeaders } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import { afterAll, describe, expect, it } from 'vitest'
import { cookieSessions } from '../../src/http-sessions/index.ts'
import { MemoryStore } from '../../src/state/index.ts'
import { Backend, gate, get, ok, Served, until } from '../http/e2e/support.ts'
import { TestAuthority } from '../support/certificates.ts'
import { run } from '../support/programs.ts'
import { newest, overContainer, overServer, Site, shop, usual } from './support.ts'

const authority = new TestAuthority()
const certificate = authority.issue('localhost', '127.0.0.1')
afterAll(() => authority[Symbol.dispose]())

const cleartext = { http2: { cleartext: true } }

/** A client of HTTP/2 that ends with its test. */
function client(url: string): ClientHttp2Session & AsyncDisposable {
  const session = connect(url)
  return Object.assign(session, {
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => session.once('close', resolve))
      session.destroy()
      await closed
    },
  })
}

function ask(session: ClientHttp2Session, headers: OutgoingHttpHeaders): Promise<{ set: string[]; text: string }> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers)
    let set: string[] = []
    let text = ''
    stream.on('response', (head) => {
      set = head['set-cookie'] ?? []
    })
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
    stream.on('end', () => resolve({ set, text })).on('error', reject)
  })
}

for (const [where, connectStore] of [
  ['over a container', overContainer],
  ['over a state server', overServer],
] as const) {
  describe(`Cookie sessions on HTTP/2, ${where}`, () => {
    it('let fifty streams of one connection that each add one end at fifty, with the cookie in crumbs', async () => {
      await using kept = await connectStore()
      await using site = await Site.start({ store: kept.source }, (sessions) => ({
        ...shop(sessions, usual),
        ...cleartext,
      }))
      await using session = client(site.served.url)
      const login = await ask(session, { ':path': '/login' })
      const [cookie = ''] = login.set[0]?.split(';') ?? []
      const cookies = ['a=1', cookie, 'b=2']
      await Promise.all(Array.from({ length: 50 }, () => ask(session, { ':path': '/add', cookie: cookies })))
      expect((await ask(session, { ':path': '/see', cookie: cookies })).text).toBe('{"n":50,"user":"ali"}')
      expect((await ask(session, { ':path': '/see', cookie: [...cookies, cookie] })).text).toBe('{}')
    })

    it('let go of the lock of a stream that is reset', async () => {
      await using kept = await connectStore()
      const began = gate()
      await using site = await Site.start({ store: kept.source }, (sessions) => ({
        ...shop(sessions, {
          ...usual,
          hang: (changed) => {
            changed.set('n', 9)
            began.open()
            return new Promise(() => {})
          },
        }),
        ...cleartext,
      }))
      await using session = client(site.served.url)
      const { set } = await ask(session, { ':path': '/login' })
      const [cookie = ''] = set[0]?.split(';') ?? []
      const stream = session.request({ ':path': '/hang', cookie })
      stream.on('error', () => {})
      await began.promise
      expect(kept.locks()).toMatchObject({ held: 1 })
      stream.close(constants.NGHTTP2_CANCEL)
      await until(() => expect(kept.locks()).toMatchObject({ held: 0, waiting: 0 }))
      expect((await ask(session, { ':path': '/add', cookie })).text).toBe('1')
    })
  })
}

describe('Cookie sessions of a proxy on HTTP/2', () => {
  it('leave the crumbs of others to the upstream', async () => {
    await using backend = await Backend.start((request) => ok(request.header('cookie') ?? 'none'))
    await using site = await Site.start({}, () => ({ routes: [{ upstream: backend.address }], ...cleartext }))
    await using session = client(site.served.url)
    const cookie = ['a=1', 'xps-session=forged', 'b=2']
    expect((await ask(session, { ':path': '/', cookie })).text).toBe('a=1; b=2')
    expect((await ask(session, { ':path': '/', cookie: 'xps-session=forged' })).text).toBe('none')
  })
})

describe('Secure', () => {
  it('is said over TLS, on both versions of HTTP, and curl brings the cookie back', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'xps-jar-'))
    try {
      await using site = await Site.start({ cookie: { name: '__Host-session' } }, (sessions) => shop(sessions, usual), {
        tls: certificate.pem,
      })
      const url = `https://localhost:${site.served.port}`
      for (const version of ['--http1.1', '--http2']) {
        const jar = join(folder, `jar${version}`)
        const common = ['-sS', '--cacert', authority.ca.files.cert, version, '-b', jar, '-c', jar]
        const resolve = ['--resolve', `localhost:${site.served.port}:127.0.0.1`]
        const shown = (await run('curl', [...common, ...resolve, '-D', '-', `${url}/login`])).toString()
        expect(shown.toLowerCase()).toMatch(
          /set-cookie: __host-session=[^;]+; max-age=86400; .*; samesite=lax; secure\r\n/,
        )
        expect((await run('curl', [...common, ...resolve, `${url}/add`, `${url}/see`])).toString()).toBe(
          '1{"n":1,"user":"ali"}',
        )
      }
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('is said where a trusted proxy has said that the client came by TLS, and nobody else', async () => {
    for (const [trusted, proto, secure] of [
      [['loopback'], 'https', true],
      [['loopback'], 'http', false],
      [undefined, 'https', false],
    ] as const) {
      await using site = await Site.start(trusted === undefined ? {} : { trusted }, (sessions) => shop(sessions, usual))
      const answer = await site.browser().get('/login', { headers: { 'x-forwarded-proto': proto } })
      expect(answer.set[0]?.endsWith('; Secure')).toBe(secure)
    }
    const tls = { tls: certificate.pem }
    await using site = await Site.start({ cookie: { secure: false } }, (sessions) => shop(sessions, usual), tls)
    const url = `https://127.0.0.1:${site.served.port}/login`
    expect((await run('curl', ['-sSk', '-D', '-', url])).toString()).toMatch(/set-cookie: [^\r]*SameSite=Lax\r\n/i)
  })
})

describe('Handlers', () => {
  it('of Node and Express find the session of their request, and nobody else does', async () => {
    await using kept = await overContainer()
    const app = express()
    let header: unknown
    await using site = await Site.start({ store: kept.source }, (sessions) => {
      app.get('/express', async (request, response) => {
        const session = await sessions.of(request)
        header = request.headers['x-xps-transaction']
        session.set('n', (session.get('n') ?? 0) + 1)
        response.json({ ...session.toObject(), cookie: request.headers.cookie })
      })
      app.get('/late', async (request, response) => {
        const session = await sessions.of(request)
        response.write('sent')
        await until(() => expect(session.writable).toBe(false))
        response.end(String(session.get('n')))
      })
      const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
        const session = await sessions.of(request)
        session.set('user', 'node')
        response.setHeader('set-cookie', 'app=1')
        response.end('node')
      }
      const server = createServer((request, response) => void answer(request, response))
      return { routes: [{ path: '/node', node: server }, { node: app }] }
    })
    const browser = site.browser()
    expect((await browser.get('/node')).set).toEqual(['app=1', expect.stringContaining('xps-session=')])
    const headers = { cookie: `app=1; ${browser.cookie}` }
    await Promise.all(Array.from({ length: 20 }, () => browser.clone().get('/express', { headers })))
    expect(JSON.parse((await browser.get('/express', { headers })).text)).toEqual({
      n: 21,
      user: 'node',
      cookie: 'app=1',
    })
    expect((await browser.get('/late')).text).toBe('sent21')
    // When the request is over, its name is worth nothing.
    await expect(site.sessions.of({ headers: { 'x-xps-transaction': String(header) } })).rejects.toThrow(/is over/)
    await expect(site.sessions.of({ headers: {} })).rejects.toMatchObject({ code: 'XPS_CLOSED' })
    await until(() => expect(kept.locks()).toMatchObject({ held: 0 }))
  })

  it('of files are behind a session that a hook asks for', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'xps-files-'))
    try {
      await writeFile(join(folder, 'secret.txt'), 'for members')
      await using site = await Site.start({}, (sessions) => ({
        routes: [
          {
            path: '/login',
            fetch: async (_request, transaction) => {
              const session = await sessions.of(transaction)
              session.set('user', 'ali').rotate()
              return new Response('in')
            },
          },
          { name: 'members', path: '/members', files: folder },
        ],
        hooks: {
          async afterRouting(transaction) {
            if (transaction.route?.name !== 'members') return
            if (!(await sessions.of(transaction)).has('user')) transaction.reply(401)
          },
        },
      }))
      const browser = site.browser()
      expect((await browser.get('/members/secret.txt')).status).toBe(401)
      await browser.get('/login')
      expect(await browser.get('/members/secret.txt')).toMatchObject({ text: 'for members', set: [] })
      expect((await browser.get('/members/none.txt')).status).toBe(404)
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('of web standards that ask when the head has been sent are told so', async () => {
    const outcome = gate<unknown>()
    await using site = await Site.start({}, (sessions) => ({
      routes: [{ reply: 204 }],
      hooks: {
        async transactionClose(transaction) {
          outcome.open(await sessions.of(transaction).catch((error: unknown) => error))
        },
      },
    }))
    await site.browser().get('/')
    expect(await outcome.promise).toMatchObject({ code: 'XPS_CLOSED' })
  })
})

describe('The end of a server', () => {
  it('leaves no lock, with requests under way', async () => {
    await using kept = await overContainer()
    const began = gate()
    await using site = await Site.start({ store: kept.source }, (sessions) =>
      shop(sessions, {
        ...usual,
        hang: (session) => {
          session.set('n', 9)
          began.open()
          return new Promise(() => {})
        },
      }),
    )
    const browser = site.browser()
    await browser.get('/login')
    const hanging = expect(browser.clone().get('/hang')).rejects.toThrow()
    await began.promise
    await site.served.core.close({ deadline: 10 })
    await hanging
    expect(kept.locks()).toMatchObject({ held: 0, waiting: 0 })
  })

  it('leaves no lock where a hook holds for ever, or another rejects', async () => {
    await using kept = await overContainer()
    const began = gate()
    await using site = await Site.start({ store: kept.source }, (sessions) => ({
      ...shop(sessions, usual),
      hooks: {
        async request(transaction) {
          if (transaction.request.path !== '/hold') return
          await sessions.of(transaction)
          began.open()
          await new Promise(() => {})
        },
        responseSend(transaction) {
          if (transaction.request.query === '?reject') throw new Error('no')
        },
        transactionClose() {
          throw new Error('never')
        },
      },
    }))
    const browser = site.browser()
    await browser.get('/login')
    expect((await browser.get('/add?reject')).status).toBe(500)
    expect(kept.locks()).toMatchObject({ held: 0 })
    const holding = expect(browser.clone().get('/hold')).rejects.toThrow()
    await began.promise
    expect(kept.locks()).toMatchObject({ held: 1 })
    site.served.core.abort()
    await holding
    await site.served.core.closed
    expect(kept.locks()).toMatchObject({ held: 0, waiting: 0 })
  })
})

describe('Several sessions', () => {
  it('of other cookies live beside each other on one server, and one lives on several servers', async () => {
    await using site = await Site.start({}, (sessions) => shop(sessions, usual))
    await using other = await Served.start({
      hooks: site.sessions.hooks,
      routes: [
        { fetch: async (_request, transaction) => Response.json((await site.sessions.of(transaction)).toObject()) },
      ],
    })
    const browser = site.browser()
    await browser.get('/login')
    const answer = await other.ask(get('/', `Cookie: ${browser.cookie}\r\n`))
    expect(JSON.parse(answer.body)).toEqual({ n: 0, user: 'ali' })
    await using second = cookieSessions<{ n: number }>({
      store: new MemoryStore(),
      keys: [newest],
      cookie: { name: 'second' },
    })
    await using both = await Served.start({
      hooks: [site.sessions.hooks, second.hooks],
      routes: [
        {
          fetch: async (_request, transaction) => {
            const [one, two] = [await site.sessions.of(transaction), await second.of(transaction)]
            one.set('n', 1)
            two.set('n', 2)
            return new Response('')
          },
        },
      ],
    })
    const set = (await both.ask(get())).fields.filter(([name]) => name.toLowerCase() === 'set-cookie')
    expect(set.map(([, value]) => value.slice(0, value.indexOf('=')))).toEqual(['xps-session', 'second'])
    // Signed with the same key, and no session of the other.
    const value = set[1]?.[1].replace(/^second=([^;]*).*$/, '$1')
    await both.ask(get('/', `Cookie: xps-session=${value}\r\n`))
    expect(site.sessions.stats().forged).toBe(1)
  })
})
