import { connect, createServer, type Http2Server as NodeHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { encodeFields, HpackDecoder, indexed, literal, tableSize } from '../../support/hpack.ts'
import { Http2Server } from '../../support/http2-server.ts'
import { Http2Wire } from '../../support/http2-wire.ts'
import { endOfString, huffmanDecode, huffmanEncode } from '../../support/huffman.ts'

async function nodeServer(): Promise<NodeHttp2Server & AsyncDisposable> {
  const server = createServer({ settings: { headerTableSize: 4096 } })
  server.on('stream', (stream, headers) => {
    const body: Buffer[] = []
    stream.on('data', (chunk: Buffer) => body.push(chunk))
    stream.on('end', () => {
      stream.respond(
        { ':status': 200, echo: headers['echo'] ?? '', again: `all of it ${headers['echo'] ?? ''}` },
        { waitForTrailers: true },
      )
      stream.on('wantTrailers', () => stream.sendTrailers({ sum: String(Buffer.concat(body).length) }))
      stream.end(Buffer.concat(body))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(server, {
    async [Symbol.asyncDispose]() {
      await new Promise((resolve) => server.close(resolve))
    },
  })
}

describe('the tools that the tests of HTTP/2 use', () => {
  it('know the Huffman code of every byte', () => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, at) => at))
    expect(huffmanDecode(huffmanEncode(all))).toEqual(all)
    // RFC 7541 C.4.1 and C.6.1
    expect(huffmanEncode(Buffer.from('www.example.com')).toString('hex')).toBe('f1e3c2e5f23a6ba0ab90f4ff')
    expect(huffmanDecode(Buffer.from('6402', 'hex')).toString()).toBe('302')
    expect(() => huffmanDecode(huffmanEncode([endOfString]))).toThrow('EOS')
    expect(() => huffmanDecode(huffmanEncode(Buffer.from('0'), 0))).toThrow('padded')
  })

  it('read blocks with a dynamic table', () => {
    const decoder = new HpackDecoder()
    const field = ['some-name', 'some value'] as const
    expect(decoder.decode(literal(...field, 'incremental', true))).toEqual([field])
    expect(decoder.decode(Buffer.concat([indexed(62), literal(62, 'other')]))).toEqual([field, ['some-name', 'other']])
    expect(() => decoder.decode(Buffer.concat([tableSize(0), indexed(62)]))).toThrow('no entry 62')
    const pseudo = [
      [':method', 'GET'],
      [':path', '/x'],
      ['accept', ''],
    ] as const
    expect(decoder.decode(encodeFields(pseudo))).toEqual(pseudo)
  })

  it('speak with a server of Node, whose answers use Huffman codes and the dynamic table', async () => {
    await using server = await nodeServer()
    const wire = await Http2Wire.connect((server.address() as AddressInfo).port)
    const every = Array.from({ length: 94 }, (_, at) => String.fromCharCode(33 + at)).join('')
    const high = Buffer.from(Array.from({ length: 128 }, (_, at) => 128 + at)).toString('latin1')
    for (let stream = 1; stream < 9; stream += 2) {
      await wire.post(stream, '/', Buffer.alloc(200_000, 'x'), [['echo', stream < 5 ? every : high]])
      const answer = await wire.response(stream)
      expect(answer.status).toBe(200)
      expect(answer.header('echo')).toBe(stream < 5 ? every : high)
      expect(answer.received).toBe(200_000)
      expect(answer.trailers).toEqual([['sum', '200000']])
    }
    wire.get(9)
    expect((await wire.response(9)).header('echo')).toBe('')
    expect(await wire.alive()).toBe(true)
    await wire[Symbol.asyncDispose]()
  })

  it('play a server for a client of Node', async () => {
    await using server = await Http2Server.start(async (wire) => {
      const request = await wire.request()
      wire.respond(request.id, 201, `${request.header(':path')} ${await wire.whole(request)}`, [['a', 'b']])
    })
    const client = connect(`http://${server.address}`)
    const stream = client.request({ ':path': '/p', ':method': 'POST' })
    const status = new Promise((resolve) => stream.on('response', (headers) => resolve(headers[':status'])))
    stream.end('body')
    expect(Buffer.concat(await stream.toArray()).toString()).toBe('/p body')
    expect(await status).toBe(201)
    client.close()
  })
})
