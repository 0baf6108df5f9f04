import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ForwardedClient } from '../../../src/http/forwarding/forwarded-client.ts'
import { type Answered, Forwarding, type ForwardingOptions } from '../../../src/http/forwarding/forwarding.ts'
import { defaultHeadLimits } from '../../../src/http/http1/head-reader.ts'
import { RequestReader } from '../../../src/http/http1/request-reader.ts'
import { ResponseReader } from '../../../src/http/http1/response-reader.ts'
import { parsed } from './heads.ts'

const options: ForwardingOptions[] = [
  {},
  { via: false, xForwarded: 'remove' },
  { hostHeader: 'upstream', forwarded: 'append', trusted: ['192.0.2.7'] },
  { hostHeader: 'other.test', redirects: 'leave', cookiePath: { '/': '/a' }, protect: ['X-Id'] },
]
const forwardings = options.map((one) => new Forwarding(one))
const clients = ['192.0.2.7', '192.0.2.8'].map((address) => new ForwardedClient({ address }))
const blocks = [
  'Host: a.test\r\nAccept: */*\r\n',
  'Host: a.test\r\nConnection: keep-alive, TE\r\nTE: trailers\r\nX_Id: 1\r\n',
  'Host: a.test\r\nX-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\nMax-Forwards: 3\r\nContent-Length: 0\r\n',
]
const answers = [
  'Server: one\r\nContent-Length: 0\r\n',
  'Location: http://up/x\r\nContent-Length: 0\r\n',
  'Set-Cookie: a=b; Path=/\r\nConnection: keep-alive\r\nContent-Length: 0\r\n',
]

describe('A block that a connection repeats is passed on as if it came for the first time,', () => {
  it('whoever asks, for what, by which rules, and to whom', () => {
    const how = fc.record({
      block: fc.constantFrom(...blocks),
      start: fc.constantFrom('GET /', 'GET http://A.test/', 'OPTIONS /', 'TRACE /', 'POST /'),
      version: fc.constantFrom('1.1', '1.1', '1.0'),
      forwarding: fc.constantFrom(...forwardings),
      client: fc.constantFrom(...clients),
      upstreamHost: fc.constantFrom('up', 'up:81'),
      authority: fc.constantFrom(undefined, undefined, 'hook.test'),
      edited: fc.constantFrom(false, false, true),
    })
    fc.assert(
      fc.property(fc.array(how, { minLength: 4, maxLength: 16 }), (series) => {
        const readers = new Map(blocks.map((block) => [block, new RequestReader(defaultHeadLimits)]))
        for (const { block, start, version, forwarding, client, upstreamHost, authority, edited } of series) {
          const reader = readers.get(block) as RequestReader
          const line = `${start} HTTP/${version}`
          reader.read(Buffer.from(`${line}\r\n${block}\r\n`), 0)
          const heads = [reader.head, parsed(line, ...block.trimEnd().split('\r\n'))]
          const [repeated, fresh] = heads.map((head) => {
            if (authority !== undefined) head.authority = authority
            if (edited) head.headers.set('accept', 'edited')
            const bytes = forwarding.requestBytes(head, client, upstreamHost)
            const text = forwarding.requestBlock(head, client, upstreamHost)
            expect(bytes?.toString('latin1') ?? text).toBe(text)
            return text
          })
          expect(repeated).toBe(fresh)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('and so is that of an upstream', () => {
    const how = fc.record({
      block: fc.constantFrom(...answers),
      start: fc.constantFrom('1.1 200 OK', '1.1 302 Found', '1.0 201 Created'),
      forwarding: fc.constantFrom(...forwardings),
      host: fc.constantFrom('a.test', 'b.test'),
      prefix: fc.constantFrom('', '/p'),
      edited: fc.constantFrom(false, false, true),
    })
    fc.assert(
      fc.property(fc.array(how, { minLength: 4, maxLength: 16 }), (series) => {
        const readers = new Map(answers.map((block) => [block, new ResponseReader(defaultHeadLimits)]))
        for (const { block, start, forwarding, host, prefix, edited } of series) {
          const bytes = Buffer.from(`HTTP/${start}\r\n${block}\r\n`)
          const own = new ResponseReader(defaultHeadLimits)
          const request = parsed('GET / HTTP/1.1', `Host: ${host}`)
          const answered: Answered = { request, client: clients[1] as ForwardedClient, upstreamHost: 'up', prefix }
          const [repeated, fresh] = [readers.get(block) as ResponseReader, own].map((reader) => {
            reader.read(bytes, 0)
            if (edited) reader.head.headers.append('Set-Cookie', 'edited=1')
            return forwarding.responseBlock(reader.head, answered)
          })
          expect(repeated).toBe(fresh)
        }
      }),
      { numRuns: 500 },
    )
  })
})
