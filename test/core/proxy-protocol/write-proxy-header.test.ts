import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { crc32c } from '../../../src/core/proxy-protocol/crc32c.ts'
import { ipBytes, ipText } from '../../../src/core/proxy-protocol/ip-bytes.ts'
import { ProxyHeaderReader } from '../../../src/core/proxy-protocol/proxy-header-reader.ts'
import { readTls, writeTls } from '../../../src/core/proxy-protocol/tlv.ts'
import { writeProxyHeader } from '../../../src/core/proxy-protocol/write-proxy-header.ts'
import { binary, hex, read, tlv } from './headers.ts'

const client4 = { host: '192.0.2.1', port: 56324 }
const here4 = { host: '198.51.100.2', port: 443 }
const client6 = { host: '2001:db8::1', port: 56324 }
const from = (source: object | undefined, destination: object | undefined, tlvs: object[] = []) =>
  ({ source, destination, tlvs }) as never

describe('writeProxyHeader', () => {
  it.each([
    ['IPv4', from(client4, here4), 'TCP4 192.0.2.1 198.51.100.2 56324 443'],
    ['IPv6', from(client6, { host: '::', port: 1 }), 'TCP6 2001:db8::1 :: 56324 1'],
    ['one of each', from(client6, here4), 'TCP6 2001:db8::1 ::ffff:198.51.100.2 56324 443'],
    [
      'IPv4 as a dual-stack socket has it',
      from({ ...client4, host: '::ffff:192.0.2.1' }, here4),
      'TCP4 192.0.2.1 198.51.100.2 56324 443',
    ],
    ['an interface', from({ host: 'fe80::1%eth0', port: 1 }, client6), 'TCP6 fe80::1 2001:db8::1 1 56324'],
    ['a Unix-domain socket', from({ path: '/run/a' }, { path: '/run/b' }), 'UNKNOWN'],
    ['a client that is not known', from(undefined, here4), 'UNKNOWN'],
    ['nobody', undefined, 'UNKNOWN'],
  ])('writes version 1 for %s', (_name, source, line) => {
    expect(writeProxyHeader(source, { version: 1 }).toString()).toBe(`PROXY ${line}\r\n`)
  })

  it.each([
    ['IPv4', from(client4, here4), binary('2111', 'c0000201 c6336402 dc04 01bb')],
    [
      'one of each',
      from(client6, here4),
      binary('2121', '20010db8000000000000000000000001 00000000000000000000ffffc6336402 dc04 01bb'),
    ],
    [
      'a Unix-domain socket',
      from({ path: '/a' }, { path: '\0b' }),
      binary('2131', '2f61'.padEnd(216, '0') + '0062'.padEnd(216, '0')),
    ],
    ['a path that is too long', from({ path: 'x'.repeat(109) }, undefined), binary('2000')],
    ['a client that is not known', from(undefined, undefined), binary('2000')],
    ['a client of another kind', from({ host: 'localhost', port: 1 }, here4), binary('2000')],
    ['nobody', undefined, binary('2000')],
    [
      'values, but for padding and the checksum of another header',
      from(client4, here4, [
        { type: 4, value: hex('00') },
        { type: 2, value: Buffer.from('host') },
        { type: 3, value: hex('01020304') },
        { type: 0xea, value: hex('') },
      ]),
      binary('2111', `c0000201 c6336402 dc04 01bb ${tlv('02', 'host')}${tlv('ea', '')}`),
    ],
  ])('writes version 2 for %s', (_name, source, expected) => {
    expect(writeProxyHeader(source, { version: 2 }).toString('hex')).toBe(expected.toString('hex'))
  })

  it('adds a checksum', () => {
    const header = writeProxyHeader(from(client4, here4, [{ type: 2, value: hex('61') }]), {
      version: 2,
      checksum: true,
    })
    const zeroed = Buffer.from(header).fill(0, header.length - 4)
    expect(header.readUInt32BE(header.length - 4)).toBe(crc32c(zeroed))
    expect(read([header]).said).toMatchObject({ source: client4 })
  })

  it('leaves out what it has no room for, and never writes a length that is not so', () => {
    const big = (type: number, length: number) => ({ type, value: new Uint8Array(length) })
    const header = writeProxyHeader(from(client4, here4, [big(0xe0, 40_000), big(0xe1, 40_000), big(0xe2, 25_510)]), {
      version: 2,
      checksum: true,
    })
    expect(header.length).toBe(16 + 65_535)
    expect(read([header], 70_000).said?.tlvs.map((one) => one.slice(0, 2))).toEqual(['e0', 'e2', '3:'])
  })

  it('writes what a reader reads', () => {
    const port = fc.nat(65_535)
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    )
    const end = fc.record({ host: bytes.map(ipText), port })
    const value = fc.record({ type: fc.integer({ min: 0xe0, max: 0xef }), value: fc.uint8Array({ maxLength: 20 }) })
    const source = fc.record({ source: end, destination: end, tlvs: fc.array(value, { maxLength: 4 }) })
    fc.assert(
      fc.property(source, fc.constantFrom(1 as const, 2 as const), fc.boolean(), (given, version, checksum) => {
        const reader = new ProxyHeaderReader()
        const header = writeProxyHeader(given, { version, checksum })
        expect(reader.read(header)).toBe(header.length)
        const { source: client, destination, tlvs } = reader.header ?? ({} as never)
        expect([plain(client), plain(destination)]).toEqual([plain(given.source), plain(given.destination)])
        const own = tlvs.filter((one) => one.type !== 3)
        expect(own.map((one) => [one.type, ...one.value])).toEqual(
          version === 1 ? [] : given.tlvs.map((one) => [one.type, ...one.value]),
        )
      }),
      { numRuns: 500 },
    )
  })
})

describe('crc32c', () => {
  it.each([
    ['', 0],
    ['123456789', 0xe3069283],
  ])('of %j is what the specification of it says', (text, sum) => {
    expect(crc32c(Buffer.from(text))).toBe(sum)
    expect(crc32c(...[...text].map((one) => Buffer.from(one)))).toBe(sum)
  })
})

describe('writeTls', () => {
  it.each([
    [{ verified: false }],
    [{ version: 'TLSv1.3', cipher: 'x', certificate: 'connection' as const, commonName: 'ü', verified: true }],
    [{ certificate: 'session' as const, verified: false, signatureAlgorithm: 'RSA-SHA256', keyAlgorithm: 'RSA2048' }],
  ])('writes what readTls reads: %o', (tls) => {
    expect(readTls(writeTls(tls))).toEqual({ ...unsaid, ...tls })
  })
})

const unsaid = {
  version: undefined,
  cipher: undefined,
  commonName: undefined,
  signatureAlgorithm: undefined,
  keyAlgorithm: undefined,
  certificate: undefined,
}

/** An end, with an IPv4 address in its IPv6 form for what it is. */
function plain(end: unknown): unknown {
  const { host, port } = end as { host: string; port: number }
  const bytes = ipBytes(host) as Uint8Array
  return { host: ipText(host.startsWith('::ffff:') ? bytes.subarray(12) : bytes), port }
}
