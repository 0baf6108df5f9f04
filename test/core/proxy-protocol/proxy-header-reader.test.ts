import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { crc32c } from '../../../src/core/proxy-protocol/crc32c.ts'
import { ProxyHeaderReader } from '../../../src/core/proxy-protocol/proxy-header-reader.ts'
import { isXpsError } from '../../../src/index.ts'
import { binary, hex, read, tlv } from './headers.ts'

const ends4 = 'c0000201 c6336402 dc04 01bb'
const ends6 = '20010db8000000000000000000000001 20010db8000000000000000000000002 dc04 01bb'
const wide = 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'
const path = (text: string): string => Buffer.from(text).toString('hex').padEnd(216, '0')
const from4 = { source: { host: '192.0.2.1', port: 56324 }, destination: { host: '198.51.100.2', port: 443 } }
const from6 = { source: { host: '2001:db8::1', port: 56324 }, destination: { host: '2001:db8::2', port: 443 } }
const unknown = { source: undefined, destination: undefined }

const good: [string, Buffer, object][] = [
  ['TCP4', Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n'), { version: 1, ...from4 }],
  ['TCP6', Buffer.from('PROXY TCP6 2001:DB8::1 2001:db8:0::2 56324 443\r\n'), { version: 1, ...from6 }],
  [
    'TCP6 with IPv4 addresses in it',
    Buffer.from('PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c633:6402 0 65535\r\n'),
    { source: { host: '::ffff:192.0.2.1', port: 0 }, destination: { host: '::ffff:198.51.100.2', port: 65535 } },
  ],
  ['UNKNOWN', Buffer.from('PROXY UNKNOWN\r\n'), { version: 1, local: false, ...unknown }],
  ['UNKNOWN with something', Buffer.from(`PROXY UNKNOWN ${wide} ${wide} 65535 65535\r\n`), { version: 1, ...unknown }],
  ['version 2, TCP4', binary('2111', ends4), { version: 2, local: false, ...from4, tlvs: [] }],
  ['version 2, TCP6', binary('2121', ends6), { version: 2, ...from6, tlvs: [] }],
  [
    'version 2, UNIX',
    binary('2131', path('/run/a') + path('\0abstract')),
    { source: { path: '/run/a' }, destination: { path: '\0abstract' } },
  ],
  [
    'version 2, UNIX with a name as long as may be, and none',
    binary('2131', path('/'.padEnd(108, 'x')) + path('')),
    { source: { path: '/'.padEnd(108, 'x') }, destination: undefined },
  ],
  ['LOCAL', binary('2000'), { version: 2, local: true, ...unknown, tlvs: [] }],
  ['LOCAL with addresses (28 bytes)', binary('2011', ends4), { local: true, ...unknown }],
  ['LOCAL with nonsense', binary('20ff', 'ffffffff'), { local: true, ...unknown, tlvs: [] }],
  ['PROXY of nobody (16 bytes)', binary('2100'), { local: false, ...unknown, tlvs: [] }],
  ['PROXY of nobody, with something', binary('2100', '01ffff'), { local: false, ...unknown, tlvs: [] }],
  ['datagrams', binary('2112', ends4), { local: false, ...unknown, tlvs: [] }],
  ['a family without a transport', binary('2110', ends4), { local: false, ...unknown }],
  [
    'TLVs',
    binary(
      '2111',
      ends4 + tlv('02', 'xps.example') + tlv('04', 'pad') + tlv('ea', 'own') + tlv('ea', '') + tlv('77', '?'),
    ),
    { ...from4, tlvs: ['2:xps.example', '4:pad', 'ea:own', 'ea:', '77:?'] },
  ],
]

const bad: [string, Buffer][] = [
  ['a request', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ['TLS', hex('160301')],
  ['another word', Buffer.from('PROXI TCP4 1.1.1.1 2.2.2.2 1 2\r\n')],
  ['a small letter', Buffer.from('proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n')],
  ['a preface of HTTP/2', Buffer.from('PRI * HTTP/2.0\r\n\r\n')],
  ['a tab', Buffer.from('PROXY\tTCP4 1.1.1.1 2.2.2.2 1 2\r\n')],
  ['no family', Buffer.from('PROXY \r\n')],
  ['UDP4', Buffer.from('PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n')],
  ['UNKNOWN and no blank', Buffer.from('PROXY UNKNOWN1\r\n')],
  ['two blanks', Buffer.from('PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n')],
  ['a blank at the end', Buffer.from('PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n')],
  ['too few parts', Buffer.from('PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n')],
  ['too many parts', Buffer.from('PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n')],
  ['a leading zero in an address', Buffer.from('PROXY TCP4 1.1.1.01 2.2.2.2 1 2\r\n')],
  ['a number above 255', Buffer.from('PROXY TCP4 1.1.1.256 2.2.2.2 1 2\r\n')],
  ['IPv6 in TCP4', Buffer.from('PROXY TCP4 ::1 2.2.2.2 1 2\r\n')],
  ['IPv4 in TCP6', Buffer.from('PROXY TCP6 ::1 2.2.2.2 1 2\r\n')],
  ['an interface', Buffer.from('PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n')],
  ['a port of 65536', Buffer.from('PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n')],
  ['a leading zero in a port', Buffer.from('PROXY TCP4 1.1.1.1 2.2.2.2 1 02\r\n')],
  ['a sign in a port', Buffer.from('PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n')],
  ['no port', Buffer.from('PROXY TCP4 1.1.1.1 2.2.2.2 1 \r\n')],
  ['LF alone', Buffer.from('PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n')],
  ['CR alone', Buffer.from('PROXY TCP4 1.1.1.1 2.2.2.2 1 2\rX')],
  ['CR CR LF', Buffer.from('PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\r\n')],
  ['a line of 108 bytes', Buffer.from(`${'PROXY UNKNOWN '.padEnd(106, 'x')}\r\n`)],
  ['a line without an end', Buffer.from('PROXY UNKNOWN '.padEnd(108, 'x'))],
  ['another signature', hex('0d0a0d0a000d0a515549540b 21 11 000c')],
  ['version 1 in version 2', binary('1111', ends4)],
  ['version 3', binary('3111', ends4)],
  ['an unknown command', binary('2211', ends4)],
  ['an unknown family', binary('2141', ends4)],
  ['an unknown transport', binary('2113', ends4)],
  ['addresses that are too short', binary('2111', ends4.slice(0, -2))],
  ['addresses of the other family', binary('2121', ends4)],
  ['paths that are too short', binary('2131', path('/a').repeat(2).slice(2))],
  ['half of a TLV', binary('2111', `${ends4}0100`)],
  ['a TLV that is longer than the header', binary('2111', `${ends4}01000568`)],
  ['a checksum that is wrong', binary('2111', ends4 + tlv('03', 'abcd'))],
  ['a checksum of three bytes', binary('2111', ends4 + tlv('03', 'abc'))],
  ['two hosts', binary('2111', ends4 + tlv('02', 'a') + tlv('02', 'a'))],
  ['a host that is no text', binary('2111', ends4 + tlv('02', hex('ff')))],
  ['a unique id of 129 bytes', binary('2111', ends4 + tlv('05', 'x'.repeat(129)))],
  ['TLS of four bytes', binary('2111', ends4 + tlv('20', hex('01000000')))],
  ['TLS with half of a TLV', binary('2111', ends4 + tlv('20', hex('0100000000 2100')))],
  ['TLS with two versions', binary('2111', ends4 + tlv('20', hex(`0100000000 ${tlv('21', 'a')}${tlv('21', 'a')}`)))],
]

const refused = (pieces: readonly Uint8Array[]): string => {
  try {
    read(pieces)
  } catch (error) {
    if (isXpsError(error, 'XPS_BAD_PROXY_HEADER')) return error.message
    throw error
  }
  return ''
}
const bytewise = (bytes: Uint8Array): Uint8Array[] => [...bytes].map((byte) => Uint8Array.of(byte))

describe('ProxyHeaderReader', () => {
  it.each(good)('reads %s: whole, split at every byte and byte by byte', (_name, header, expected) => {
    for (const rest of ['', 'GET / HTTP/1.1\r\n', 'PROXY UNKNOWN\r\n']) {
      const bytes = Buffer.concat([header, Buffer.from(rest)])
      const ways = [[bytes], bytewise(bytes)]
      for (let at = 1; at < bytes.length; at++) ways.push([bytes.subarray(0, at), bytes.subarray(at)])
      for (const pieces of ways) {
        const result = read(pieces)
        expect(result.said).toMatchObject(expected)
        expect(result.rest.toString('latin1')).toBe(rest)
      }
    }
  })

  it.each(good)('does not take a part of %s for the whole', (_name, header) => {
    for (let length = 0; length < header.length; length++) {
      expect(read([header.subarray(0, length)]), `${length}`).toEqual({ said: undefined, rest: Buffer.alloc(0) })
    }
  })

  it.each(bad)('refuses %s: whole, split at every byte and byte by byte', (_name, bytes) => {
    const message = refused([bytes])
    expect(message).toMatch(/^the PROXY header is not one: /)
    expect(refused(bytewise(bytes))).toBe(message)
    for (let at = 1; at < bytes.length; at++) expect(refused([bytes.subarray(0, at), bytes.subarray(at)])).toBe(message)
  })

  it.each([
    ['GET', 1],
    ['PROXX', 5],
    ['PROXY TCP4\n', 11],
    ['PROXY TCP4\r\t', 12],
    ['\r\n\r\n\0\r\nQUIT\r', 12],
    ['\r\n\r\n\0\r\nQUIT\n\x31', 13],
    ['\r\n\r\n\0\r\nQUIT\n\x21\x41', 14],
  ])('refuses %j at byte %i, and does not wait for more', (text, at) => {
    const bytes = Buffer.from(text, 'latin1')
    expect(refused([bytes.subarray(0, at - 1)])).toBe('')
    expect(refused([bytes.subarray(0, at)])).not.toBe('')
  })

  it('takes headers of version 2 up to the length that it was given, and refuses a longer one by its first 16 bytes', () => {
    const header = binary('2111', ends4 + tlv('e0', 'x'.repeat(100)))
    expect(read([header], header.length).said).toMatchObject(from4)
    expect(() => read([header.subarray(0, 16)], header.length - 1)).toThrow(
      `it is longer than ${header.length - 1} bytes (${header.length})`,
    )
    expect(refused([binary('2111', '', 65_535)])).toContain('longer than 4096 bytes')
  })

  it('checks the checksum, wherever in the header it is', () => {
    for (const [before, behind] of [
      ['', ''],
      [tlv('02', 'host'), tlv('ea', 'x')],
    ] as const) {
      const header = binary('2111', ends4 + before + tlv('03', Buffer.alloc(4)) + behind)
      const at = 16 + 12 + hex(before).length + 3
      header.writeUInt32BE(crc32c(header), at)
      expect(read([header]).said).toMatchObject(from4)
      for (let index = 16; index < header.length; index++) {
        const changed = Buffer.from(header)
        changed[index] = (changed[index] as number) ^ 1
        expect(refused([changed]), `byte ${index}`).not.toBe('')
      }
    }
  })

  it('tells what the values mean', () => {
    const tls = `0500000000${tlv('21', 'TLSv1.3')}${tlv('22', 'käfer')}${tlv('23', 'TLS_AES_256_GCM_SHA384')}`
    const more = tlv('24', 'RSA-SHA256') + tlv('25', 'RSA2048') + tlv('2f', 'later')
    const reader = new ProxyHeaderReader()
    const values = [
      tlv('01', 'h2'),
      tlv('02', 'xps.example'),
      tlv('05', hex('00ff')),
      tlv('20', hex(tls + more)),
      tlv('30', 'blue'),
    ]
    reader.read(binary('2111', ends4 + values.join('')))
    expect(reader.header).toMatchObject({ alpn: 'h2', authority: 'xps.example', netns: 'blue' })
    expect(Buffer.from(reader.header?.uniqueId ?? []).toString('hex')).toBe('00ff')
    expect(reader.header?.tls).toEqual({
      version: 'TLSv1.3',
      cipher: 'TLS_AES_256_GCM_SHA384',
      commonName: 'käfer',
      signatureAlgorithm: 'RSA-SHA256',
      keyAlgorithm: 'RSA2048',
      certificate: 'session',
      verified: true,
    })
  })

  it.each([
    ['0000000000', undefined],
    ['0100000000', { certificate: undefined, verified: false }],
    ['0700000000', { certificate: 'connection', verified: true }],
    ['0300000001', { certificate: 'connection', verified: false }],
  ])('believes in a certificate only if there was one, and it was found good: %s', (value, expected) => {
    const reader = new ProxyHeaderReader()
    reader.read(binary('2111', ends4 + tlv('20', hex(value))))
    const tls = reader.header?.tls
    if (expected === undefined) expect(tls).toBeUndefined()
    else expect(tls).toMatchObject(expected)
  })

  it('says nothing of what was not said', () => {
    const reader = new ProxyHeaderReader()
    reader.read(Buffer.from('PROXY UNKNOWN\r\n'))
    const { alpn, authority, uniqueId, tls, netns } = reader.header ?? {}
    expect([alpn, authority, uniqueId, tls, netns]).toEqual([undefined, undefined, undefined, undefined, undefined])
  })

  it('reads the same of any bytes in any pieces, or refuses them in any, and takes nothing that is not the header', () => {
    const likely = fc.constantFrom(...good.map(([, bytes]) => bytes), ...bad.map(([, bytes]) => bytes))
    const changed = fc
      .tuple(likely, fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { maxLength: 3 }), fc.uint8Array({ maxLength: 9 }))
      .map(([bytes, changes, more]) => {
        const all = Buffer.concat([bytes, more])
        for (const [at, value] of changes) all[at % all.length] = value
        return all
      })
    const cuts = fc.array(fc.nat(300), { maxLength: 6 })
    fc.assert(
      fc.property(fc.oneof(changed, fc.uint8Array({ maxLength: 200 })), cuts, (bytes, at) => {
        const edges = [0, ...at.map((one) => one % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
        const pieces = edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge))
        expect(outcome(pieces)).toEqual(outcome([bytes]))
      }),
      { numRuns: 3_000 },
    )
  })
})

function outcome(pieces: readonly Uint8Array[]): unknown {
  const message = refused(pieces)
  return message === '' ? read(pieces) : message
}
