import {
  createServer,
  type IncomingMessage,
  request as nodeRequest,
  type RequestListener,
  type Server,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { createProxyServer, type ProxyServer, type ProxyServerOptions } from '../../src/http-proxy/index.ts'
import type { TestPeer } from '../../src/testing/index.ts'
import { dial } from '../support/net.ts'

export { stands, until } from '../support/until.ts'

/** A server of Node's on a port of its own. */
export class TestHttp implements AsyncDisposable {
  readonly server: Server

  private constructor(server: Server) {
    this.server = server
  }

  static async start(listener: RequestListener | Server): Promise<TestHttp> {
    const server = typeof listener === 'function' ? createServer(listener) : listener
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new TestHttp(server)
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  get host(): string {
    return `127.0.0.1:${this.port}`
  }

  get url(): string {
    return `http://${this.host}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections()
    await new Promise<void>((resolve) => this.server.close(() => resolve()))
  }
}

/** What an {@link echo} server has seen of a request. */
export interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: Record<string, string>
  readonly raw: string[]
  readonly body: string
}

/** A server that answers what it was asked, as JSON. */
export function echo(): Promise<TestHttp> {
  return TestHttp.start((req, res) => {
    void text(req).then((body) => {
      const { method, url, headers, rawHeaders: raw } = req
      res.setHeader('content-type', 'application/json')
      res.end(JSON.stringify({ method, url, headers, raw, body }))
    })
  })
}

/** A server that sends a body back as it comes. */
export function mirror(): Promise<TestHttp> {
  return TestHttp.start((req, res) => void req.pipe(res))
}

/** All of a stream, as text. */
export async function text(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

/** A proxy in a server of Node's, which the test's end closes. */
export class Front implements AsyncDisposable {
  readonly proxy: ProxyServer
  readonly http: TestHttp

  private constructor(proxy: ProxyServer, http: TestHttp) {
    this.proxy = proxy
    this.http = http
  }

  /** Without a listener of its own, each request is given to `proxy.web`. */
  static async start(
    options: ProxyServerOptions,
    listener: (proxy: ProxyServer) => RequestListener = (proxy) => (req, res) => void proxy.web(req, res),
  ): Promise<Front> {
    const proxy = createProxyServer(options)
    return new Front(proxy, await TestHttp.start(listener(proxy)))
  }

  get port(): number {
    return this.http.port
  }

  get url(): string {
    return this.http.url
  }

  /** One request by Node's client. */
  ask(path = '/', options: AskOptions = {}): Promise<Answer> {
    return ask(this.port, path, options)
  }

  /** What an {@link echo} server behind it sees of a request. */
  async seen(path = '/', options: AskOptions = {}): Promise<Seen> {
    const answer = await this.ask(path, options)
    return JSON.parse(answer.body) as Seen
  }

  dial(): Promise<TestPeer> {
    return dial(this.port)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.http[Symbol.asyncDispose]()
    await this.proxy.close()
  }
}

export interface AskOptions {
  method?: string
  headers?: Record<string, string | string[]>
  body?: string | Buffer
}

export interface Answer {
  readonly status: number
  readonly message: string
  readonly headers: IncomingMessage['headers']
  readonly raw: string[]
  readonly trailers: IncomingMessage['trailers']
  readonly body: string
  /** Interim responses before it. */
  readonly interim: { status: number; headers: IncomingMessage['headers'] }[]
}

/** One request on a connection of its own. */
export function ask(port: number, path = '/', { method, headers = {}, body }: AskOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const chosen = method ?? (body === undefined ? 'GET' : 'POST')
    const interim: Answer['interim'] = []
    const req = nodeRequest({ host: '127.0.0.1', port, path, method: chosen, headers, agent: false })
    req.on('information', (info) => interim.push({ status: info.statusCode, headers: info.headers }))
    req.on('error', reject)
    req.on('response', (res) => {
      res.on('error', reject)
      void text(res).then((all) => {
        resolve({
          status: res.statusCode ?? 0,
          message: res.statusMessage ?? '',
          headers: res.headers,
          raw: res.rawHeaders,
          trailers: res.trailers,
          body: all,
          interim,
        })
      }, reject)
    })
    req.end(body)
  })
}

/** The values of a field in a flat list. */
export function valuesOf(raw: readonly string[], name: string): string[] {
  return raw.filter((_, at) => at % 2 === 1 && (raw[at - 1] as string).toLowerCase() === name)
}

/** Waits for an event of a proxy, and returns its arguments. */
export function told(proxy: ProxyServer, event: Parameters<ProxyServer['once']>[0]): Promise<unknown[]> {
  return new Promise((resolve) => proxy.once(event, (...args: unknown[]) => resolve(args)))
}
