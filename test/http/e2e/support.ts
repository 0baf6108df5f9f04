import type { Socket } from 'node:net'
import { expect } from 'vitest'
import { type Http, type HttpOptions, http } from '../../../src/http/http.ts'
import { Core, type CoreOptions, type Listener, type ListenerOptions } from '../../../src/index.ts'
import type { TestPeer } from '../../../src/testing/index.ts'
import { dial, TestServer } from '../../support/net.ts'
import { until } from '../../support/until.ts'

export { stands, until } from '../../support/until.ts'

/** An HTTP listener of a core of its own, which the test's end aborts. */
export class Served implements AsyncDisposable {
  readonly core: Core
  readonly http: Http
  readonly listener: Listener

  private constructor(core: Core, protocol: Http, listener: Listener) {
    this.core = core
    this.http = protocol
    this.listener = listener
  }

  static async start(
    options: HttpOptions,
    core: CoreOptions = {},
    listening: Partial<ListenerOptions> = {},
  ): Promise<Served> {
    const it = new Core(core)
    const protocol = http(options)
    // Clients of tests end when they see an end; nobody needs to be waited for.
    const listener = await it.listen({ port: 0, host: '127.0.0.1' }, { lingerTimeout: 200, ...listening, protocol })
    return new Served(it, protocol, listener)
  }

  get port(): number {
    return this.listener.port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  async dial(): Promise<Wire> {
    return new Wire(await dial(this.port))
  }

  /** One request on a connection of its own. */
  async ask(request: string): Promise<Message> {
    const client = await this.dial()
    await client.send(request)
    const answer = await client.response(request.slice(0, request.indexOf(' ')))
    client.peer.end()
    return answer
  }

  /** Waits until no client is left, and nothing is under way: the gauges are at zero. */
  async settled(): Promise<void> {
    await until(() => {
      const { active, queued } = this.core.stats()
      const { sessions, transactions, upstreams } = this.http.stats()
      const busy = Object.values(upstreams).reduce((sum, one) => sum + one.connections - one.idle + one.queued, 0)
      expect({ active, queued, sessions, transactions, busy }).toEqual({
        active: 0,
        queued: 0,
        sessions: 0,
        transactions: 0,
        busy: 0,
      })
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.core.abort()
    await this.core.closed
  }
}

/** Starts a reverse proxy to one upstream. */
export function proxy(
  upstream: { address: string },
  options: HttpOptions = {},
  core: CoreOptions = {},
  listening: Partial<ListenerOptions> = {},
): Promise<Served> {
  return Served.start({ routes: [{ upstream: upstream.address }], ...options }, core, listening)
}

/** Lets the loop turn, so that what is on its way on loopback arrives. */
export async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** A request or response, as it was read from a wire. */
export class Message {
  readonly start: string
  readonly fields: [name: string, value: string][]
  body = ''
  /** The sizes of its chunks, if it had any. */
  readonly chunks: number[] = []
  trailers: [name: string, value: string][] = []
  /** Interim responses that came before it. */
  readonly interim: Message[] = []

  constructor(head: string) {
    const [start = '', ...lines] = head.split('\r\n').slice(0, -2)
    this.start = start
    this.fields = fieldsOf(lines)
  }

  /** Of a response; throws if it is none, such as when what is left of a body stands before it. */
  get status(): number {
    const status = /^HTTP\/1\.1 (\d{3}) [ -~]*$/.exec(this.start)?.[1]
    if (status === undefined) throw new Error(`'${this.start}' is no start line of a response`)
    return Number(status)
  }

  get method(): string {
    return this.start.split(' ')[0] ?? ''
  }

  get target(): string {
    return this.start.split(' ')[1] ?? ''
  }

  /** All values of a field, joined. */
  header(name: string): string | undefined {
    const values = this.fields.filter(([key]) => key.toLowerCase() === name.toLowerCase()).map(([, value]) => value)
    return values.length === 0 ? undefined : values.join(', ')
  }
}

function fieldsOf(lines: readonly string[]): [string, string][] {
  return lines.map((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon), line.slice(colon + 1).trim()]
  })
}

/** One end of an HTTP/1.1 connection, read by a parser of the tests' own. */
export class Wire {
  readonly peer: TestPeer

  constructor(peer: TestPeer) {
    this.peer = peer
  }

  send(text: string | Uint8Array): Promise<void> {
    return this.peer.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text)
  }

  /** The next response that is not an interim one. */
  async response(method = 'GET'): Promise<Message> {
    const interim: Message[] = []
    for (;;) {
      const message = new Message(await this.peer.read('\r\n\r\n'))
      if (message.status < 200) {
        interim.push(message)
        continue
      }
      message.interim.push(...interim)
      if (method !== 'HEAD' && message.status !== 204 && message.status !== 304) await this.#readBody(message, true)
      return message
    }
  }

  async request(): Promise<Message> {
    const message = new Message(await this.peer.read('\r\n\r\n'))
    if (!/^[!#-'*+\-.0-9A-Z^-z|~]+ \S+ HTTP\/1\.1$/.test(message.start))
      throw new Error(`'${message.start}' is no start line`)
    await this.#readBody(message, false)
    return message
  }

  async #readBody(message: Message, response: boolean): Promise<void> {
    const { peer } = this
    if (/chunked/i.test(message.header('transfer-encoding') ?? '')) {
      for (;;) {
        const size = Number.parseInt(await peer.read('\r\n'), 16)
        if (size === 0) break
        message.chunks.push(size)
        message.body += (await peer.read(size + 2)).slice(0, -2)
      }
      let lines = ''
      while (!lines.endsWith('\r\n\r\n') && lines !== '\r\n') lines += await peer.read('\r\n')
      message.trailers = fieldsOf(lines.split('\r\n').slice(0, -2))
      return
    }
    const length = message.header('content-length')
    if (length !== undefined) message.body = length === '0' ? '' : await peer.read(Number(length))
    else if (response) message.body = await peer.text()
  }
}

/** Says what a request is answered, in whole; undefined for nothing. */
export type Answering = (
  request: Message,
  peer: TestPeer,
  number: number,
) => string | undefined | Promise<string | undefined>

export const pong = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong'

/** An upstream on a real socket that notes every byte and request, and answers what the test says. */
export class Backend implements AsyncDisposable {
  readonly requests: Message[] = []
  /** Every byte that came, over all connections. */
  bytes = 0
  /** How many bytes each connection brought. */
  readonly server: TestServer
  readonly peers: TestPeer[] = []

  private constructor(server: TestServer) {
    this.server = server
  }

  static async start(answering: Answering = () => pong): Promise<Backend> {
    const server = await TestServer.start((peer, socket) => void backend.#serve(peer, socket, answering))
    const backend = new Backend(server)
    return backend
  }

  get address(): string {
    return this.server.address
  }

  /** Connections that were ever accepted. */
  get accepted(): number {
    return this.server.accepted
  }

  /** Connections that are open. */
  get open(): number {
    return this.server.sockets.size
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.server[Symbol.asyncDispose]()
  }

  async #serve(peer: TestPeer, socket: Socket, answering: Answering): Promise<void> {
    this.peers.push(peer)
    socket.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length
    })
    const wire = new Wire(peer)
    for (;;) {
      let request: Message
      try {
        request = await wire.request()
      } catch {
        return peer.end()
      }
      this.requests.push(request)
      const answer = await answering(request, peer, this.requests.length)
      if (answer === undefined) continue
      if (/\r\nconnection: close\r\n/i.test(answer)) return peer.end(Buffer.from(answer, 'latin1'))
      void peer.write(Buffer.from(answer, 'latin1'))
    }
  }
}

/** A response with a length. */
export function ok(body: string, fields = ''): string {
  return `HTTP/1.1 200 OK\r\n${fields}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}

export function get(target = '/', fields = ''): string {
  return `GET ${target} HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n`
}

export function post(body: string, target = '/', fields = ''): string {
  return `POST ${target} HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${fields}\r\n${body}`
}

/** A promise and what settles it. */
export function gate<T = void>(): { promise: Promise<T>; open: (value: T) => void } {
  let open: (value: T) => void = () => {}
  const promise = new Promise<T>((resolve) => {
    open = resolve
  })
  return { promise, open }
}
