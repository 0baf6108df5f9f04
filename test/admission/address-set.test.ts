import { BlockList, isIP } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AddressSet } from '../../src/admission/address-set.ts'

describe('AddressSet', () => {
  it('has single addresses and networks of both families', () => {
    const set = new AddressSet('trusted', ['192.0.2.1', '10.0.0.0/8', '2001:db8::/32', '::1'])
    for (const address of ['192.0.2.1', '10.255.0.1', '2001:db8:1::2', '::1', '0:0:0:0:0:0:0:1']) {
      expect(set.has(address), address).toBe(true)
    }
    for (const address of ['192.0.2.2', '11.0.0.1', '2001:db9::1', '::2', 'nonsense', '10.0.0', '10.0.0.1:80', '']) {
      expect(set.has(address), address).toBe(false)
    }
  })

  it('takes an IPv4 address in its IPv6 form for what it is, in questions and in entries', () => {
    const set = new AddressSet('trusted', ['192.0.2.1', '::ffff:10.0.0.0/104'])
    expect(set.has('::ffff:192.0.2.1')).toBe(true)
    expect(set.has('::ffff:c000:201')).toBe(true)
    expect(set.has('10.1.2.3')).toBe(true)
    expect(set.has('::ffff:10.1.2.3')).toBe(true)
    expect(set.has('11.1.2.3')).toBe(false)
  })

  it('knows names for networks', () => {
    const loopback = new AddressSet('trusted', ['loopback'])
    expect([loopback.has('127.9.9.9'), loopback.has('::1'), loopback.has('10.0.0.1')]).toEqual([true, true, false])
    const own = new AddressSet('trusted', ['private'])
    for (const address of ['127.0.0.1', '10.0.0.1', '172.31.0.1', '192.168.1.1', 'fd00::1', '::1']) {
      expect(own.has(address), address).toBe(true)
    }
    expect([own.has('172.32.0.1'), own.has('2001:db8::1'), own.has('')]).toEqual([false, false, false])
    expect(new AddressSet('trusted', ['unix']).has(undefined)).toBe(true)
  })

  it('ignores the interface of a link-local address', () => {
    expect(new AddressSet('trusted', ['fe80::/10']).has('fe80::1%eth0')).toBe(true)
  })

  it('takes a list of Node as it is, also what is added to it later', () => {
    const list = new BlockList()
    const set = new AddressSet('trusted', list)
    expect(set.has('192.0.2.1')).toBe(false)
    list.addAddress('192.0.2.1')
    expect(set.has('192.0.2.1')).toBe(true)
  })

  it.each([
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0/8',
    '::1/129',
    'everybody',
    '10.0.0.1:80',
    '::ffff:10.0.0.0/8',
    '',
    7,
  ])('refuses %j', (entry) => {
    expect(() => new AddressSet('trusted', [entry as string])).toThrow(/^trusted must be made of addresses/)
  })

  it('refuses what is no list', () => {
    expect(() => new AddressSet('trusted', 'private' as never)).toThrow('trusted must be a list of addresses')
  })

  it('remembers a bounded number of addresses, and answers the same afterwards', () => {
    const set = new AddressSet('trusted', ['10.0.0.0/9'])
    for (let round = 0; round < 2; round++) {
      for (let index = 0; index < 3_000; index++) {
        const address = `10.${index % 256}.${index >> 8}.1`
        expect(set.has(address)).toBe(index % 256 < 128)
      }
    }
  })

  it('agrees with arithmetic on every network and address', () => {
    const address = fc.integer({ min: 0, max: 2 ** 32 - 1 })
    fc.assert(
      fc.property(address, fc.integer({ min: 0, max: 32 }), address, fc.boolean(), (base, bits, asked, near) => {
        const other = near && bits > 0 ? (base ^ (1 << (32 - bits))) >>> 0 : asked
        const set = new AddressSet('trusted', [`${dotted(base)}/${bits}`])
        const mask = bits === 0 ? 0 : -1 << (32 - bits)
        expect(set.has(dotted(other))).toBe((base & mask) === (other & mask))
        expect(set.has(`::ffff:${dotted(other)}`)).toBe((base & mask) === (other & mask))
      }),
      { numRuns: 500 },
    )
  })
})

function dotted(address: number): string {
  const text = [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.')
  expect(isIP(text)).toBe(4)
  return text
}
