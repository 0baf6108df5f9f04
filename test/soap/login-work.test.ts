import { describe, expect, it, vi } from 'vitest'
import { hashPassword, verifyPassword } from '../../src/soap/index.ts'

const work = vi.hoisted(() => [] as unknown[])

// Only looked at: it does what it does.
vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof import('node:crypto')>()
  return {
    ...crypto,
    scrypt: (...args: unknown[]) => {
      const [, salt, length, options] = args
      work.push([(salt as Uint8Array).length, length, options])
      return Reflect.apply(crypto.scrypt, undefined, args)
    },
  }
})

describe('a password that is not right', () => {
  it('is the same work for an unknown user as for one that is known, and so takes the same time', async () => {
    const hash = await hashPassword('sesame')
    expect(work.length).toBe(1)
    expect(await verifyPassword('wrong', hash)).toBe(false)
    expect(await verifyPassword('wrong', undefined)).toBe(false)
    expect(work.length).toBe(3)
    expect(work[1]).toEqual(work[0])
    expect(work[2]).toEqual(work[0])
  })
})
