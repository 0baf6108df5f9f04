import { describe, expect, it } from 'vitest'
import { portRouter, type Route, relay } from '../../src/index.ts'
import { FakeUpstream, inMemory } from '../../src/testing/index.ts'

describe('portRouter', () => {
  it('picks the upstream by the port that the client came in on', async () => {
    const one = new FakeUpstream()
    const two = new FakeUpstream()
    const protocol = relay({ route: portRouter({ 8001: { upstream: one.target }, 8002: { upstream: two.target } }) })
    const { client, session } = inMemory(protocol, { port: 8002 })
    await two.accept()
    expect([one.accepted, two.accepted]).toEqual([0, 1])
    session.abort()
    client.end()
    await session.closed
  })

  it('has no route for any other port', async () => {
    const protocol = relay({ route: portRouter({ 8001: { refuse: 'never' } }) })
    const { client, session } = inMemory(protocol, { port: 9 })
    client.end()
    expect((await session.closed)?.code).toBe('XPS_NO_ROUTE')
  })

  it.each<[string, Record<number, unknown>]>([
    ['a port that is none', { 0: { refuse: 'x' } }],
    ['a port too high', { 65536: { refuse: 'x' } }],
    ['an address that is none', { 8001: { upstream: 'nowhere' } }],
    ['port 0 of an upstream', { 8001: { upstream: '127.0.0.1:0' } }],
    ['no addresses at all', { 8001: { upstream: [] } }],
    ['an unknown option', { 8001: { upstream: '127.0.0.1:1', conectTimeout: 5 } }],
    ['a timeout out of range', { 8001: { upstream: '127.0.0.1:1', connectTimeout: -5 } }],
    ['an empty file name', { 8001: { file: '' } }],
    ['a range that ends before it starts', { 8001: { file: 'x', start: 5, end: 4 } }],
    ['something else', { 8001: { redirect: 'x' } }],
    ['nothing', { 8001: undefined }],
  ])('refuses %s at once', (_name, table) => {
    expect(() => portRouter(table as Record<number, Route>)).toThrow(
      expect.objectContaining({ code: 'XPS_INVALID_OPTION' }),
    )
  })
})
