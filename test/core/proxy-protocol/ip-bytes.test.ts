import { isIPv4, isIPv6, SocketAddress } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ipBytes, ipText } from '../../../src/core/proxy-protocol/ip-bytes.ts'

describe('ipBytes', () => {
  it.each([
    ['0.0.0.0', '00000000'],
    ['192.0.2.255', 'c00002ff'],
    ['::', '00000000000000000000000000000000'],
    ['::1', '00000000000000000000000000000001'],
    ['2001:db8::8:800:200C:417A', '20010db80000000000080800200c417a'],
    ['1:2:3:4:5:6:7::', '00010002000300040005000600070000'],
    ['::ffff:192.0.2.1', '00000000000000000000ffffc0000201'],
    ['64:ff9b::192.0.2.33', '0064ff9b0000000000000000c0000221'],
  ])('reads %s', (text, hex) => {
    expect(Buffer.from(ipBytes(text) ?? []).toString('hex')).toBe(hex)
  })

  it.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '1.2.3.256',
    '1.2.3.+4',
    '1.2.3.4 ',
    '0x1.2.3.4',
    '1..2.3',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '12345::',
    'g::',
    'fe80::1%eth0',
    '[::1]',
    '::1.2.3',
    '1.2.3.4::',
    '::1.2.3.4:5',
    '1:2:3:4:5:6:7:1.2.3.4',
    `${'0'.repeat(100)}::`,
  ])('refuses %j', (text) => {
    expect(ipBytes(text)).toBeUndefined()
  })

  it('agrees with Node on what is an address, and what it is called', () => {
    const part = fc.constantFrom(':', '::', '.', '0', '00', '1', 'a', 'F', 'ffff', '10000', '255', '256', '%', ' ')
    const near = fc.array(part, { maxLength: 17 }).map((parts) => parts.join(''))
    fc.assert(
      fc.property(fc.oneof(near, fc.ipV4(), fc.ipV6(), fc.ipV4Extended()), (text) => {
        // Node takes an interface behind an address; nobody else is asked about it.
        const valid = isIPv4(text) || (isIPv6(text) && !text.includes('%'))
        const bytes = ipBytes(text)
        expect(bytes !== undefined, text).toBe(valid)
        if (bytes === undefined) return
        const family = bytes.length === 4 ? 'ipv4' : 'ipv6'
        expect(ipBytes(ipText(bytes))).toEqual(bytes)
        // inet_ntop has a form of its own for what RFC 4291 has given up: an IPv4 address behind 96 zeros.
        if (bytes.length === 16 && bytes.subarray(0, 12).every((byte) => byte === 0)) return
        expect(ipText(bytes)).toBe(new SocketAddress({ address: text, family }).address)
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('ipText', () => {
  it.each([
    ['20010db8000000000001000000000001', '2001:db8::1:0:0:1'],
    ['20010db8000100000001000100010001', '2001:db8:1:0:1:1:1:1'],
    ['00010000000000000000000000000000', '1::'],
    ['00000000000000000000ffffc0000201', '::ffff:192.0.2.1'],
  ])('writes %s as %s', (hex, text) => {
    expect(ipText(Buffer.from(hex, 'hex'))).toBe(text)
  })
})
