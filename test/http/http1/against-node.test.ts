import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fuzzing } from '../../support/fuzzing.ts'
import { malformedRequests, truncatedRequests } from '../corpus/requests.ts'
import { unusualRequests } from '../corpus/unusual.ts'
import { expectSameRequests, type OtherMessage } from './agreement.ts'
import { mutatedRequests } from './mutations.ts'
import { readRequests, visible, whole } from './support.ts'

/** What came on one connection, as Node's server saw it. */
interface Seen {
  messages: OtherMessage[]
  error: string | undefined
}

/** Node's own server, which notes what it is sent. */
class NodeServer {
  readonly server: Server
  readonly #seen = new Map<number, Seen>()

  constructor() {
    // Its limits are wider than ours, so that what it refuses is no matter of size.
    this.server = createServer({ maxHeaderSize: 128 * 1024, keepAlive: true })
    this.server.maxHeadersCount = 2_000
    this.server.on('request', (request, response) => this.#note(request, response))
    this.server.on('checkContinue', (request, response) => this.#note(request, response))
    this.server.on('checkExpectation', (request, response) => this.#note(request, response))
    this.server.on('upgrade', (request, socket) => {
      Object.assign(this.#add(request), { complete: true, upgraded: true })
      socket.destroy()
    })
    this.server.on('connect', (request, socket) => {
      Object.assign(this.#add(request), { complete: true, upgraded: true })
      socket.destroy()
    })
    this.server.on('clientError', (error, socket) => {
      const seen = this.#seen.get((socket as Socket).remotePort ?? 0)
      if (seen !== undefined) seen.error = error.message
      socket.destroy()
    })
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve))
  }

  /** Sends bytes on a connection of their own, and waits until it is closed. */
  async read(bytes: Buffer): Promise<Seen> {
    const { port } = this.server.address() as AddressInfo
    const socket = connect({ port, host: '127.0.0.1' })
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    const seen: Seen = { messages: [], error: undefined }
    this.#seen.set(socket.localPort as number, seen)
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    socket.on('error', () => {}).resume()
    socket.end(bytes)
    await closed
    this.#seen.delete(socket.localPort as number)
    return seen
  }

  #note(request: IncomingMessage, response: ServerResponse): void {
    const message = this.#add(request)
    request.on('data', (data: Buffer) => {
      message.body += data.toString('latin1')
    })
    request.on('error', () => {})
    request.on('end', () => {
      message.complete = true
      message.trailers = pairs(request.rawTrailers)
      response.end()
    })
  }

  #add(request: IncomingMessage): OtherMessage {
    const message: OtherMessage = {
      method: request.method ?? '',
      target: request.url ?? '',
      status: 0,
      version: request.httpVersion,
      fields: pairs(request.rawHeaders),
      trailers: [],
      body: '',
      complete: false,
    }
    this.#seen.get(request.socket.remotePort ?? 0)?.messages.push(message)
    return message
  }
}

function pairs(raw: readonly string[]): [string, string][] {
  return Array.from({ length: raw.length / 2 }, (_, at) => [raw[at * 2] as string, raw[at * 2 + 1] as string])
}

describe("Whatever we accept, Node's server reads in the same way", () => {
  const node = new NodeServer()
  beforeAll(() => node.listen())
  afterAll(() => new Promise<void>((resolve) => void node.server.close(() => resolve())))

  async function compare(bytes: Buffer): Promise<void> {
    const seen = await node.read(bytes)
    try {
      expectSameRequests(readRequests(whole(bytes)), seen.messages, seen.error)
    } catch (error) {
      throw new Error(`${visible(bytes, 2_000)}\n${(error as Error).message}`, { cause: error })
    }
  }

  it('as the corpora show', async () => {
    const all = [...malformedRequests, ...unusualRequests, ...truncatedRequests]
    for (let at = 0; at < all.length; at += 20)
      await Promise.all(all.slice(at, at + 20).map(({ bytes }) => compare(bytes)))
  })

  const random = fuzzing(40)
  it(`as requests with random faults show (seed ${random.seed})`, { timeout: random.timeout }, async () => {
    // Twenty connections at a time.
    await fc.assert(
      fc.asyncProperty(fc.array(mutatedRequests, { minLength: 20, maxLength: 20, size: 'max' }), async (several) => {
        await Promise.all(several.map(compare))
      }),
      { ...(random.parameters as fc.Parameters<[Buffer[]]>), endOnFailure: true },
    )
  })

  it('which is seen to notice where it does not', async () => {
    const other = await node.read(Buffer.from('POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello'))
    const read = (text: string): void =>
      expectSameRequests(readRequests([Buffer.from(text)]), other.messages, other.error)
    read('POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello')
    expect(() => read('POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhallo')).toThrow()
    expect(() => read('POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 6\r\n\r\nhallo')).toThrow()
    expect(() => read('POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5 \r\nA: b\r\n\r\nhello')).toThrow()
    expect(() => read('POST /y HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello')).toThrow()
    expect(() => read('PUT /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello')).toThrow()
    const twice = 'POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello'.repeat(2)
    expect(() => read(twice)).toThrow('no such request')
  })
})
