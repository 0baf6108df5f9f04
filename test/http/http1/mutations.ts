import fc from 'fast-check'
import { malformedRequests } from '../corpus/requests.ts'
import { malformedResponses } from '../corpus/responses.ts'
import { unusualRequests, unusualResponses } from '../corpus/unusual.ts'

/** Pieces of messages that parsers have stumbled over. */
const morsels = [
  '\r\n',
  '\n',
  '\r',
  '\r\n\r\n',
  '\n\n',
  '\r\r\n',
  '\0',
  '\t',
  '\v',
  '\f',
  ' ',
  '  ',
  '\x7f',
  '\x80',
  '\xa0',
  '\xff',
  ':',
  ': ',
  ' :',
  ',',
  ';',
  '"',
  '\\',
  '#',
  '?',
  '*',
  '@',
  '%',
  '0',
  '5',
  'a',
  'F',
  '-',
  '+',
  '0x',
  '_',
  '0\r\n\r\n',
  '5\r\nhello\r\n',
  '5;a="b"\r\nhello\r\n',
  '\r\nContent-Length: 5',
  '\r\nContent-Length: 0',
  '\r\ncontent-length:\t10 ',
  '\r\nContent-Length: +5',
  '\r\nTransfer-Encoding: chunked',
  '\r\ntransfer-encoding:chunked',
  '\r\nTransfer-Encoding: gzip, chunked',
  '\r\nTransfer-Encoding: identity',
  '\r\nConnection: close',
  '\r\nConnection: keep-alive',
  '\r\nConnection: upgrade\r\nUpgrade: websocket',
  '\r\nHost: b.test',
  '\r\n folded',
  '\r\nA: b',
  '\r\nExpect: 100-continue',
  'chunked',
  'GET ',
  'POST ',
  'HEAD ',
  'CONNECT a.test:80',
  'OPTIONS * ',
  'http://a.test',
  ' HTTP/1.1',
  ' HTTP/1.0',
  'HTTP/1.1 200 OK\r\n',
  'HTTP/1.1 100 Continue\r\n\r\n',
  '204',
  '304',
  '101',
] as const

/** One change of a message: at a place (of all there are, as a share), over a length, with a morsel. */
interface Mutation {
  readonly kind: (typeof kinds)[number]
  readonly place: number
  readonly length: number
  readonly morsel: number
}

const kinds = ['insert', 'replace', 'delete', 'double', 'swap', 'case', 'byte', 'line ends', 'join'] as const

function mutate(text: string, mutation: Mutation, others: readonly string[]): string {
  const { kind, length, morsel } = mutation
  const at = Math.floor(mutation.place * (text.length + 1))
  const piece = morsels[morsel % morsels.length] as string
  switch (kind) {
    case 'insert':
      return text.slice(0, at) + piece + text.slice(at)
    case 'replace':
      return text.slice(0, at) + piece + text.slice(at + length)
    case 'delete':
      return text.slice(0, at) + text.slice(at + length)
    case 'double':
      return text.slice(0, at + length) + text.slice(at)
    case 'swap': {
      const lines = text.split('\r\n')
      const one = at % lines.length
      const other = (one + length) % lines.length
      const kept = lines[one] as string
      lines[one] = lines[other] as string
      lines[other] = kept
      return lines.join('\r\n')
    }
    case 'case': {
      const given = text.slice(at, at + length)
      const changed = given === given.toLowerCase() ? given.toUpperCase() : given.toLowerCase()
      return changed.length === given.length ? text.slice(0, at) + changed + text.slice(at + length) : text
    }
    case 'byte':
      return text.slice(0, at) + String.fromCharCode((morsel * 37 + length) & 0xff) + text.slice(at + 1)
    case 'line ends': {
      const end = text.indexOf('\r\n', at)
      return end < 0 ? text : text.slice(0, end) + (morsel % 2 === 0 ? '\n' : '\r') + text.slice(end + 2)
    }
    case 'join':
      return text + (others[morsel % others.length] as string)
  }
}

function mutated(texts: readonly string[]): fc.Arbitrary<Buffer> {
  const short = texts.filter((text) => text.length < 1_000)
  const mutation = fc.record({
    kind: fc.constantFrom(...kinds),
    place: fc.double({ min: 0, max: 1, noNaN: true }),
    length: fc.integer({ min: 1, max: 12 }),
    morsel: fc.nat(9_999),
  })
  return fc.tuple(fc.constantFrom(...short), fc.array(mutation, { maxLength: 3 })).map(([text, mutations]) =>
    Buffer.from(
      mutations.reduce((changed, one) => mutate(changed, one, short), text),
      'latin1',
    ),
  )
}

function textsOf(...corpora: readonly (readonly { bytes: Buffer }[])[]): string[] {
  return corpora.flat().map(({ bytes }) => bytes.toString('latin1'))
}

// The good ones more often: what is left of a bad one is seldom accepted.
const goodRequests = textsOf(unusualRequests)
const goodResponses = textsOf(unusualResponses)

/** Requests, good and bad, with up to three changes. */
export const mutatedRequests: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 3, arbitrary: mutated(goodRequests) },
  { weight: 1, arbitrary: mutated(textsOf(malformedRequests)) },
)

/** Responses, good and bad, with up to three changes. */
export const mutatedResponses: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 3, arbitrary: mutated(goodResponses) },
  { weight: 1, arbitrary: mutated(textsOf(malformedResponses)) },
)
