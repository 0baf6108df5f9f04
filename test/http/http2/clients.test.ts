import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, constants } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ListenerOptions } from '../../../src/index.ts'
import { TestAuthority } from '../../support/certificates.ts'
import { Http2Wire } from '../../support/http2-wire.ts'
import { run } from '../../support/programs.ts'
import { get, Served } from '../e2e/support.ts'
import { Backend, client, ok, proxying, serving } from './support.ts'

let authority: TestAuthority
let encrypted: Partial<ListenerOptions>
let folder: string
const big = Buffer.from(randomBytes(1_500_000).toString('base64'))

beforeAll(() => {
  authority = new TestAuthority()
  encrypted = { tls: authority.issue('localhost', '127.0.0.1').pem }
  folder = mkdtempSync(join(tmpdir(), 'xps-h2-'))
  writeFileSync(join(folder, 'big.bin'), big)
})

afterAll(() => {
  authority[Symbol.dispose]()
  rmSync(folder, { recursive: true })
})

const digest = (body: string): string => createHash('sha256').update(body, 'latin1').digest('hex')

/** Says what it got; sends the large file back from `/big`. */
function told(): Promise<Backend> {
  return Backend.start((message) => {
    if (message.target === '/big')
      return `HTTP/1.1 200 OK\r\nContent-Length: ${big.length}\r\n\r\n${big.toString('latin1')}`
    return ok(`${message.method} ${message.target} ${message.body.length} ${digest(message.body).slice(0, 8)}\n`)
  })
}

const curl = (...args: string[]): Promise<Buffer> => run('curl', ['-sS', '--max-time', '10', ...args])

describe('Over TLS', () => {
  it('HTTP/2 is spoken to who chooses it, and HTTP/1.1 to who does not', async () => {
    await using backend = await told()
    const versions: string[] = []
    await using served = await Served.start(
      {
        routes: [{ upstream: backend.address }],
        hooks: { request: ({ request, session }) => void versions.push(`${request.version} ${session.secure}`) },
      },
      {},
      encrypted,
    )
    const url = `https://localhost:${served.port}`
    const options = ['--cacert', authority.ca.files.cert, '-w', '%{http_version}']
    expect((await curl(...options, `${url}/a`, `${url}/a`)).toString()).toMatch(/^GET \/a 0 .*\n2GET \/a 0 .*\n2$/)
    expect((await curl(...options, '--http1.1', `${url}/b`)).toString()).toMatch(/^GET \/b 0 .*\n1.1$/)
    expect((await curl('--cacert', authority.ca.files.cert, `${url}/big`)).equals(big)).toBe(true)
    const body = `@${join(folder, 'big.bin')}`
    const posted = await curl('--cacert', authority.ca.files.cert, '--data-binary', body, `${url}/post`)
    expect(posted.toString()).toBe(`POST /post 2000000 ${digest(big.toString('latin1')).slice(0, 8)}\n`)
    expect(versions).toEqual(['2 true', '2 true', '1.1 true', '2 true', '2 true'])
    await served.settled()
  })

  it('a request in the packet of the last handshake message is not lost', async () => {
    await using backend = await told()
    await using served = await Served.start({ routes: [{ upstream: backend.address }] }, {}, encrypted)
    await using wire = await Http2Wire.connect(served.port, { tls: true, greet: false })
    wire.together(() => {
      wire.raw(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'))
      wire.settings({})
      wire.get(1, '/first')
    })
    expect((await wire.response(1)).body).toMatch(/^GET \/first 0 /)
  })

  it('without HTTP/2 nobody is offered it', async () => {
    await using backend = await told()
    await using served = await Served.start({ routes: [{ upstream: backend.address }], http2: false }, {}, encrypted)
    const url = `https://localhost:${served.port}`
    expect((await curl('--cacert', authority.ca.files.cert, '-w', '%{http_version}', `${url}/`)).toString()).toMatch(
      /1\.1$/,
    )
  })
})

describe('Without TLS', () => {
  it('HTTP/2 is not spoken, unless it is asked for', async () => {
    await using served = await Served.start({ routes: [{ reply: 200 }] })
    await using wire = await Http2Wire.connect(served.port, { greet: false })
    wire.raw(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'))
    await wire.until('an end', () => wire.ended || wire.closed || wire.error !== undefined)
    expect(wire.streams.size).toBe(0)
  })

  it('both versions are spoken on one port, however their first bytes come', async () => {
    await using served = await serving({ routes: [{ reply: { status: 200, body: 'both' } }] })
    const slow = await served.dial()
    for (const byte of get()) await slow.send(byte)
    expect((await slow.response()).body).toBe('both')
    slow.peer.end()
    const almost = await served.dial()
    await almost.send('PRI')
    await almost.send(' / HTTP/1.1\r\nHost: a.test\r\n\r\n')
    expect((await almost.response()).status).toBe(200)
    almost.peer.end()
    await using wire = await Http2Wire.connect(served.port, { greet: false })
    for (const byte of Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')) wire.raw(Buffer.from([byte]))
    wire.settings({})
    wire.get(1)
    expect((await wire.response(1)).body).toBe('both')
  })

  it('who leaves before it is known what he speaks leaves nothing behind', async () => {
    await using served = await serving({ routes: [{ reply: 200 }] })
    const faults: unknown[] = []
    served.core.on('fault', (fault) => faults.push(fault))
    for (const bytes of ['', 'PRI', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r']) {
      const one = await served.dial()
      if (bytes !== '') await one.send(bytes)
      one.peer.end()
      const other = await served.dial()
      if (bytes !== '') await other.send(bytes)
      other.peer.reset()
    }
    await served.settled()
    expect(faults).toEqual([])
  })
})

describe('The programs', () => {
  it('curl, with what it knows by itself', async () => {
    await using backend = await told()
    await using served = await proxying(backend)
    const at = ['--http2-prior-knowledge']
    // This curl cannot use such a connection twice, with whatever server.
    expect((await curl(...at, `${served.url}/one`)).toString()).toMatch(/^GET \/one .*\n$/)
    expect((await curl(...at, '-I', `${served.url}/head`)).toString()).toMatch(/^HTTP\/2 200/)
    expect((await curl(...at, '-T', join(folder, 'big.bin'), `${served.url}/put`)).toString()).toMatch(
      /^PUT \/put 2000000 /,
    )
    expect((await curl(...at, '-H', 'Expect: 100-continue', '-d', 'abc', `${served.url}/e`)).toString()).toMatch(
      /^POST \/e 3 /,
    )
    expect((await curl(...at, `${served.url}/big`)).equals(big)).toBe(true)
    await served.settled()
  })

  it('nghttp, with many requests on one connection', async () => {
    await using backend = await told()
    await using served = await proxying(backend)
    const output = (await run('nghttp', ['-n', '-s', '-m', '50', `${served.url}/many`])).toString()
    expect(output.match(/200 .* \/many/g)).toHaveLength(50)
    await served.settled()
  })

  it('h2load, up to the limit of streams', async () => {
    await using served = await serving({ routes: [{ reply: { status: 200, body: 'x'.repeat(130) } }] })
    const output = (await run('h2load', ['-n', '5000', '-c', '4', '-m', '100', served.url])).toString()
    expect(output).toMatch(/5000 succeeded, 0 failed, 0 errored/)
    await served.settled()
  })

  it("Node's own client, with trailers and its way to end", async () => {
    await using backend = await Backend.start(
      (message) =>
        `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${message.body.length.toString(16)}\r\n${message.body}\r\n0\r\nX-Sum: ${message.trailers.length}\r\n\r\n`,
    )
    await using served = await proxying(backend)
    const session = connect(served.url)
    const stream = session.request({ ':method': 'POST', ':path': '/' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-client': 'yes' }))
    stream.end('body')
    let text = ''
    let trailers: unknown
    stream.setEncoding('utf8')
    stream.on('data', (chunk: string) => {
      text += chunk
    })
    stream.on('trailers', (fields) => {
      trailers = fields['x-sum']
    })
    await new Promise((resolve) => stream.on('close', resolve))
    expect([text, trailers, stream.rstCode]).toEqual(['body', '1', constants.NGHTTP2_NO_ERROR])
    await new Promise<void>((resolve) => session.close(resolve))
    await served.settled()
  })

  it('a client of frames, that greets slowly', async () => {
    await using served = await serving({ routes: [{ reply: 200 }] })
    await using wire = await client(served)
    wire.get(1)
    expect((await wire.response(1)).status).toBe(200)
  })
})
