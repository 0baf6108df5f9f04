import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type ProcessorFunction, processor, xml } from '../../src/soap/index.ts'
import { Served } from './support.ts'

// With the real thing: what we think of Standard Schema is not what it is.
describe('a schema of Zod', () => {
  const Order = z.object({
    '@id': z.coerce.number(),
    symbol: z.string().min(1),
    quantity: z.coerce.number().int().positive(),
    note: z.string().optional(),
    tag: z.array(z.string()),
  })
  const order = (content: Record<string, unknown>, id = 7): ReturnType<typeof xml> =>
    xml('urn:test', 'Order', { symbol: 'ACME', quantity: 2, tag: ['a', 'b'], ...content }, { id })

  it('has the message given with the value and type that it makes of the body', async () => {
    await using served = await Served.start({
      processors: {
        'urn:test/order': processor({
          schema: Order,
          handle: ({ value }) => xml('urn:test', 'Is', `${value['@id'] + 1} ${value.quantity * 2} ${value.tag.join()}`),
        }),
      },
    })
    const client = await served.loggedIn()
    expect((await client.request('urn:test/order', order({}))).body?.text).toBe('8 4 a,b')
  })

  it('says what is wrong, and where, to who sent it', async () => {
    const handle: ProcessorFunction<unknown> = () => {
      throw new Error('not reached')
    }
    await using served = await Served.start({ processors: { 'urn:test/order': processor({ schema: Order, handle }) } })
    const client = await served.loggedIn()
    const refusal = (content: Record<string, unknown>): Promise<string> =>
      client.request('urn:test/order', order(content)).then(
        () => 'taken',
        (error: Error) => error.message,
      )
    expect(await refusal({ quantity: 0 })).toMatch(/^the body is not valid: quantity: Too small/)
    expect(await refusal({ tag: 'a' })).toMatch(/^the body is not valid: tag: Invalid input: expected array/)
    expect(await refusal({ symbol: '', quantity: 'x' })).toMatch(/symbol: .*; quantity: /)
    expect(served.rejected).toEqual(['invalid-body', 'invalid-body', 'invalid-body'])
    expect(served.faults).toEqual([])
  })

  it('may take its time', async () => {
    const known = z.object({
      symbol: z.string().refine(async (symbol) => Promise.resolve(symbol === 'ACME'), 'unknown'),
    })
    await using served = await Served.start({
      processors: {
        'urn:test/order': processor({ schema: known, handle: ({ value }) => xml('urn:test', 'Ok', value.symbol) }),
      },
    })
    const client = await served.loggedIn()
    expect((await client.request('urn:test/order', order({}))).body?.text).toBe('ACME')
    await expect(client.request('urn:test/order', order({ symbol: 'B' }))).rejects.toThrow(
      'the body is not valid: symbol: unknown',
    )
  })

  it('makes something of a body by a function of the host', async () => {
    await using served = await Served.start({
      processors: {
        'urn:test/n': processor({
          schema: z.number().max(3),
          read: (body) => body?.integer('quantity'),
          handle: ({ value }) => xml('urn:test', 'N', value + 1),
        }),
      },
    })
    const client = await served.loggedIn()
    expect((await client.request('urn:test/n', order({}))).body?.text).toBe('3')
    await expect(client.request('urn:test/n', order({ quantity: 4 }))).rejects.toMatchObject({ faultCode: 'Sender' })
  })
})
