import { describe, expect, it } from 'vitest'
import { until } from '../http/e2e/support.ts'
import { dial } from '../support/net.ts'
import { Random } from '../support/random.ts'
import { overContainer, overServer, Site, shop, usual } from './support.ts'

const random = new Random()

for (const [where, connect] of [
  ['over a container', overContainer],
  ['over a state server', overServer],
] as const) {
  describe(`Cookie sessions ${where}, with clients that come and go`, () => {
    it(`lose nothing that was acknowledged, and keep no lock (seed ${random.seed})`, async () => {
      await using kept = await connect()
      await using site = await Site.start({ store: kept.source, lockTimeout: 20_000 }, (sessions) =>
        shop(sessions, {
          ...usual,
          fail: (session) => {
            session.set('n', -1)
            throw new Error('it failed')
          },
          hang: (session) => {
            session.set('n', -1)
            return new Promise(() => {})
          },
        }),
      )
      const browser = site.browser()
      await browser.get('/login')
      let acknowledged = 0
      let uncertain = 0
      await Promise.all(
        Array.from({ length: 120 }, async () => {
          const what = random.next()
          if (what < 0.5) {
            const { status } = await browser.clone().get('/add')
            expect(status).toBe(200)
            acknowledged++
          } else if (what < 0.65) {
            expect((await browser.clone().get('/fail')).status).toBe(500)
          } else {
            const hangs = what < 0.75
            if (!hangs) uncertain++
            const peer = await dial(site.served.port)
            await peer.write(
              `GET /${hangs ? 'hang' : 'add'} HTTP/1.1\r\nHost: a.test\r\nCookie: ${browser.cookie}\r\n\r\n`,
            )
            const wait = random.below(8)
            for (let turn = 0; turn < wait; turn++) await new Promise((resolve) => setImmediate(resolve))
            peer.reset()
          }
        }),
      )
      await until(() => {
        expect(kept.locks()).toMatchObject({ held: 0, waiting: 0 })
        expect(site.served.http.stats().transactions).toBe(0)
      })
      const { n } = JSON.parse((await browser.get('/see')).text) as { n: number }
      expect(n).toBeGreaterThanOrEqual(acknowledged)
      expect(n).toBeLessThanOrEqual(acknowledged + uncertain)
    })
  })
}
