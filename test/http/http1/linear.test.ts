import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ChunkedDecoder } from '../../../src/http/http1/chunked-decoder.ts'
import { defaultHeadLimits, incomplete } from '../../../src/http/http1/head-reader.ts'
import { RequestReader } from '../../../src/http/http1/request-reader.ts'
import { ResponseReader } from '../../../src/http/http1/response-reader.ts'
import { TrailerReader } from '../../../src/http/http1/trailer-reader.ts'
import { byteByByte } from './support.ts'

// Bytes are counted wherever they can be looked at: one by one in the piece that came, in a pass of the parser over
// what was gathered, and when they are copied.
let looked = 0

class CountedRequests extends RequestReader {
  protected override parse(bytes: Buffer, start: number, end: number): number {
    looked += end - start
    return super.parse(bytes, start, end)
  }
}
class CountedResponses extends ResponseReader {
  protected override parse(bytes: Buffer, start: number, end: number): number {
    looked += end - start
    return super.parse(bytes, start, end)
  }
}
class CountedTrailers extends TrailerReader {
  protected override parse(bytes: Buffer, start: number, end: number): number {
    looked += end - start
    return super.parse(bytes, start, end)
  }
}

/** A piece that counts the bytes that are read from it. */
function counted(piece: Buffer): Buffer {
  return new Proxy(piece, {
    get(target, key) {
      if (typeof key === 'string' && /^\d+$/.test(key)) looked++
      const found: unknown = Reflect.get(target, key, target)
      return typeof found === 'function' ? found.bind(target) : found
    },
  })
}

beforeEach(() => {
  looked = 0
  const { copy } = Buffer.prototype
  vi.spyOn(Buffer.prototype, 'copy').mockImplementation(function (this: Buffer, ...parameters) {
    const bytes = copy.apply(this, parameters)
    looked += bytes
    return bytes
  })
})

afterEach(() => {
  vi.restoreAllMocks()
})

/** How many looks at a byte it takes, per byte, to read it all from pieces. */
function looksPerByte(pieces: readonly Buffer[], read: (piece: Buffer) => boolean): number {
  looked = 0
  let done = false
  let bytes = 0
  for (const piece of pieces) {
    if (done) expect.fail('done before the last byte')
    bytes += piece.length
    done = read(counted(piece))
  }
  expect(done).toBe(true)
  return looked / bytes
}

// A byte may be looked at while it is gathered, copied, moved when the buffer grows, and parsed; start lines once more.
const mostLooks = 8

const value = 'x'.repeat(200)
const manyFields = Array.from({ length: 90 }, (_, at) => `A${at}: ${value}\r\n`).join('')

describe('A head that comes byte by byte costs no more per byte the longer it is:', () => {
  const heads: Record<string, [reader: () => RequestReader | ResponseReader | TrailerReader, head: string]> = {
    'a short request': [() => new CountedRequests(defaultHeadLimits), 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n'],
    'a request with many fields': [
      () => new CountedRequests(defaultHeadLimits),
      `GET / HTTP/1.1\r\nHost: a.test\r\n${manyFields}\r\n`,
    ],
    'a request with one long field': [
      () => new CountedRequests(defaultHeadLimits),
      `GET / HTTP/1.1\r\nHost: a.test\r\nA: ${'x'.repeat(30_000)}\r\n\r\n`,
    ],
    'a request with a long target': [
      () => new CountedRequests(defaultHeadLimits),
      `GET /${'x'.repeat(8_000)} HTTP/1.1\r\nHost: a.test\r\n\r\n`,
    ],
    'a response with many fields': [
      () => new CountedResponses(defaultHeadLimits),
      `HTTP/1.1 200 OK\r\n${manyFields}\r\n`,
    ],
    'a response with a long reason': [
      () => new CountedResponses(defaultHeadLimits),
      `HTTP/1.1 200 ${'x'.repeat(30_000)}\r\n\r\n`,
    ],
    'many trailers': [() => new CountedTrailers('request', defaultHeadLimits), `${manyFields}\r\n`],
  }
  it.each(Object.entries(heads))('%s', (_name, [make, head]) => {
    const bytes = Buffer.from(head)
    const whole = make()
    expect(looksPerByte([bytes], (piece) => whole.read(piece, 0) !== incomplete)).toBeLessThan(4)
    const dripped = make()
    expect(looksPerByte(byteByByte(bytes), (piece) => dripped.read(piece, 0) !== incomplete)).toBeLessThan(mostLooks)
  })

  it('a head that is never complete, up to where it is refused', () => {
    const bytes = Buffer.from(`GET / HTTP/1.1\r\nHost: a.test\r\n${'A: b\r\n'.repeat(90)}A: ${'x'.repeat(40_000)}`)
    const reader = new CountedRequests(defaultHeadLimits)
    let count = 0
    const drip = (): void => {
      for (const piece of byteByByte(bytes)) {
        count++
        reader.read(counted(piece), 0)
      }
    }
    expect(drip).toThrow(expect.objectContaining({ status: 431 }))
    expect(count).toBe(defaultHeadLimits.headBytes)
    expect(looked / count).toBeLessThan(mostLooks)
  })
})

describe('A chunked body that comes byte by byte costs no more per byte the longer it is:', () => {
  const bodies: Record<string, string> = {
    'one large chunk': `8000\r\n${'x'.repeat(0x8000)}\r\n0\r\n\r\n`,
    'many small chunks': `${'1\r\nx\r\n'.repeat(5_000)}0\r\n\r\n`,
    'chunks with long extensions': `${`1;a=${'b'.repeat(200)}\r\nx\r\n`.repeat(70)}0\r\n\r\n`,
    'long trailers': `1\r\nx\r\n0\r\n${manyFields}\r\n`,
  }
  it.each(Object.entries(bodies))('%s', (_name, body) => {
    const bytes = Buffer.from(body)
    const read = (): ((piece: Buffer) => boolean) => {
      const decoder = new ChunkedDecoder('request', defaultHeadLimits)
      return (piece) => {
        let at = 0
        while (at < piece.length) at = decoder.step(piece, at)
        return decoder.done
      }
    }
    expect(looksPerByte([bytes], read())).toBeLessThan(4)
    expect(looksPerByte(byteByByte(bytes), read())).toBeLessThan(mostLooks)
  })
})
