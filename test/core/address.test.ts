import { describe, expect, it } from 'vitest'
import { formatAddress, parseAddress } from '../../src/index.ts'

describe('parseAddress', () => {
  it.each([
    ['127.0.0.1:3000', { host: '127.0.0.1', port: 3000 }],
    ['localhost:80', { host: 'localhost', port: 80 }],
    ['[::1]:8001', { host: '::1', port: 8001 }],
    ['[fe80::1%eth0]:8001', { host: 'fe80::1%eth0', port: 8001 }],
    ['unix:/run/app.sock', { path: '/run/app.sock' }],
    ['/run/app.sock', { path: '/run/app.sock' }],
  ])('reads %s', (text, address) => {
    expect(parseAddress('address', text)).toEqual(address)
  })

  it('reads a port alone only where a host is given for it', () => {
    expect(parseAddress('address', '8001', '127.0.0.1')).toEqual({ host: '127.0.0.1', port: 8001 })
    expect(() => parseAddress('address', '8001')).toThrow("address must be an address such as '127.0.0.1:3000'")
  })

  it.each([
    '',
    ':',
    'a',
    'a:',
    ':80',
    'a:65536',
    'a:123456',
    'a:-1',
    'a:1.5',
    '::1:80',
    '[::1]',
    '[a]:80',
    'a b:80',
    'unix:',
  ])("refuses '%s'", (text) => {
    expect(() => parseAddress('address', text)).toThrow(expect.objectContaining({ code: 'XPS_INVALID_OPTION' }))
  })
})

describe('formatAddress', () => {
  it('writes what parseAddress reads', () => {
    for (const text of ['127.0.0.1:3000', '[::1]:8001', 'unix:/run/app.sock']) {
      expect(formatAddress(parseAddress('address', text))).toBe(text)
    }
  })
})
