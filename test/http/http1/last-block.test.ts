import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { defaultHeadLimits, type HeadLimits } from '../../../src/http/http1/head-reader.ts'
import { mostKept, mostMisses } from '../../../src/http/http1/last-block.ts'
import { RequestReader } from '../../../src/http/http1/request-reader.ts'
import { ResponseReader } from '../../../src/http/http1/response-reader.ts'
import { cutAt, type Reading, readEveryWay, readRequests, readResponses } from './support.ts'

/** Reads each message with a reader of its own, up to the first that is the last or is refused. */
function readEach<T>(messages: readonly string[], read: (pieces: Buffer[]) => Reading<T>): Reading<T>[] {
  const readings: Reading<T>[] = []
  for (const one of messages) {
    const reading = read([Buffer.from(one, 'latin1')])
    readings.push(reading)
    if (reading.error !== undefined || reading.stands !== 'between') break
  }
  return readings
}

/** What one reader makes of all the messages, and what a new one makes of each. */
function compare<T extends object>(
  messages: readonly string[],
  pieces: (bytes: Buffer) => Buffer[],
  read: (pieces: Buffer[]) => Reading<T>,
  last: (message: T) => boolean,
): void {
  const together = read(pieces(Buffer.from(messages.join(''), 'latin1')))
  const each = readEach(messages, read)
  const all = each.flatMap((reading) => reading.messages)
  const end = all.findIndex(last)
  expect(together.messages).toEqual(end < 0 ? all : all.slice(0, end + 1))
  if (end < 0) expect(together.error).toEqual(each.at(-1)?.error)
}

const lastRequest = (one: { keepAlive: boolean; upgrade: string | undefined }) =>
  !one.keepAlive || one.upgrade !== undefined
const lastResponse = (one: { keepAlive: boolean }) => !one.keepAlive

const starts = fc.constantFrom(
  'GET / HTTP/1.1',
  'GET /other?q HTTP/1.1',
  'HEAD / HTTP/1.1',
  'POST / HTTP/1.1',
  'OPTIONS * HTTP/1.1',
  'GET http://a.test/x HTTP/1.1',
  'GET http://b.test/x HTTP/1.1',
  'GET / HTTP/1.0',
  'GET / HTTP/2.0',
  'GET * HTTP/1.1',
)
const common = 'Host: a.test\r\nUser-Agent: one\r\nAccept: */*\r\n'
/** Blocks that are alike, so that what is left of one would be seen in the next; with the body that they announce. */
const blocks = fc.constantFrom<[block: string, body: string]>(
  [common, ''],
  [common, ''],
  [common.replace('one', 'two'), ''],
  [common.replace('a.test', 'b.test'), ''],
  [common.replace('*/*', '*/*, x'), ''],
  [common.replace('Host', 'host'), ''],
  [`${common}Connection: keep-alive\r\n`, ''],
  [`${common}Connection: close\r\n`, ''],
  [`${common}Connection: User-Agent\r\n`, ''],
  [`${common}Connection: upgrade\r\nUpgrade: websocket\r\n`, ''],
  [`${common}Content-Length: 4\r\n`, 'body'],
  [`${common}Content-Length: 4\r\n`, 'bo\r\n'],
  [`${common}Content-Length: 0\r\n`, ''],
  [`${common}Content-Length: 4\r\nExpect: 100-continue\r\n`, 'body'],
  [`${common}Transfer-Encoding: chunked\r\n`, '3\r\nabc\r\n0\r\nA: b\r\n\r\n'],
  [`${common}Transfer-Encoding: chunked\r\n`, '0\r\n\r\n'],
  [`${common}X_Y: 1\r\n`, ''],
  [common.replace('Host: a.test\r\n', ''), ''],
  [`${common}Host: a.test\r\n`, ''],
  [`${common}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n`, ''],
  [`${common}Expect: 200\r\n`, ''],
  [`${common} folded\r\n`, ''],
  ['', ''],
)
const cuts = fc.array(fc.nat(2_000), { maxLength: 6 })
/** Mostly what was said before. */
const request = fc.tuple(
  starts,
  fc.oneof({ weight: 3, arbitrary: fc.constant([common, ''] as const) }, { weight: 2, arbitrary: blocks }),
)
const textOf = ([start, [block, body]]: readonly [string, readonly [string, string]]): string =>
  `${start}\r\n${block}\r\n${body}`

const statuses = fc.constantFrom(
  'HTTP/1.1 200 OK',
  'HTTP/1.1 200',
  'HTTP/1.1 404 Not Found',
  'HTTP/1.1 204 No Content',
  'HTTP/1.1 304 Not Modified',
  'HTTP/1.0 200 OK',
  'HTTP/1.1 100 Continue',
)
const fields = 'Date: Sat, 21 Nov 2026 12:00:00 GMT\r\nContent-Type: text/plain\r\n'
const answers = fc.constantFrom<[block: string, body: string]>(
  [`${fields}Content-Length: 4\r\n`, 'body'],
  [`${fields}Content-Length: 4\r\n`, '\r\n\r\n'],
  [`${fields.replace(':00 GMT', ':01 GMT')}Content-Length: 4\r\n`, 'body'],
  [`${fields}Content-Length: 5\r\n`, 'body!'],
  [`${fields}Content-Length: 0\r\n`, ''],
  [`${fields}Content-Length: 4\r\nConnection: close\r\n`, 'body'],
  [`${fields}Transfer-Encoding: chunked\r\n`, '3\r\nabc\r\n0\r\n\r\n'],
  [`${fields}Content-Length: 4\r\nContent-Length: 4\r\n`, 'body'],
)

describe('Heads of one connection, of which many say the same, are read as if each had a reader of its own:', () => {
  it('requests, cut in any way', () => {
    fc.assert(
      fc.property(fc.array(request, { minLength: 1, maxLength: 12 }), cuts, (requests, at) => {
        compare(requests.map(textOf), (bytes) => cutAt(bytes, at), readRequests, lastRequest)
      }),
      { numRuns: 1_500 },
    )
  })

  it('requests, cut at every byte', () => {
    fc.assert(
      fc.property(fc.array(request, { minLength: 3, maxLength: 6 }), (requests) => {
        readEveryWay(Buffer.from(requests.map(textOf).join(''), 'latin1'), (pieces) => readRequests(pieces))
      }),
      { numRuns: 25 },
    )
  })

  it('responses, cut in any way', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(statuses, answers), { minLength: 1, maxLength: 10 }), cuts, (responses, at) => {
        const bodiless = /^HTTP\/1.1 (?:1|204|304)/
        const texts = responses.map(([status, [block, body]]) =>
          textOf([status, [block, bodiless.test(status) ? '' : body]]),
        )
        compare(texts, (bytes) => cutAt(bytes, at), readResponses, lastResponse)
      }),
      { numRuns: 1_500 },
    )
  })

  it('within the limits that hold for each', () => {
    const limits: HeadLimits = { headBytes: 60, targetBytes: 30, fields: 2 }
    const get = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n`
    const room = 60 - get('').length
    const same = get('/').repeat(4)
    const read = (text: string) => readRequests([Buffer.from(text)], limits)
    expect(read(`${same}${get(`/${'x'.repeat(room - 1)}`)}`).error).toBeUndefined()
    expect(read(`${same}${get(`/${'x'.repeat(room)}`)}`).error?.status).toBe(431)
    expect(read(`${same}${get(`/${'x'.repeat(30)}`)}`).error?.status).toBe(414)
    expect(read(`${same}GET / HTTP/1.1\r\nHost: a\r\nB: c\r\nD: e\r\n\r\n`).error?.status).toBe(431)
  })
})

/** A reader, and the fields of heads that it is given. */
function heads(reader = new RequestReader(defaultHeadLimits)) {
  return (block: string) => {
    const bytes = Buffer.from(`GET / HTTP/1.1\r\n${block}\r\n`, 'latin1')
    expect(reader.read(bytes, 0)).toBe(bytes.length)
    return reader.head.headers
  }
}

describe('What a connection repeats', () => {
  it('is read once, and shared by those that say it', () => {
    const next = heads()
    const [first, second, third, fourth] = [next(common), next(common), next(common), next(common)]
    // Nothing is kept of the first head: most connections of some servers have no other.
    expect(second?.block).not.toBe(first?.block)
    expect(third?.block).toBe(second?.block)
    expect(fourth?.block).toBe(second?.block)
    expect(second?.block?.repeated).toBe(true)
  })

  it('is not changed for others by who edits what it has got', () => {
    const next = heads()
    next(common)
    const edited = next(common)
    const before = next(common)
    edited.set('user-agent', 'mine').append('X-New', '1').delete('accept')
    const after = next(common)
    expect([...edited]).toEqual([
      ['Host', 'a.test'],
      ['User-Agent', 'mine'],
      ['X-New', '1'],
    ])
    expect(edited.block).toBeUndefined()
    expect([...after]).toEqual([...before])
    expect([...before]).toEqual([
      ['Host', 'a.test'],
      ['User-Agent', 'one'],
      ['Accept', '*/*'],
    ])
  })

  it('is no longer kept when nothing repeats itself', () => {
    const next = heads()
    for (let count = 0; count <= mostMisses + 1; count++) next(`${common}X-Count: ${count}\r\n`)
    next(common)
    expect(next(common).block?.repeated).toBe(false)
  })

  it('is kept when something repeats itself now and then', () => {
    const next = heads()
    for (let count = 0; count < 5 * mostMisses; count++) {
      next(`${common}X-Count: ${count}\r\n`)
      if (count % 4 === 3) expect(next(`${common}X-Count: ${count}\r\n`).block?.repeated).toBe(true)
    }
  })

  it('is not kept if it is long', () => {
    const blockOf = (length: number): string => `${common}X: ${'x'.repeat(length - common.length - 5)}\r\n`
    const next = heads()
    const repeats = (block: string): boolean | undefined =>
      [next(block), next(block), next(block)].at(-1)?.block?.repeated
    expect(repeats(blockOf(mostKept))).toBe(true)
    expect(repeats(blockOf(mostKept + 1))).toBe(false)
  })

  it('is forgotten when it is told so', () => {
    const reader = new RequestReader(defaultHeadLimits)
    const next = heads(reader)
    const [, second] = [next(common), next(common)]
    reader.forget()
    expect(next(common).block).not.toBe(second?.block)
  })

  it('is not what only begins or ends like it', () => {
    const next = heads()
    const [, second] = [next(common), next(common)]
    const longer = next(`${common}B: c\r\n`)
    expect(longer.get('b')).toBe('c')
    next(common)
    const last = next('Host: a.test\r\n')
    expect(last.get('accept')).toBeUndefined()
    expect(second?.get('accept')).toBe('*/*')
  })

  it('is the same for responses', () => {
    const reader = new ResponseReader(defaultHeadLimits)
    const next = (status: string) => {
      const bytes = Buffer.from(`HTTP/1.1 ${status}\r\nContent-Length: 3\r\nA: b\r\n\r\n`)
      expect(reader.read(bytes, 0)).toBe(bytes.length)
      const { status: number, reason, headers } = reader.head
      return { number, reason, length: reader.length, declared: reader.declared, repeated: headers.block?.repeated }
    }
    next('200 OK')
    next('200 OK')
    expect(next('200 OK')).toEqual({ number: 200, reason: 'OK', length: 3, declared: 3, repeated: true })
    expect(next('304 OK')).toEqual({ number: 304, reason: 'OK', length: 0, declared: 3, repeated: true })
    reader.forHead = true
    expect(next('404 No')).toEqual({ number: 404, reason: 'No', length: 0, declared: 3, repeated: true })
    reader.forHead = false
    expect(next('200 ')).toEqual({ number: 200, reason: '', length: 3, declared: 3, repeated: true })
  })
})
