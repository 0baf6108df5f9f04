import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RequestHead } from '../../../src/http/messages.ts'
import type { RouteMatch } from '../../../src/http/routing/route-match.ts'
import { RouteTable } from '../../../src/http/routing/route-table.ts'
import { Random } from '../../support/random.ts'
import { request } from './requests.ts'

interface Named extends RouteMatch {
  name: string
}

/** A table of routes that are named by what they match. */
function table(
  routes: Record<string, RouteMatch>,
): (target: string, given?: Parameters<typeof request>[1], port?: number) => string | undefined {
  const made = new RouteTable<Named>(Object.entries(routes).map(([name, match]) => ({ ...match, name })))
  return (target, given, port = 80) => made.find(port, request(target, given))?.route.name
}

describe('RouteTable', () => {
  it('finds the longest prefix, on borders of segments only', () => {
    const find = table({ all: { path: '/' }, api: { path: '/api' }, v2: { path: '/api/v2/' } })
    expect(find('/')).toBe('all')
    expect(find('/api')).toBe('api')
    expect(find('/api/')).toBe('api')
    expect(find('/api?x=/api/v2')).toBe('api')
    expect(find('/api2')).toBe('all')
    expect(find('/api/v2')).toBe('v2')
    expect(find('/api/v2/x')).toBe('v2')
    expect(find('/api/v22')).toBe('api')
    expect(find('/API')).toBe('all')
  })

  it('tells of prefixes of one length which is which', () => {
    const find = table({ one: { path: '/aaa' }, two: { path: '/bbb' }, three: { path: '/ccc' } })
    expect([find('/aaa/x'), find('/bbb'), find('/ccc/y'), find('/ddd')]).toEqual(['one', 'two', 'three', undefined])
  })

  it('says what the prefix was and what is below it', () => {
    const made = new RouteTable([{ path: '/api/' }, { path: '/' }])
    expect(made.find(80, request('/api/users/1?x=1'))).toMatchObject({
      prefix: '/api',
      rest: '/users/1',
      path: '/api/users/1',
    })
    expect(made.find(80, request('/api'))).toMatchObject({ prefix: '/api', rest: '/' })
    expect(made.find(80, request('/x/y'))).toMatchObject({ prefix: '', rest: '/x/y', params: {} })
  })

  it('reads patterns, with parameters, wildcards and optional parts', () => {
    const made = new RouteTable<Named>([
      { name: 'user', path: '/users/:id' },
      { name: 'posts', path: '/users/:id/posts' },
      { name: 'files', path: '/files/*path' },
      { name: 'about', path: '/about{.html}' },
      { name: 'health', path: '/health{/}' },
    ])
    const find = (target: string) => {
      const found = made.find(80, request(target))
      return found && [found.route.name, { ...found.params }]
    }
    expect(find('/users/17')).toEqual(['user', { id: '17' }])
    expect(find('/users/17/')).toEqual(['user', { id: '17' }])
    expect(find('/users/a%20b')).toEqual(['user', { id: 'a b' }])
    expect(find('/users/group%2Fname')).toEqual(['user', { id: 'group/name' }])
    expect(find('/users/%zz')).toEqual(['user', { id: '%zz' }])
    expect(find('/users/17/posts')).toEqual(['posts', { id: '17' }])
    expect(find('/users')).toBeUndefined()
    expect(find('/Users/17')).toBeUndefined()
    expect(find('/files/a/b.txt')).toEqual(['files', { path: ['a', 'b.txt'] }])
    expect(find('/about.html')).toEqual(['about', {}])
    expect(find('/about')).toEqual(['about', {}])
    expect(find('/health/')).toEqual(['health', {}])
    expect(find('/health/x')).toBeUndefined()
    expect(made.find(80, request('/users/17?a=b'))).toMatchObject({ prefix: '', rest: '/users/17' })
  })

  it('asks patterns with more text and fewer wildcards first, and longer literal starts before them', () => {
    const find = table({
      any: { path: '/users/*rest' },
      prefix: { path: '/users' },
      id: { path: '/users/:id' },
      edit: { path: '/users/:id/edit' },
      me: { path: '/users/me' },
    })
    expect(find('/users/me')).toBe('me')
    expect(find('/users/17')).toBe('id')
    expect(find('/users/17/edit')).toBe('edit')
    expect(find('/users/17/other')).toBe('any')
    expect(find('/users')).toBe('prefix')
  })

  it('takes an exact host before wildcards, the longest wildcard before shorter ones, and any before none', () => {
    const find = table({
      none: {},
      wild: { host: '*.test' },
      longer: { host: '*.app.test' },
      exact: { host: ['www.app.test', 'App.Test'] },
    })
    expect(find('/', { host: 'app.test' })).toBe('exact')
    expect(find('/', { host: 'APP.test:8080' })).toBe('exact')
    expect(find('/', { host: 'app.test.' })).toBe('exact')
    expect(find('/', { host: 'www.app.test' })).toBe('exact')
    expect(find('/', { host: 'x.app.test' })).toBe('longer')
    expect(find('/', { host: 'x.y.app.test' })).toBe('longer')
    expect(find('/', { host: 'other.test' })).toBe('wild')
    expect(find('/', { host: 'test' })).toBe('none')
    expect(find('/', { host: '' })).toBe('none')
    expect(find('/', { host: '.app.test' })).toBe('wild')
  })

  it('reads hosts that are addresses or written in other scripts', () => {
    const find = table({ six: { host: '[::1]' }, four: { host: '127.0.0.1' }, idn: { host: '*.BÜCHER.test' } })
    expect(find('/', { host: '[::1]:80' })).toBe('six')
    expect(find('/', { host: '127.0.0.1:80' })).toBe('four')
    expect(find('/', { host: 'www.xn--bcher-kva.test' })).toBe('idn')
  })

  it('goes on to a less exact host or a shorter prefix where a better one has no route for the request', () => {
    const find = table({
      all: {},
      post: { host: 'app.test', path: '/api', method: 'POST' },
      app: { host: 'app.test', path: '/x' },
    })
    expect(find('/api', { method: 'POST' })).toBe('post')
    expect(find('/api', { method: 'PUT' })).toBe('all')
    expect(find('/y')).toBe('all')
  })

  it('asks routes with more conditions first, then those that come first', () => {
    const find = table({
      plain: { path: '/a' },
      second: { path: '/a' },
      method: { path: '/a', method: 'GET' },
      header: { path: '/a', headers: { 'x-a': true } },
      both: { path: '/a', method: ['GET', 'PUT'], headers: { 'X-A': '1' } },
      most: { path: '/a', listener: [80, 81], method: 'GET', headers: { 'x-a': '1', 'x-b': true } },
    })
    expect(find('/a', { method: 'PUT' })).toBe('plain')
    expect(find('/a')).toBe('method')
    expect(find('/a', { method: 'PUT', headers: { 'x-A': '2' } })).toBe('header')
    expect(find('/a', { headers: { 'x-a': '1' } })).toBe('both')
    expect(find('/a', { headers: { 'x-a': '1', 'x-b': '' } })).toBe('most')
    expect(find('/a', { headers: { 'x-a': '1', 'x-b': '' } }, 82)).toBe('both')
  })

  it('takes HEAD for what is there for GET, and other methods as they are spelled', () => {
    const find = table({ get: { method: 'GET' }, search: { method: ['M-SEARCH'] } })
    expect(find('/', { method: 'HEAD' })).toBe('get')
    expect(find('/', { method: 'get' })).toBeUndefined()
    expect(find('/', { method: 'M-SEARCH' })).toBe('search')
  })

  it('finds routes by the port that the client came in on', () => {
    const find = table({ one: { listener: 8001 }, two: { listener: [8002, 8003] } })
    expect(find('/', {}, 8001)).toBe('one')
    expect(find('/', {}, 8003)).toBe('two')
    expect(find('/', {}, 8004)).toBeUndefined()
  })

  it('tells which methods there are where only the method does not fit', () => {
    const made = new RouteTable([
      { path: '/a', method: 'GET' },
      { path: '/a', method: ['POST', 'PUT'], host: 'app.test' },
      { path: '/a', method: 'PATCH', listener: 81 },
      { path: '/a', method: 'DELETE', headers: { 'x-key': true } },
      { path: '/a/:id', method: 'OPTIONS' },
      { path: '/b' },
    ])
    expect(made.allowed(80, request('/a', { method: 'TRACE' }))).toEqual(['GET', 'HEAD', 'POST', 'PUT'])
    expect(made.allowed(80, request('/a', { method: 'TRACE', host: 'x' }))).toEqual(['GET', 'HEAD'])
    expect(made.allowed(80, request('/a/1', { method: 'TRACE', headers: { 'x-key': '' } }))).toEqual([
      'DELETE',
      'GET',
      'HEAD',
      'OPTIONS',
      'POST',
      'PUT',
    ])
    expect(made.allowed(80, request('/c'))).toEqual([])
    expect(made.allowed(80, request('/b'))).toEqual([])
  })

  it('gives OPTIONS * to routes for all paths only', () => {
    const find = table({ a: { path: '/a' }, all: { path: '/' } })
    expect(find('*', { method: 'OPTIONS' })).toBe('all')
  })

  it.each([
    '/public/../admin',
    '/public/%2e%2e/admin/x',
    '/public/.%2E/admin',
    '/./admin',
    '//admin',
    '/%61dmin',
    '/admin%2Fx',
    '/admin%5cx',
    '/%2Fadmin',
    '/admin/../admin',
    '/admin/./',
    '//admin//',
  ])('leads nobody around the rules of /admin by %s', (path) => {
    const find = table({ public: { path: '/public' }, admin: { path: '/admin' }, all: { path: '/' } })
    expect(find(path)).toBe('admin')
  })

  it.each([
    '/admin%2F7',
    '/public/../admin/7',
    '/%61dmin/7',
    '//admin//7',
  ])('nor around those of a pattern by %s', (path) => {
    const find = table({ admin: { path: '/admin/:id' }, all: { path: '/' } })
    expect(find(path)).toBe('admin')
  })

  it('resolves dots before it merges slashes, and so does whoever gets what it gives out', () => {
    const made = new RouteTable([{ path: '/public' }, { path: '/admin' }])
    const found = made.find(80, request('/public//..//../admin'))
    expect(found).toMatchObject({ prefix: '/public', path: '/public/admin', rest: '/admin' })
  })

  it('refuses a path that could be read in two ways', () => {
    const find = table({ all: { path: '/' } })
    expect(() => find('/public/..%2Fadmin')).toThrow(
      expect.objectContaining({ code: 'XPS_BAD_REQUEST', origin: 'client' }),
    )
  })

  it('gives out a path without dot segments, and otherwise as it came', () => {
    const made = new RouteTable([{ path: '/a b/é' }, { path: '/' }])
    expect(made.find(80, request('/x/../y//z%2f%41?q=..'))).toMatchObject({ path: '/y//z%2f%41' })
    expect(made.find(80, request('/a%20b/%c3%a9/1'))).toMatchObject({ prefix: '/a%20b/%C3%A9', rest: '/1' })
  })
})

describe('the options of a route', () => {
  it.each<[unknown, string]>([
    [{ path: 'api' }, 'routes[1].path must be a path'],
    [{ path: '/a?b' }, 'routes[1].path must be a path'],
    [{ path: [] }, 'routes[1].path must be a path'],
    [{ path: 7 }, 'routes[1].path must be'],
    [{ path: '/a/:' }, 'routes[1].path must be a pattern that path-to-regexp can read'],
    [{ path: '/a/..%2fb' }, 'routes[1].path must be'],
    [{ host: '' }, 'routes[1].host must be a host'],
    [{ host: 'app.test:80' }, 'routes[1].host must be a host without a port'],
    [{ host: '*' }, 'routes[1].host must be'],
    [{ host: 'a.*.test' }, 'routes[1].host must be'],
    [{ host: ['a', 'b..c'] }, 'routes[1].host must be'],
    [{ method: 'get' }, 'routes[1].method must be a method in capital letters'],
    [{ method: [] }, 'routes[1].method must be'],
    [{ method: 'G T' }, 'routes[1].method must be'],
    [{ listener: 0 }, 'routes[1].listener must be an integer from 1 to 65535'],
    [{ listener: [80, '81'] }, 'routes[1].listener must be'],
    [{ listener: [] }, 'routes[1].listener must be'],
    [{ headers: ['x'] }, 'routes[1].headers must be'],
    [{ headers: { 'a b': '1' } }, 'routes[1].headers must be'],
    [{ headers: { a: 1 } }, "routes[1].headers['a'] must be text or true"],
    [null, 'routes[1] must be an object'],
    ['/a', 'routes[1] must be an object'],
  ])('%j is refused by name', (route, message) => {
    expect(() => new RouteTable([{}, route as RouteMatch])).toThrow(
      expect.objectContaining({ code: 'XPS_INVALID_OPTION', message: expect.stringContaining(message) }),
    )
  })

  it('are refused if they are no list', () => {
    expect(() => new RouteTable({} as never)).toThrow('routes must be a list of routes')
  })
})

describe('the order of routes', () => {
  it('is that of a table that looks at all of them, one after the other', () => {
    const random = new Random()
    for (let run = 0; run < 300; run++) {
      const routes = Array.from({ length: 1 + random.below(12) }, () => randomRoute(random))
      const made = new RouteTable(routes)
      for (let time = 0; time < 40; time++) {
        const asked = randomRequest(random)
        const port = 80 + random.below(3)
        const found = made.find(port, asked)
        const wanted = naive(routes, port, asked)
        const say = `SEED=${random.seed} ${JSON.stringify({ routes, target: asked.target, host: asked.authority })}`
        expect(found?.route, say).toBe(wanted === undefined ? undefined : routes[wanted])
      }
    }
  })

  it('does not depend on anything but the table: the same question has the same answer', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (seed) => {
        const random = new Random(seed)
        const made = new RouteTable(Array.from({ length: 6 }, () => randomRoute(random)))
        const asked = Array.from({ length: 10 }, () => randomRequest(random))
        const answers = asked.map((one) => made.find(80, one)?.route)
        expect(asked.map((one) => made.find(80, one)?.route)).toEqual(answers)
      }),
      { numRuns: 50 },
    )
  })
})

const segments = ['a', 'b', 'ab', 'abc']

function randomRoute(random: Random): RouteMatch {
  const route: RouteMatch = {}
  const maybe = (chance: number) => random.next() < chance
  if (maybe(0.5)) {
    route.host = maybe(0.2)
      ? ['x.test', '*.y.test']
      : random.pick(['x.test', '*.test', '*.x.test', '*.y.x.test', 'y.x.test'])
  }
  if (maybe(0.8)) {
    const one = () => {
      const parts = Array.from({ length: random.below(4) }, () =>
        maybe(0.25) ? `:p${random.below(1e9)}` : random.pick(segments),
      )
      if (maybe(0.1)) parts.push(`*w${random.below(1e9)}`)
      return `/${parts.join('/')}`
    }
    route.path = maybe(0.2) ? [one(), one()] : one()
  }
  if (maybe(0.3)) route.method = random.pick<string | string[]>(['GET', 'POST', ['GET', 'PUT']])
  if (maybe(0.2)) route.listener = random.pick<number | number[]>([80, [80, 81]])
  if (maybe(0.2))
    route.headers = random.pick<Record<string, string | true>>([{ 'x-a': '1' }, { 'x-a': true, 'x-b': true }])
  return route
}

function randomRequest(random: Random): RequestHead {
  const path = Array.from({ length: random.below(5) }, () => random.pick(segments)).join('/')
  const headers: Record<string, string> = {}
  if (random.next() < 0.5) headers['X-A'] = String(random.below(2))
  if (random.next() < 0.3) headers['x-b'] = ''
  return request(`/${path}`, {
    method: random.pick(['GET', 'HEAD', 'POST', 'PUT', 'DELETE']),
    host: random.pick(['x.test', 'y.x.test', 'z.y.x.test', 'q.y.test', 'other']),
    headers,
  })
}

/** What the rules say, written down as plainly as can be. Returns the place of the route in the list. */
function naive(routes: readonly RouteMatch[], port: number, asked: RequestHead): number | undefined {
  const all: { rank: number[]; index: number }[] = []
  const list = <T>(given: T | readonly T[] | undefined): readonly (T | undefined)[] =>
    given === undefined ? [undefined] : Array.isArray(given) ? given : [given as T]
  routes.forEach((route, index) => {
    const methods = list(route.method)
    const method = asked.method === 'HEAD' ? ['HEAD', 'GET'] : [asked.method]
    if (methods[0] !== undefined && !methods.some((one) => method.includes(one as string))) return
    const ports = list(route.listener)
    if (ports[0] !== undefined && !ports.includes(port)) return
    const headers = Object.entries(route.headers ?? {})
    if (
      !headers.every(
        ([name, value]) => asked.headers.has(name) && (value === true || asked.headers.get(name) === value),
      )
    )
      return
    const conditions = (route.method === undefined ? 0 : 1) + (route.listener === undefined ? 0 : 1) + headers.length
    for (const host of list(route.host)) {
      if (host?.startsWith('*.') === true && !asked.host.endsWith(host.slice(1))) continue
      if (host?.startsWith('*.') === false && asked.host !== host) continue
      const hostRank = host === undefined ? 0 : host.startsWith('*.') ? host.length : 1_000
      for (const path of list(route.path)) {
        const ranked = rankPath(path ?? '/', asked.path)
        if (ranked !== undefined) all.push({ rank: [hostRank, ...ranked, conditions, -index], index })
      }
    }
  })
  all.sort((a, b) => {
    const at = a.rank.findIndex((one, index) => one !== b.rank[index])
    return at < 0 ? 0 : (b.rank[at] as number) - (a.rank[at] as number)
  })
  return all[0]?.index
}

/** Length of the literal start, pattern before prefix, fewer wildcards, more text; undefined if it does not fit. */
function rankPath(route: string, path: string): number[] | undefined {
  if (!/[:*]/.test(route)) {
    const prefix = route === '/' ? '' : route
    if (path !== prefix && !path.startsWith(`${prefix}/`)) return undefined
    return [prefix.length, 0, 0, 0]
  }
  const wanted = route.split('/').slice(1)
  const given = path.split('/').slice(1)
  const wild = wanted.at(-1)?.startsWith('*') === true
  if (wild ? given.length < wanted.length : given.length !== wanted.length) return undefined
  for (const [index, segment] of wanted.entries()) {
    if (given[index] === '') return undefined
    if (!/^[:*]/.test(segment) && segment !== given[index]) return undefined
  }
  const literals = route.replace(/[:*]\w+/g, '').length
  return [route.search(/[:*]/), 1, wild ? -1 : 0, literals]
}
