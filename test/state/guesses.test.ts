import { describe, expect, it } from 'vitest'
import { Guesses } from '../../src/state/guesses.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { until } from '../support/until.ts'
import { serve, silent } from './support.ts'

const unknown = '0'.repeat(32)

describe('Guesses', () => {
  it('answer an address late that has used its allowance up, until that has grown again', () => {
    const guesses = new Guesses({ maxFailedOpens: 60, failedOpenDelay: 700 })
    for (let count = 0; count < 60; count++) expect(guesses.failed('10.0.0.1', 0)).toBe(0)
    expect(guesses.failed('10.0.0.1', 500)).toBe(700)
    expect(guesses.failed('10.0.0.2', 500)).toBe(0)
    expect(guesses.failed('10.0.0.1', 1_000)).toBe(0)
    expect(guesses.failed('10.0.0.1', 1_999)).toBe(700)
    expect(guesses.failed('10.0.0.1', 2_000)).toBe(0)
    // What was not used does not add up beyond a minute's.
    for (let count = 0; count < 60; count++) expect(guesses.failed('10.0.0.1', 10_000_000)).toBe(0)
    expect(guesses.failed('10.0.0.1', 10_000_000)).toBe(700)
    expect(guesses.numbers).toEqual({ failedOpens: 126, lateAnswers: 3 })
  })

  it('take all addresses of a network of IPv6 for one', () => {
    const guesses = new Guesses({ maxFailedOpens: 2 })
    const answers = ['2001:db8:0:1::1', '2001:db8:0:1:ffff::2', '2001:db8:0:1::3', '2001:db8:0:2::1']
    expect(answers.map((address) => guesses.failed(address, 0))).toEqual([0, 0, 1_000, 0])
    expect(guesses.size).toBe(2)
  })

  it('remember as many addresses as they may, those that were here last', () => {
    const guesses = new Guesses({ maxFailedOpens: 1 })
    guesses.failed('first', 0)
    for (let count = 0; count < 9_998; count++) guesses.failed(`other ${count}`, 0)
    expect(guesses.failed('first', 0)).toBe(1_000)
    for (let count = 0; count < 9_000; count++) guesses.failed(`more ${count}`, 0)
    expect(guesses.size).toBe(10_000)
    expect(guesses.failed('first', 0)).toBe(1_000)
    expect(guesses.failed('other 0', 0)).toBe(0)
  })

  it('have no bound if that is 0, and refuse what is none', () => {
    const guesses = new Guesses({ maxFailedOpens: 0 })
    for (let count = 0; count < 50_000; count++) guesses.failed('10.0.0.1', 0)
    expect(guesses.numbers).toEqual({ failedOpens: 50_000, lateAnswers: 0 })
    expect(guesses.size).toBe(0)
    expect(() => new Guesses({ maxFailedOpens: -1 })).toThrow(/maxFailedOpens/)
    expect(() => new Guesses({ failedOpenDelay: 0 })).toThrow(/failedOpenDelay/)
  })
})

describe('a state server', () => {
  it('answers who guesses ids late, on every connection of its address, and opens what there is at once', async () => {
    const clock = new ManualClock()
    await using served = await serve({ maxFailedOpens: 3, failedOpenDelay: 500, clock })
    const [one, other] = [await served.client(), await served.client()]
    const id = await one.make({ n: '1' })
    expect(await one.askAll(`open ${unknown}`, `read ${unknown}`)).toEqual(Array(2).fill('err Could not open session.'))
    expect(await other.ask(`patch ${unknown} put n 1`)).toBe('err Could not open session.')
    // All of these tell whether there is such a session.
    const commands = [
      `open ${unknown}`,
      `open ${unknown} r`,
      `acquire ${unknown} 0`,
      `touch ${unknown}`,
      `drop ${unknown}`,
    ]
    let late = 0
    for (const command of commands) {
      void other.send(command)
      await until(() => expect(served.server.stats().lateAnswers).toBe(late + 1))
      late++
      // What comes after it waits for it; others do not.
      void other.send('help')
      expect(await one.askAll(`open ${id}`, 'get n', 'close')).toEqual(['ok', 'ok 1', 'ok'])
      expect(await silent(other, 5)).toBe(true)
      clock.advance(500)
      expect(await other.line()).toBe('err Could not open session.')
      expect(await other.line()).toMatch(/^ok xps/)
    }
    expect(served.server.stats()).toMatchObject({ failedOpens: 8, lateAnswers: 5 })
  })

  it('keeps nothing of a guesser that goes before it is answered', async () => {
    const clock = new ManualClock()
    await using served = await serve({ maxFailedOpens: 1, clock })
    const guesser = await served.client()
    expect(await guesser.ask(`open ${unknown}`)).toBe('err Could not open session.')
    const before = clock.pending
    void guesser.send(`open ${unknown}`)
    await until(() => expect(served.server.stats().lateAnswers).toBe(1))
    guesser.peer.reset()
    await until(() => expect(served.server.stats().connections).toBe(0))
    expect(clock.pending).toBeLessThanOrEqual(before)
  })
})
