import { expect, it } from 'vitest'
import { get, Served, until } from './support.ts'

it('A client that asks ahead and reads nothing is answered no further than it reads', async () => {
  const body = 'x'.repeat(60_000)
  await using served = await Served.start({ routes: [{ reply: { status: 200, body } }] })
  const client = await served.dial()
  client.peer.pause()
  // 2,000 answers would be 120 MB.
  for (let count = 0; count < 20; count++) await client.send(get('/x').repeat(100))
  let served0 = -1
  await until(() => {
    const now = served.http.stats().served
    const still = now === served0
    served0 = now
    expect(still && now > 0).toBe(true)
  })
  expect(served0).toBeLessThan(400)
  client.peer.reset()
  await served.settled()
})
