import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DimeDecoder } from '../../../src/soap/framing/dime-decoder.ts'
import { dimeFlags, encodeDime, encodeDimeRecord } from '../../../src/soap/framing/dime-encoder.ts'
import { type Attachment, defaultFrameLimits } from '../../../src/soap/framing/framing.ts'
import { envelopeNamespaces } from '../../../src/soap/names.ts'
import { Rejection } from '../../../src/soap/rejection.ts'
import { Collector, feed, hex, refusal } from './collector.ts'

const { first, last, chunked } = dimeFlags
const soap11 = envelopeNamespaces['1.1']
const soap12 = envelopeNamespaces['1.2']

/** One record with a SOAP 1.2 message. */
const single = hex(`0e2000000000002700000005
  687474703a2f2f7777772e77332e6f72672f323030332f30352f736f61702d656e76656c6f706500 3c612f3e21000000`)
/** What WSE sends: the message in a first record, with an id of four zeros, and an empty record to end it. */
const pair = hex(`0c2000000004002900000004 00000000
  687474703a2f2f736368656d61732e786d6c736f61702e6f72672f736f61702f656e76656c6f70652f000000 3c612f3e
  0a4000000000000000000000`)
const chunks = hex(`0d2000000000002700000003
  687474703a2f2f7777772e77332e6f72672f323030332f30352f736f61702d656e76656c6f706500 3c613e00
  090000000000000000000002 68690000 0a0000000000000000000004 3c2f613e`)

function decoder(limits = defaultFrameLimits): { decoder: DimeDecoder; found: Collector } {
  const found = new Collector()
  return { decoder: new DimeDecoder(found, limits), found }
}

/** A record with a header of one's own making. */
function record(flags: number, format: number, lengths: [number, number, number, number], rest = ''): Buffer {
  const header = Buffer.alloc(12)
  header[0] = flags
  header[1] = format
  for (const [index, at] of [2, 4, 6].entries()) header.writeUInt16BE(lengths[index] as number, at)
  header.writeUInt32BE(lengths[3], 8)
  return Buffer.concat([header, Buffer.from(rest)])
}

describe('DIME, written', () => {
  it('is the known bytes for one record', () => {
    expect(encodeDime('1.2', '<a/>!').toString('hex')).toBe(single.toString('hex'))
  })

  it('is the known bytes for the two records of WSE, and for chunks', () => {
    const wse = [
      encodeDimeRecord({ flags: first, format: 'uri', type: soap11, id: Buffer.alloc(4), data: Buffer.from('<a/>') }),
      encodeDimeRecord({ flags: last, format: 'none' }),
    ]
    expect(Buffer.concat(wse).toString('hex')).toBe(pair.toString('hex'))
    const three = [
      encodeDimeRecord({ flags: first | chunked, format: 'uri', type: soap12, data: Buffer.from('<a>') }),
      encodeDimeRecord({ flags: chunked, format: 'unchanged', data: Buffer.from('hi') }),
      encodeDimeRecord({ flags: last, format: 'unchanged', data: Buffer.from('</a>') }),
    ]
    expect(Buffer.concat(three).toString('hex')).toBe(chunks.toString('hex'))
  })
})

describe('DIME, read', () => {
  it('finds one message in each of the known bytes', () => {
    for (const [bytes, text, version] of [
      [single, '<a/>!', '1.2'],
      [pair, '<a/>', '1.1'],
      [chunks, '<a>hi</a>', '1.2'],
    ] as const) {
      const { decoder: it, found } = decoder()
      feed(it, bytes)
      expect(found.messages).toEqual([{ version, text, attachments: [] }])
      expect(it.idle).toBe(true)
    }
  })

  it('finds the same however the bytes are cut', () => {
    const all = Buffer.concat([single, pair, chunks, single])
    for (let cut = 0; cut <= all.length; cut++) {
      const { decoder: it, found } = decoder()
      feed(it, all, [cut])
      expect(found.texts).toEqual(['<a/>!', '<a/>', '<a>hi</a>', '<a/>!'])
    }
    const { decoder: it, found } = decoder()
    feed(it, all, [...all.keys()])
    expect(found.texts).toEqual(['<a/>!', '<a/>', '<a>hi</a>', '<a/>!'])
  })

  it('takes no byte of the next message while it is held up', () => {
    const { decoder: it, found } = decoder()
    found.holds = true
    const all = Buffer.concat([pair, single])
    expect(it.decode(all)).toBe(pair.length)
    expect(found.texts).toEqual(['<a/>'])
    expect(it.decode(all.subarray(pair.length))).toBe(single.length)
    expect(found.texts).toEqual(['<a/>', '<a/>!'])
  })

  it('skips options', () => {
    const options = Buffer.from(single)
    options.writeUInt16BE(8, 2)
    const { decoder: it, found } = decoder()
    feed(it, Buffer.concat([options.subarray(0, 12), Buffer.alloc(8, 0xff), options.subarray(12)]))
    expect(found.texts).toEqual(['<a/>!'])
  })

  it('delivers attachments in their order, chunked ones whole', () => {
    const attachments: Attachment[] = [
      { id: 'urn:a', type: 'image/png', typeFormat: 'media-type', data: Buffer.from([1, 2, 3]) },
      { id: '', type: '', typeFormat: 'unknown', data: Buffer.alloc(0) },
      { id: 'urn:ü', type: 'urn:t', typeFormat: 'uri', data: Buffer.from('abcd') },
    ]
    const { decoder: it, found } = decoder()
    feed(it, encodeDime('1.1', '<é/>', attachments))
    expect(found.messages).toEqual([{ version: '1.1', text: '<é/>', attachments }])
    const parts = [
      encodeDimeRecord({ flags: first, format: 'uri', type: soap11, data: Buffer.from('<a/>') }),
      encodeDimeRecord({ flags: chunked, format: 'media-type', type: 'text/plain', data: Buffer.from('on') }),
      encodeDimeRecord({ flags: 0, format: 'unchanged', data: Buffer.from('e') }),
      encodeDimeRecord({ flags: last, format: 'none' }),
    ]
    feed(it, Buffer.concat(parts))
    expect(found.messages[1]?.attachments).toEqual([
      { id: '', type: 'text/plain', typeFormat: 'media-type', data: Buffer.from('one') },
    ])
  })

  it('joins characters that are cut between chunks', () => {
    const data = Buffer.from('<é€😀/>')
    for (let cut = 0; cut <= data.length; cut++) {
      const { decoder: it, found } = decoder()
      feed(
        it,
        Buffer.concat([
          encodeDimeRecord({ flags: first | chunked, format: 'uri', type: soap12, data: data.subarray(0, cut) }),
          encodeDimeRecord({ flags: last, format: 'unchanged', data: data.subarray(cut) }),
        ]),
      )
      expect(found.texts).toEqual(['<é€😀/>'])
    }
  })

  it.each([
    ['another version', record(0x16, 0x20, [0, 0, 0, 0])],
    ['a type format from 5 to 15', record(0x0e, 0x50, [0, 0, 0, 0])],
    ['a type format from 5 to 15, the last one', record(0x0e, 0xf0, [0, 0, 0, 0])],
    ['reserved bits', record(0x0e, 0x21, [0, 0, 0, 0])],
    ['an unchanged type that continues nothing', record(0x0e, 0x00, [0, 0, 0, 4], '<a/>')],
    ['a record of no type with data', Buffer.concat([pair.subarray(0, -12), record(0x0a, 0x40, [0, 0, 0, 4])])],
    ['a record of no type with a name', Buffer.concat([pair.subarray(0, -12), record(0x0a, 0x40, [0, 0, 4, 0])])],
    ['a message that is nothing but a record of no type', record(0x0e, 0x40, [0, 0, 0, 0])],
    ['a type of unknown format', record(0x0e, 0x30, [0, 0, 4, 0])],
    ['a message that does not begin', record(0x0a, 0x20, [0, 0, 0, 0])],
    ['a message that begins twice', Buffer.concat([pair.subarray(0, -12), single])],
    ['a last record that goes on', record(0x0f, 0x20, [0, 0, 0, 4])],
    ['a chunk with a type', Buffer.concat([chunks.subarray(0, 56), record(0x09, 0x20, [0, 0, 4, 0])])],
    ['a chunk with an id', Buffer.concat([chunks.subarray(0, 56), record(0x09, 0x00, [0, 4, 0, 0])])],
    ['a new record within a chunked one', Buffer.concat([chunks.subarray(0, 56), record(0x0a, 0x10, [0, 0, 0, 0])])],
  ])('refuses %s', (_what, bytes) => {
    expect(refusal(decoder().decoder, bytes)).toBe('framing')
  })

  it.each([
    ['a record of 4 GB', record(0x0e, 0x20, [0, 0, 0, 0xffffffff])],
    ['one byte more than is allowed', record(0x0e, 0x20, [0, 0, 0, 4 * 1024 * 1024 + 1])],
    ['a long id', record(0x0e, 0x20, [0, 1025, 0, 0])],
    ['a long type', record(0x0e, 0x20, [0, 0, 1025, 0])],
  ])('refuses %s, from the header and before anything is kept', (_what, bytes) => {
    const before = process.memoryUsage().arrayBuffers
    expect(refusal(decoder().decoder, bytes)).toBe('too-large')
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1024 * 1024)
  })

  it('takes a message of all the bytes that are allowed, in chunks or not, and counts chunks together', () => {
    const limits = { messageBytes: 8, attachments: 1 }
    const of = (...sizes: number[]): Buffer =>
      Buffer.concat(
        sizes.map((size, index) =>
          encodeDimeRecord({
            flags: (index === 0 ? first : 0) | (index === sizes.length - 1 ? last : chunked),
            format: index === 0 ? 'uri' : 'unchanged',
            data: Buffer.alloc(size, 0x20),
          }),
        ),
      )
    for (const sizes of [[8], [4, 4], [0, 8]]) expect(refusal(decoder(limits).decoder, of(...sizes))).toBeUndefined()
    for (const sizes of [[9], [4, 5], [8, 1]]) expect(refusal(decoder(limits).decoder, of(...sizes))).toBe('too-large')
    const attachment = { id: '', type: 'a/b', data: Buffer.from('x') }
    expect(refusal(decoder(limits).decoder, encodeDime('1.1', '<a/>', [attachment]))).toBeUndefined()
    expect(refusal(decoder(limits).decoder, encodeDime('1.1', '<a/>', [attachment, attachment]))).toBe('too-large')
  })

  it('refuses chunks and options without end', () => {
    const empty = encodeDimeRecord({ flags: chunked, format: 'unchanged' })
    const begin = encodeDimeRecord({ flags: first | chunked, format: 'uri' })
    expect(refusal(decoder().decoder, Buffer.concat([begin, ...new Array(5_000).fill(empty)]))).toBe('too-large')
    const options = Buffer.concat([record(0x09, 0x00, [40_000, 0, 0, 0]), Buffer.alloc(40_000)])
    expect(refusal(decoder().decoder, Buffer.concat([begin, options, options]))).toBe('too-large')
  })

  it('reads back whatever was written, however it is cut', () => {
    const attachment = fc.record({
      id: fc.string({ maxLength: 12 }),
      type: fc.constantFrom('', 'text/plain', 'a/b'),
      data: fc.uint8Array({ maxLength: 40 }),
    })
    const message = fc.tuple(
      fc.constantFrom('1.1' as const, '1.2' as const),
      fc.string({ maxLength: 60, unit: 'grapheme' }),
      fc.array(attachment, { maxLength: 3 }),
    )
    fc.assert(
      fc.property(fc.array(message, { maxLength: 4 }), fc.array(fc.nat(2_000), { maxLength: 8 }), (messages, cuts) => {
        const { decoder: it, found } = decoder()
        feed(it, Buffer.concat(messages.map((one) => encodeDime(...one))), cuts)
        expect(
          found.messages.map(({ version, text, attachments }) => [
            version,
            text,
            attachments.map(({ id, type, data }) => ({ id, type, data: [...data] })),
          ]),
        ).toEqual(
          messages.map(([version, text, attachments]) => [
            version,
            text.replace(/^\ufeff/, ''),
            attachments.map(({ id, type, data }) => ({ id, type, data: [...data] })),
          ]),
        )
      }),
      { numRuns: 200 },
    )
  })

  it('refuses or reads any bytes at all, and in the same way however they are cut', () => {
    const mutated = fc
      .tuple(
        fc.constantFrom(single, pair, chunks),
        fc.array(fc.tuple(fc.nat(90), fc.nat(255)), { minLength: 1, maxLength: 3 }),
      )
      .map(([bytes, changes]) => {
        const copy = Buffer.concat([bytes, single])
        for (const [at, value] of changes) copy[at % copy.length] = value
        return copy
      })
    const outcome = (bytes: Buffer, cuts: number[]): unknown => {
      const { decoder: it, found } = decoder({ messageBytes: 1_000, attachments: 2 })
      try {
        feed(it, bytes, cuts)
        return found.texts
      } catch (error) {
        if (!(error instanceof Rejection)) throw error
        return [...found.texts, error.message]
      }
    }
    fc.assert(
      fc.property(
        fc.oneof(
          mutated,
          fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
        ),
        fc.array(fc.nat(200), { maxLength: 6 }),
        (bytes, cuts) => {
          expect(outcome(bytes, cuts)).toEqual(outcome(bytes, []))
        },
      ),
      { numRuns: 400 },
    )
  })
})
