import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/testing/index.ts'
import { closedPort } from '../../support/net.ts'
import { Backend, gate, get, ok, Served, turns, until } from '../e2e/support.ts'
import { Backend2 } from '../http2-upstream/support.ts'

/** An upstream whose health is what the test says; it answers everything else with its name. */
async function patient(name: string) {
  const it = { status: 200, checks: 0, hold: Promise.resolve() }
  const backend = await Backend.start(async (request) => {
    if (request.target !== '/health') return ok(name)
    it.checks++
    await it.hold
    return `HTTP/1.1 ${it.status} Status\r\nContent-Length: 0\r\n\r\n`
  })
  return Object.assign(backend, { it })
}

const check = { path: '/health', interval: 3_000, rise: 2, fall: 2 }

describe('A health check', () => {
  it('E58: passes over an address that fails, until it is well again', async () => {
    const clock = new ManualClock()
    await using sick = await patient('sick')
    await using well = await patient('well')
    await using served = await Served.start(
      { routes: [{ upstream: [sick.address, well.address], healthCheck: check }] },
      { clock },
    )
    const health = (): unknown => served.http.stats().upstreams[sick.address]?.health
    const step = async (): Promise<void> => {
      const { checks } = sick.it
      await until(() => {
        clock.advance(500)
        expect(sick.it.checks).toBe(checks + 1)
      })
      await turns()
    }
    const ask = async (): Promise<string[]> => [(await served.ask(get())).body, (await served.ask(get())).body].sort()
    expect(await ask()).toEqual(['sick', 'well'])
    await until(() => expect(health()).toEqual({ up: true, passed: 1, failed: 0 }))
    sick.it.status = 500
    await step()
    await until(() => expect(health()).toEqual({ up: true, passed: 1, failed: 1 }))
    await step()
    await until(() => expect(health()).toEqual({ up: false, passed: 1, failed: 2 }))
    expect(await ask()).toEqual(['well', 'well'])
    sick.it.status = 200
    await step()
    expect(await ask()).toEqual(['well', 'well'])
    await step()
    await until(() => expect(health()).toMatchObject({ up: true }))
    expect(await ask()).toEqual(['sick', 'well'])
  })

  it('is in the numbers of its address, whichever other routes have that too', async () => {
    await using sick = await patient('sick')
    sick.it.status = 503
    const upstream = sick.address
    const strict = { ...check, fall: 1 }
    const lax = { ...check, status: [200, 503] }
    const health = async (...routes: { path?: string; healthCheck?: object }[]): Promise<unknown> => {
      await using served = await Served.start({
        routes: routes.map(({ healthCheck, ...route }) => ({
          ...route,
          upstream,
          ...(healthCheck === undefined ? {} : { healthCheck: healthCheck as typeof check }),
        })),
      })
      await served.ask(get())
      const asked = routes.filter(({ healthCheck }) => healthCheck !== undefined).length
      const found = (): { passed: number; failed: number } | undefined =>
        served.http.stats().upstreams[upstream]?.health
      await until(() => expect((found()?.passed ?? 0) + (found()?.failed ?? 0)).toBe(asked))
      return found()
    }
    expect(await health({ path: '/one', healthCheck: strict }, {})).toEqual({ up: false, passed: 0, failed: 1 })
    expect(await health({ path: '/one' }, { healthCheck: strict })).toEqual({ up: false, passed: 0, failed: 1 })
    // It is up if all who ask it find it well.
    for (const [one, other] of [
      [strict, lax],
      [lax, strict],
    ]) {
      const both = await health({ path: '/one', healthCheck: one as object }, { healthCheck: other as object })
      expect(both).toEqual({ up: false, passed: 1, failed: 1 })
    }
  })

  it('E58: tries all the same where nobody is well, and asks no more when the route has gone', async () => {
    const clock = new ManualClock()
    await using sick = await patient('sick')
    sick.it.status = 503
    await using served = await Served.start(
      { routes: [{ upstream: sick.address, healthCheck: { ...check, fall: 1 } }] },
      { clock },
    )
    expect((await served.ask(get())).body).toBe('sick')
    await until(() => expect(served.http.stats().upstreams[sick.address]?.health?.up).toBe(false))
    expect((await served.ask(get())).body).toBe('sick')
    served.http.route([{ upstream: sick.address }])
    const { checks } = sick.it
    for (let count = 0; count < 20; count++) {
      clock.advance(3_000)
      await turns(5)
    }
    expect(sick.it.checks).toBe(checks)
    expect((await served.ask(get())).body).toBe('sick')
    expect(served.http.stats().upstreams[sick.address]).not.toHaveProperty('health')
  })

  it('expects the status that it was told to expect', async () => {
    await using backend = await patient('it')
    backend.it.status = 204
    await using served = await Served.start({
      routes: [
        { path: '/a', upstream: backend.address, healthCheck: { ...check, status: 204 } },
        {
          path: '/b',
          upstream: `localhost:${backend.server.port}`,
          healthCheck: { ...check, status: [200, 201], fall: 1 },
        },
      ],
    })
    const stats = (): unknown => Object.values(served.http.stats().upstreams).map((one) => one.health?.up)
    await served.ask(get('/a'))
    await until(() => expect(stats()).toEqual([true, false]))
  })

  it('that takes too long has failed, and there is never more than one', async () => {
    const clock = new ManualClock()
    const held = gate()
    await using backend = await patient('it')
    backend.it.hold = held.promise
    await using served = await Served.start(
      { routes: [{ upstream: backend.address, healthCheck: { ...check, timeout: 10_000, interval: 1_000, fall: 1 } }] },
      { clock },
    )
    await served.ask(get())
    await until(() => expect(backend.it.checks).toBe(1))
    for (let count = 0; count < 9; count++) {
      clock.advance(1_000)
      await turns(5)
    }
    expect(backend.it.checks).toBe(1)
    await until(() => {
      clock.advance(200)
      expect(served.http.stats().upstreams[backend.address]?.health).toEqual({ up: false, passed: 0, failed: 1 })
    })
    held.open()
  })

  it('of an address that cannot be connected to fails, and it speaks HTTP/2 where that is spoken', async () => {
    await using two = await Backend2.start((stream, headers) => {
      stream.respond({ ':status': headers[':path'] === '/health' ? 204 : 200 }, { endStream: true })
    })
    const gone = { address: `127.0.0.1:${await closedPort()}` }
    await using served = await Served.start({
      routes: [{ upstream: [two.h2c, `h2c://${gone.address}`], healthCheck: { ...check, fall: 1 } }],
    })
    await served.ask(get())
    await until(() => {
      const { upstreams } = served.http.stats()
      expect([upstreams[two.address]?.health, upstreams[gone.address]?.health]).toEqual([
        { up: true, passed: 1, failed: 0 },
        { up: false, passed: 0, failed: 1 },
      ])
    })
    expect(two.requests.find((one) => one[':path'] === '/health')).toMatchObject({
      ':method': 'GET',
      ':authority': two.address,
      'user-agent': 'xps-health-check',
    })
  })

  it('leaves nothing behind: no alarm, and no connection', async () => {
    const clock = new ManualClock()
    await using backend = await patient('it')
    const held = gate()
    const served = await Served.start({ routes: [{ upstream: backend.address, healthCheck: check }] }, { clock })
    await served.ask(get())
    await until(() => expect(served.http.stats().upstreams[backend.address]?.health?.passed).toBe(1))
    backend.it.hold = held.promise
    await until(() => {
      clock.advance(500)
      expect(backend.it.checks).toBe(2)
    })
    await served[Symbol.asyncDispose]()
    expect(clock.pending).toBe(0)
    held.open()
    await until(() => expect(backend.open).toBe(0))
  })

  it.each([
    [{}, 'path'],
    [{ path: 'health' }, 'path'],
    [{ path: '/a b' }, 'path'],
    [{ path: '/', rise: 0 }, 'rise'],
    [{ path: '/', fall: 0 }, 'fall'],
    [{ path: '/', interval: 0 }, 'interval'],
    [{ path: '/', timeout: -1 }, 'timeout'],
    [{ path: '/', status: 99 }, 'status'],
    [{ path: '/', status: [] }, 'status'],
    [{ path: '/', host: 'a b' }, 'host'],
    [{ path: '/', other: 1 }, 'healthCheck'],
  ])('E58: cannot be %j', async (healthCheck, name) => {
    await expect(
      Served.start({ routes: [{ upstream: 'a.test:1', healthCheck: healthCheck as never }] }),
    ).rejects.toThrow(name === 'healthCheck' ? 'routes[0].healthCheck' : `routes[0].healthCheck.${name}`)
  })
})
