import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ChunkedDecoder } from '../../../src/http/http1/chunked-decoder.ts'
import { defaultHeadLimits, incomplete } from '../../../src/http/http1/head-reader.ts'
import { RequestReader } from '../../../src/http/http1/request-reader.ts'
import { cutAt, type FieldList, lines, readRequests, readResponses } from './support.ts'

const token = fc.string({
  unit: fc.constantFrom(..."!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
  minLength: 1,
  maxLength: 12,
})
const char = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0x21, max: 0x7e }) },
  { weight: 1, arbitrary: fc.integer({ min: 0x80, max: 0xff }) },
  { weight: 1, arbitrary: fc.constantFrom(0x20, 0x09) },
)
const value = fc
  .array(char, { maxLength: 20 })
  .map((codes) => String.fromCharCode(...codes).replace(/^[\t ]+|[\t ]+$/g, ''))
const meant = /^(?:content-length|transfer-encoding|host|connection|upgrade|expect)$/i
const field = fc.tuple(
  token.filter((name) => !meant.test(name)),
  value,
)
const fields = fc.array(field, { maxLength: 12 })
const blanks = fc.constantFrom('', ' ', '\t', '  ', ' \t ')
const body = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1'))
const cuts = fc.array(fc.nat(1_500), { maxLength: 8 })

const word = fc.string({ unit: fc.constantFrom(...'abcXYZ019-_.~'), minLength: 1, maxLength: 6 })
const quoted = fc
  .array(fc.constantFrom('a', ' ', ';', '=', '\\"', '\\\\', '\xe4', ','), { maxLength: 6 })
  .map((parts) => `"${parts.join('')}"`)
const extension = fc
  .tuple(word, fc.option(fc.oneof(word, quoted), { nil: undefined }))
  .map(([name, given]) => (given === undefined ? `;${name}` : `;${name}=${given}`))

interface Chunking {
  readonly sizes: readonly number[]
  readonly extensions: readonly string[]
  readonly zeros: number
  readonly upper: boolean
}
const chunking: fc.Arbitrary<Chunking> = fc.record({
  sizes: fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 6 }),
  extensions: fc.array(
    fc.array(extension, { maxLength: 3 }).map((all) => all.join('')),
    { minLength: 1, maxLength: 3 },
  ),
  zeros: fc.nat(3),
  upper: fc.boolean(),
})

/** A body in chunks of these sizes, over and over. */
function inChunks(text: string, { sizes, extensions, zeros, upper }: Chunking, trailers: FieldList): string {
  let out = ''
  let count = 0
  const line = (size: number): string => {
    const digits = '0'.repeat(zeros) + size.toString(16)
    return `${upper ? digits.toUpperCase() : digits}${extensions[count++ % extensions.length]}\r\n`
  }
  for (let at = 0; at < text.length; ) {
    const piece = text.slice(at, at + (sizes[count % sizes.length] as number))
    out += `${line(piece.length)}${piece}\r\n`
    at += piece.length
  }
  return `${out}${line(0)}${lines(trailers)}\r\n`
}

interface Message {
  readonly fields: FieldList
  readonly blanks: string
  readonly body: string
  readonly chunking: Chunking | undefined
  readonly trailers: FieldList
}
const message: fc.Arbitrary<Message> = fc.record({
  fields,
  blanks,
  body,
  chunking: fc.option(chunking, { nil: undefined }),
  trailers: fields,
})

function serialised(start: string, own: FieldList, { fields, blanks, body, chunking, trailers }: Message): string {
  const framing = chunking === undefined ? `Content-Length: ${body.length}\r\n` : 'Transfer-Encoding: chunked\r\n'
  const mine = fields.map(([name, text]) => `${name}:${blanks}${text}${blanks}\r\n`).join('')
  const framed = chunking === undefined ? body : inChunks(body, chunking, trailers)
  return `${start}\r\n${lines(own)}${mine}${framing}\r\n${framed}`
}

function expected({ fields, body, chunking, trailers }: Message, own: FieldList): object {
  const framing: FieldList =
    chunking === undefined ? [['Content-Length', String(body.length)]] : [['Transfer-Encoding', 'chunked']]
  return { fields: [...own, ...fields, ...framing], body, trailers: chunking === undefined ? [] : trailers }
}

const host: FieldList = [['Host', 'a.test']]

describe('Messages, with any fields and body, in any chunks, cut in any way, are read as they were meant:', () => {
  it('requests, one behind the other', () => {
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 3 }), cuts, (messages, at) => {
        const bytes = Buffer.from(
          messages.map((one, index) => serialised(`PUT /${index} HTTP/1.1`, host, one)).join(''),
          'latin1',
        )
        const reading = readRequests(cutAt(bytes, at))
        expect(reading.error).toBeUndefined()
        expect(reading.messages).toMatchObject(
          messages.map((one, index) => ({ method: 'PUT', target: `/${index}`, ...expected(one, host) })),
        )
        expect(reading.messages.length).toBe(messages.length)
        expect(reading.bytes).toBe(bytes.length)
      }),
      { numRuns: 400 },
    )
  })

  it('responses, one behind the other', () => {
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 3 }), cuts, value, (messages, at, reason) => {
        const bytes = Buffer.from(
          messages.map((one, index) => serialised(`HTTP/1.1 20${index} ${reason}`, [], one)).join(''),
          'latin1',
        )
        const reading = readResponses(cutAt(bytes, at))
        expect(reading.error).toBeUndefined()
        expect(reading.messages).toMatchObject(
          messages.map((one, index) => ({ status: 200 + index, reason, ...expected(one, []) })),
        )
        expect(reading.messages.length).toBe(messages.length)
        expect(reading.bytes).toBe(bytes.length)
      }),
      { numRuns: 400 },
    )
  })
})

describe('What is behind a message does not matter:', () => {
  it('a request ends where it ends, whatever follows', () => {
    fc.assert(
      fc.property(message, fc.uint8Array({ maxLength: 60 }), cuts, (one, tail, at) => {
        const bytes = Buffer.from(serialised('PUT / HTTP/1.1', [...host, ['Connection', 'close']], one), 'latin1')
        const alone = readRequests([bytes])
        const followed = readRequests(cutAt(Buffer.concat([bytes, tail]), at))
        expect(followed.messages).toEqual(alone.messages)
        expect(followed.bytes).toBe(bytes.length)
        expect(followed.error).toBeUndefined()
      }),
      { numRuns: 300 },
    )
  })

  it('a head ends where it ends, whatever follows', () => {
    fc.assert(
      fc.property(fields, fc.uint8Array({ maxLength: 60 }), fc.nat(200), (some, tail, at) => {
        const head = Buffer.from(`GET / HTTP/1.1\r\n${lines(host)}${lines(some)}\r\n`, 'latin1')
        const bytes = Buffer.concat([head, tail])
        const reader = new RequestReader(defaultHeadLimits)
        const cut = at % head.length
        expect(reader.read(bytes.subarray(0, cut), 0)).toBe(incomplete)
        expect(reader.read(bytes, cut)).toBe(head.length)
        expect([...reader.head.headers]).toEqual([...host, ...some])
      }),
      { numRuns: 300 },
    )
  })

  it('a chunked body ends where it ends, whatever follows', () => {
    fc.assert(
      fc.property(body, chunking, fields, fc.uint8Array({ maxLength: 60 }), cuts, (text, how, trailers, tail, at) => {
        const own = Buffer.from(inChunks(text, how, trailers), 'latin1')
        const decoder = new ChunkedDecoder('response', defaultHeadLimits)
        let out = ''
        let total = 0
        for (const piece of cutAt(Buffer.concat([own, tail]), at)) {
          let from = 0
          while (from < piece.length && !decoder.done) {
            from = decoder.step(piece, from)
            out += piece.toString('latin1', decoder.start, decoder.end)
          }
          total += from
          // Once it is done it takes nothing more.
          if (decoder.done) expect(decoder.step(piece, from)).toBe(from)
        }
        expect(decoder.done).toBe(true)
        expect(total).toBe(own.length)
        expect(out).toBe(text)
        expect([...decoder.trailers]).toEqual(trailers)
      }),
      { numRuns: 300 },
    )
  })
})

describe('Bytes that are no message', () => {
  it('are refused, or more of them is awaited, and nothing else happens', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), cuts, (noise, at) => {
        const bytes = Buffer.from(noise)
        // Whatever is thrown that is no XpsError would come out here.
        readRequests(cutAt(bytes, at))
        readResponses(cutAt(bytes, at))
        readRequests(cutAt(Buffer.concat([Buffer.from('POST / HTTP/1.1\r\nHost: a\r\n'), bytes]), at))
        readRequests(
          cutAt(
            Buffer.concat([Buffer.from('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'), bytes]),
            at,
          ),
        )
      }),
      { numRuns: 1_000 },
    )
  })
})
