import { describe, expect, it } from 'vitest'
import { Access } from '../../../src/http/routing/access.ts'

describe('Access', () => {
  it('lets everybody in who is not denied', () => {
    const access = new Access({ deny: ['192.0.2.0/24'] })
    expect(access.allows('192.0.2.7')).toBe(false)
    expect(access.allows('::ffff:192.0.2.7')).toBe(false)
    expect(access.allows('198.51.100.1')).toBe(true)
    expect(new Access({}).allows('192.0.2.7')).toBe(true)
  })

  it('lets in only who is allowed, if anybody is named', () => {
    const access = new Access({ allow: ['10.0.0.0/8', '2001:db8::/32'] })
    expect(access.allows('10.1.1.1')).toBe(true)
    expect(access.allows('2001:db8::7')).toBe(true)
    expect(access.allows('11.1.1.1')).toBe(false)
    expect(access.allows(undefined)).toBe(false)
    expect(access.allows('nonsense')).toBe(false)
  })

  it('denies who is on both lists', () => {
    const access = new Access({ allow: ['10.0.0.0/8'], deny: ['10.1.0.0/16'] })
    expect(access.allows('10.2.0.1')).toBe(true)
    expect(access.allows('10.1.0.1')).toBe(false)
  })

  it('lets nobody in when the list of the allowed is empty, or all of it is denied', () => {
    expect(new Access({ allow: [] }).allows('127.0.0.1')).toBe(false)
    expect(new Access({ allow: ['10.0.0.1'], deny: ['10.0.0.1'] }).allows('10.0.0.1')).toBe(false)
    expect(new Access({ allow: ['10.0.0.1'], deny: ['10.0.0.1'] }).allows('10.0.0.2')).toBe(false)
  })

  it('knows clients without an address by a name', () => {
    expect(new Access({ allow: ['unix'] }).allows(undefined)).toBe(true)
    expect(new Access({ deny: ['unix'] }).allows('')).toBe(false)
  })

  it('says whose option is wrong', () => {
    expect(() => new Access({ allow: ['10.0.0.0/40'] }, 'routes[1]')).toThrow(
      expect.objectContaining({
        code: 'XPS_INVALID_OPTION',
        message: expect.stringContaining('routes[1].allow must be'),
      }),
    )
    expect(() => new Access({ deny: 'x' as never })).toThrow(/^deny must be/)
  })
})
