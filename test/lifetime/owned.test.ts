import { describe, expect, it } from 'vitest'
import { dispose, isPromiseLike } from '../../src/lifetime/owned.ts'

describe('dispose', () => {
  it('calls a function, and each kind of disposal on its own object', () => {
    const told: unknown[] = []
    dispose(() => told.push('function'))
    const one = {
      dispose() {
        told.push(this)
      },
    }
    const two = {
      [Symbol.dispose]() {
        told.push(this)
      },
    }
    dispose(one)
    dispose(two)
    expect(told).toEqual(['function', one, two])
  })

  it('returns the promise of a disposal that takes time', async () => {
    let over = false
    const pending = dispose({
      async [Symbol.asyncDispose]() {
        over = true
      },
    })
    expect(isPromiseLike(pending)).toBe(true)
    await pending
    expect(over).toBe(true)
  })

  it('prefers the disposal that can be waited for, then the standard one', () => {
    const told: string[] = []
    const all = {
      dispose: () => void told.push('dispose'),
      [Symbol.dispose]: () => void told.push('Symbol.dispose'),
      [Symbol.asyncDispose]: async () => void told.push('Symbol.asyncDispose'),
    }
    dispose(all)
    dispose({ dispose: all.dispose, [Symbol.dispose]: all[Symbol.dispose] })
    dispose(Object.assign(() => told.push('call'), { [Symbol.asyncDispose]: all[Symbol.asyncDispose] }))
    expect(told).toEqual(['Symbol.asyncDispose', 'Symbol.dispose', 'Symbol.asyncDispose'])
  })
})

describe('isPromiseLike', () => {
  it.each([
    [Promise.resolve(), true],
    // biome-ignore lint/suspicious/noThenProperty: what looks like a promise is the point
    [{ then: () => {} }, true],
    // biome-ignore lint/suspicious/noThenProperty: the same
    [{ then: 1 }, false],
    [{}, false],
    [null, false],
    [undefined, false],
    [() => {}, false],
    ['then', false],
  ])('of %o is %j', (value, is) => {
    expect(isPromiseLike(value)).toBe(is)
  })
})
