import { describe, expect, it } from 'vitest'
import { isXpsError } from '../../../src/errors.ts'
import { defaultHeadLimits, type HeadLimits, incomplete, untilClose } from '../../../src/http/http1/head-reader.ts'
import { RequestReader } from '../../../src/http/http1/request-reader.ts'
import { ResponseReader } from '../../../src/http/http1/response-reader.ts'
import { TrailerReader } from '../../../src/http/http1/trailer-reader.ts'
import { byteByByte, readEveryWay, readRequests, readResponses } from './support.ts'

const limits: HeadLimits = { headBytes: 400, targetBytes: 100, fields: 4 }

/** What comes of a request, with these limits: the status of its error, or 'good'. */
function outcome(text: string, within: HeadLimits = limits): number | string | undefined {
  const reading = readEveryWay(Buffer.from(text, 'latin1'), (pieces) => readRequests(pieces, within))
  if (reading.error !== undefined) return reading.error.status
  return reading.stands === 'between' ? 'good' : `waits in ${reading.stands}`
}

/** What is thrown when bytes come one at a time, and after how many. */
function refusal(
  reader: RequestReader | ResponseReader | TrailerReader,
  text: string,
): [count: number, error: unknown] {
  let count = 0
  for (const piece of byteByByte(Buffer.from(text, 'latin1'))) {
    count++
    try {
      expect(reader.read(piece, 0)).toBe(incomplete)
    } catch (error) {
      return [count, error]
    }
  }
  return [count, undefined]
}

describe('A limit is the same however a head comes:', () => {
  const host = 'Host: a.test\r\n'
  const withHead = (bytes: number): string => {
    const head = (value: string): string => `GET / HTTP/1.1\r\n${host}A: ${value}\r\n\r\n`
    return head('x'.repeat(bytes - head('').length))
  }

  it('the bytes of a head', () => {
    expect(outcome(withHead(400))).toBe('good')
    expect(outcome(withHead(401))).toBe(431)
    expect(outcome(`${withHead(400)}${withHead(400)}`)).toBe('good')
    expect(outcome(`${withHead(400)}${withHead(401)}`)).toBe(431)
    // Empty lines before it are not of it.
    expect(outcome(`\r\n\r\n${withHead(400)}`)).toBe('good')
    // Never complete.
    expect(outcome(withHead(500).slice(0, 399))).toBe('waits in head')
    expect(outcome(withHead(500).slice(0, 400))).toBe(431)
  })

  it('the bytes of a target', () => {
    const withTarget = (bytes: number): string => `GET /${'x'.repeat(bytes - 1)} HTTP/1.1\r\n${host}\r\n`
    expect(outcome(withTarget(100))).toBe('good')
    expect(outcome(withTarget(101))).toBe(414)
    expect(outcome(withTarget(300))).toBe(414)
    expect(outcome(withTarget(3_000))).toBe(414)
    expect(outcome(`GET /?${'x'.repeat(98)} HTTP/1.1\r\n${host}\r\n`)).toBe('good')
    expect(outcome(`GET /?${'x'.repeat(99)} HTTP/1.1\r\n${host}\r\n`)).toBe(414)
    expect(outcome(`${'M'.repeat(32)} /${'x'.repeat(99)} HTTP/1.1\r\n${host}\r\n`)).toBe('good')
  })

  it('the number of fields', () => {
    const withFields = (count: number): string => `GET / HTTP/1.1\r\n${host}${'A: b\r\n'.repeat(count - 1)}\r\n`
    expect(outcome(withFields(4))).toBe('good')
    expect(outcome(withFields(5))).toBe(431)
    expect(outcome(withFields(30))).toBe(431)
  })

  it('the number of fields that are the default', () => {
    const withFields = (count: number): string => `GET / HTTP/1.1\r\n${host}${'A: b\r\n'.repeat(count - 1)}\r\n`
    expect(outcome(withFields(defaultHeadLimits.fields), defaultHeadLimits)).toBe('good')
    expect(outcome(withFields(defaultHeadLimits.fields + 1), defaultHeadLimits)).toBe(431)
  })
})

describe('Of several faults the first one is told, however a head comes:', () => {
  it.each([
    ['a version, before a control character', 'GET / HTTP/2.0\r\nA: \0\r\n\r\n', 505],
    ['a version, before a bare LF', 'GET / HTTP/2.0\nHost: a\r\n\r\n', 505],
    ['a control character, before a version', 'GET /\0 HTTP/2.0\r\nA: b\r\n\r\n', 400],
    ['a target that is too long, before a control character', `GET /${'x'.repeat(100)}\0 HTTP/1.1\r\n\r\n`, 414],
    ['a control character, in a target that would be too long', `GET /${'x'.repeat(90)}\0${'x'.repeat(200)}`, 400],
    ['a target that is too long, in a head that is', `GET /${'x'.repeat(1_000)}`, 414],
    ['an invalid name, in a head that is too long', `GET / HTTP/1.1\r\nA B: c\r\nC: ${'x'.repeat(1_000)}`, 400],
    ['an invalid target, in a head that is too long', `GET /" HTTP/1.1\r\nC: ${'x'.repeat(1_000)}`, 400],
    ['too many fields, in a head that is too long', `GET / HTTP/1.1\r\n${'A: b\r\n'.repeat(1_000)}`, 431],
    ['too many fields, before a control character', `GET / HTTP/1.1\r\n${'A: b\r\n'.repeat(5)}C: \0\r\n\r\n`, 431],
    ['a control character, before too many fields', `GET / HTTP/1.1\r\nC: \0\r\n${'A: b\r\n'.repeat(5)}\r\n`, 400],
    ['both lengths, before an unknown expectation', 'GET / HTTP/1.1\r\nExpect: a\r\nContent-Length: x\r\n\r\n', 400],
    ['an unknown expectation, before no Host', 'GET / HTTP/1.1\r\nExpect: a\r\n\r\n', 417],
  ])('%s', (_name, text, status) => {
    expect(outcome(text)).toBe(status)
  })
})

describe('What cannot become a head is refused before it is complete:', () => {
  const refusedAt = (text: string): number => {
    const [count, error] = refusal(new RequestReader(defaultHeadLimits), text)
    expect(isXpsError(error, 'XPS_BAD_REQUEST')).toBe(true)
    return count
  }

  it('a request, at its first byte or at the end of its first line', () => {
    expect(refusedAt('\x16\x03\x01')).toBe(1)
    expect(refusedAt(' GET')).toBe(1)
    expect(refusedAt('HELLO\r\n')).toBe(7)
    expect(refusedAt('GET /x\r\n')).toBe(8)
    expect(refusedAt('GET /x \r\n')).toBe(9)
    expect(refusedAt('GET /x HTTP\r\n')).toBe(13)
    expect(refusedAt('GET /x HTTP/1.1 \r\n')).toBe(18)
    expect(refusedAt('GET / HTTP/1.1\n')).toBe(15)
    expect(refusedAt('GET / HTTP/1.1\r\nA: b\n')).toBe(21)
    expect(refusedAt(`GET /x" HTTP/1.1\r\n`)).toBe(18)
  })

  it('a request whose start line has no end', () => {
    const [count, error] = refusal(new RequestReader(limits), `GET /${'x'.repeat(1_000)}`)
    expect(error).toMatchObject({ code: 'XPS_TOO_LARGE', status: 414 })
    expect(count).toBeLessThan(160)
  })

  it('a response, at its first byte or at the end of its first line', () => {
    for (const [text, most] of [
      ['TEST', 1],
      ['\r\n', 1],
      ['HTTP/2 200 OK\r\n', 15],
      ['HTTP/1.1 20 OK\r\n', 16],
      ['HTTP/1.1 20\r\n', 13],
      ['HTTP/1.1\r\n', 10],
    ] as const) {
      const [count, error] = refusal(new ResponseReader(defaultHeadLimits), text)
      expect(error).toMatchObject({ code: 'XPS_BAD_RESPONSE', origin: 'upstream', status: 502 })
      expect(count).toBe(most)
    }
  })
})

describe('A reader', () => {
  const read = (reader: RequestReader | ResponseReader, text: string): void => {
    const bytes = Buffer.from(text, 'latin1')
    expect(reader.read(bytes, 0)).toBe(bytes.length)
  }

  it('keeps nothing of the head before', () => {
    const reader = new RequestReader(defaultHeadLimits)
    read(
      reader,
      'POST /1 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive, close\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n',
    )
    expect(reader).toMatchObject({ length: 5, keepAlive: false, upgrade: undefined, expectsContinue: false })
    read(reader, 'POST /2 HTTP/1.1\r\nHost: b\r\nConnection: upgrade\r\nUpgrade: c\r\nExpect: 100-continue\r\n\r\n')
    expect(reader).toMatchObject({ length: 0, keepAlive: true, upgrade: 'c', expectsContinue: true })
    const second = reader.head
    read(reader, 'GET /3 HTTP/1.1\r\nHost: d\r\n\r\n')
    expect(reader).toMatchObject({ length: 0, keepAlive: true, upgrade: undefined, expectsContinue: false })
    expect(reader.head).toMatchObject({ method: 'GET', target: '/3', version: '1.1', authority: 'd' })
    expect([...reader.head.headers]).toEqual([['Host', 'd']])
    // And the head before is what it was.
    expect(second).toMatchObject({ method: 'POST', target: '/2', authority: 'b' })
    expect(second.headers.get('upgrade')).toBe('c')
    read(reader, 'GET /4 HTTP/1.0\r\n\r\n')
    expect(reader).toMatchObject({ keepAlive: false })
    expect(reader.head.authority).toBe('')
    expect(() => read(reader, 'GET /5 HTTP/1.1\r\n\r\n')).toThrow('no Host')
  })

  it('keeps nothing of the response before', () => {
    const reader = new ResponseReader(defaultHeadLimits)
    reader.forHead = true
    read(reader, 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n')
    expect(reader).toMatchObject({ length: 0, declared: 5, keepAlive: false })
    reader.forHead = false
    read(reader, 'HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\n')
    expect(reader).toMatchObject({ length: 7, declared: 7, keepAlive: true })
    expect(reader.head).toMatchObject({ status: 404, reason: 'Not Found' })
    read(reader, 'HTTP/1.1 200\r\n\r\n')
    expect(reader).toMatchObject({ length: untilClose, keepAlive: false })
    expect(reader.head.reason).toBe('')
    read(reader, 'HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n')
    expect(reader).toMatchObject({ length: 0, declared: untilClose, keepAlive: false })
    read(reader, 'HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n')
    expect(reader).toMatchObject({ length: 0, declared: 7, keepAlive: true })
  })

  it('knows whether anything of a head has come', () => {
    const reader = new RequestReader(defaultHeadLimits)
    expect(reader.empty).toBe(true)
    reader.read(Buffer.from('\r\n'), 0)
    expect(reader.empty).toBe(true)
    reader.read(Buffer.from('G'), 0)
    expect(reader.empty).toBe(false)
    reader.read(Buffer.from('ET / HTTP/1.1\r\nHost: a\r\n\r\n'), 0)
    expect(reader.empty).toBe(true)
  })

  it('reads from where it is told to, and leaves what follows', () => {
    const reader = new RequestReader(defaultHeadLimits)
    const head = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
    const bytes = Buffer.from(`before${head}after`)
    expect(reader.read(bytes, 6)).toBe(6 + head.length)
    expect(reader.head.headers.get('host')).toBe('a')
  })

  it('copes with the same memory for each piece', () => {
    const reader = new RequestReader(defaultHeadLimits)
    const memory = Buffer.alloc(8)
    const bytes = Buffer.from('GET /target HTTP/1.1\r\nHost: a.test\r\nA: b\r\n\r\n')
    for (let at = 0; at < bytes.length; at += 8) {
      const piece = memory.subarray(0, bytes.copy(memory, 0, at))
      reader.read(piece, 0)
    }
    memory.fill(0)
    expect(reader.head.target).toBe('/target')
    expect([...reader.head.headers]).toEqual([
      ['Host', 'a.test'],
      ['A', 'b'],
    ])
  })

  it('judges a host by itself, not by the one before', () => {
    for (const host of ['a.test', 'a/b', 'a.test', 'a b', '[::1]', '[::g]', 'a.test']) {
      const good = /^(?:a\.test|\[::1\])$/.test(host)
      expect(outcome(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).toBe(good ? 'good' : 400)
    }
  })
})

describe('Trailers', () => {
  it('are of nothing but an empty line, most often', () => {
    const reader = new TrailerReader('request', defaultHeadLimits)
    expect(reader.read(Buffer.from('\r\nGET'), 0)).toBe(2)
    expect([...reader.trailers]).toEqual([])
  })

  it('that are refused are told of as what they belong to', () => {
    expect(() => new TrailerReader('request', defaultHeadLimits).read(Buffer.from('A : b\r\n\r\n'), 0)).toThrow(
      expect.objectContaining({ code: 'XPS_BAD_REQUEST', origin: 'client', status: 400 }),
    )
    expect(() => new TrailerReader('response', defaultHeadLimits).read(Buffer.from('A : b\r\n\r\n'), 0)).toThrow(
      expect.objectContaining({ code: 'XPS_BAD_RESPONSE', origin: 'upstream', status: 502 }),
    )
  })
})

describe('A response within limits', () => {
  it('is refused when its head is too long, however it comes', () => {
    const head = (bytes: number): Buffer => {
      const text = (reason: string): string => `HTTP/1.1 200 ${reason}\r\nContent-Length: 0\r\n\r\n`
      return Buffer.from(text('x'.repeat(bytes - text('').length)))
    }
    const read = (bytes: Buffer): unknown => readEveryWay(bytes, (pieces) => readResponses(pieces, [], limits)).error
    expect(read(head(400))).toBeUndefined()
    expect(read(head(401))).toMatchObject({ code: 'XPS_BAD_RESPONSE', status: 502 })
  })
})
