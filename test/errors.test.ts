import { describe, expect, it } from 'vitest'
import { asXpsError, errorCodes, isXpsError, reasonOf, systemCode, XpsError } from '../src/errors.ts'

describe('XpsError', () => {
  it('is an Error with a name, a code and a message', () => {
    const error = new XpsError('XPS_REFUSED', 'too much')
    expect(error).toBeInstanceOf(Error)
    expect(error.name).toBe('XpsError')
    expect(error.code).toBe('XPS_REFUSED')
    expect(error.message).toBe('too much')
    expect(String(error)).toBe('XpsError: too much')
  })

  it('came from inside and is not to be retried unless it says so', () => {
    const error = new XpsError('XPS_REFUSED', 'too much')
    expect(error.origin).toBe('internal')
    expect(error.retryable).toBe(false)
    expect(error.address).toBeUndefined()
    expect(error.elapsed).toBeUndefined()
  })

  it('carries its side, whether to retry, its cause, the address and the time it took', () => {
    const cause = new Error('underneath')
    const error = new XpsError('XPS_CONNECT', 'no', {
      origin: 'upstream',
      retryable: true,
      cause,
      address: '127.0.0.1:1',
      elapsed: 12,
    })
    expect(error).toMatchObject({ origin: 'upstream', retryable: true, address: '127.0.0.1:1', elapsed: 12 })
    expect(error.cause).toBe(cause)
  })

  it('has no cause property when there is no cause', () => {
    expect('cause' in new XpsError('XPS_REFUSED', 'too much')).toBe(false)
  })
})

describe('errorCodes', () => {
  it('lists each code once, and each begins with XPS_', () => {
    expect(new Set(errorCodes).size).toBe(errorCodes.length)
    for (const code of errorCodes) expect(code).toMatch(/^XPS_[A-Z]+(_[A-Z]+)*$/)
  })
})

describe('isXpsError', () => {
  it('knows its own from others', () => {
    expect(isXpsError(new XpsError('XPS_REFUSED', ''))).toBe(true)
    expect(isXpsError(new Error('XPS_REFUSED'))).toBe(false)
    expect(isXpsError(Object.assign(new Error(''), { code: 'XPS_REFUSED' }))).toBe(false)
    expect(isXpsError(undefined)).toBe(false)
  })

  it('asks for the code too, if one is given', () => {
    expect(isXpsError(new XpsError('XPS_REFUSED', ''), 'XPS_REFUSED')).toBe(true)
    expect(isXpsError(new XpsError('XPS_REFUSED', ''), 'XPS_READ')).toBe(false)
  })
})

describe('asXpsError', () => {
  it('returns an XpsError as it is', () => {
    const error = new XpsError('XPS_REFUSED', 'too much')
    expect(asXpsError(error, 'XPS_FAULT', 'other', { origin: 'client' })).toBe(error)
  })

  it('makes anything else the cause of a new one, and puts its reason behind the message', () => {
    const cause = new Error('disk on fire')
    const error = asXpsError(cause, 'XPS_READ', 'cannot read', { origin: 'client', retryable: true })
    expect(error).toMatchObject({ code: 'XPS_READ', origin: 'client', retryable: true })
    expect(error.message).toBe('cannot read: disk on fire')
    expect(error.cause).toBe(cause)
  })

  it('leaves the message alone when there is no reason', () => {
    expect(asXpsError(undefined, 'XPS_READ', 'cannot read').message).toBe('cannot read')
    expect(asXpsError(new Error(''), 'XPS_READ', 'cannot read').message).toBe('cannot read')
  })

  it('never takes a cause for its own that its options name', () => {
    const cause = new Error('thrown')
    expect(asXpsError(cause, 'XPS_READ', 'no', { cause: new Error('other') }).cause).toBe(cause)
  })
})

describe('reasonOf', () => {
  it.each([
    [undefined, ''],
    [null, ''],
    [new Error('why'), 'why'],
    ['why', 'why'],
    [42, '42'],
    [new AggregateError([new Error('one'), new Error('two')], ''), 'one, two'],
    [new AggregateError([new Error('one')], 'both failed'), 'both failed'],
  ])('of %o is %j', (value, reason) => {
    expect(reasonOf(value)).toBe(reason)
  })
})

describe('systemCode', () => {
  it.each([
    [Object.assign(new Error(''), { code: 'ECONNREFUSED' }), 'ECONNREFUSED'],
    [{ code: 'EPIPE' }, 'EPIPE'],
    [{ code: 7 }, undefined],
    [new Error('ENOENT'), undefined],
    ['ENOENT', undefined],
    [null, undefined],
    [undefined, undefined],
  ])('of %o is %j', (value, code) => {
    expect(systemCode(value)).toBe(code)
  })
})
