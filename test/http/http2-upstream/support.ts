import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type Http2Server as NodeHttp2Server,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { HttpOptions } from '../../../src/http/http.ts'
import type { ForwardRoute } from '../../../src/http/routes.ts'
import { Served } from '../e2e/support.ts'

export * from '../e2e/support.ts'

/** What an upstream does with a request. */
export type Answer2 = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, raw: readonly string[]) => void

/** An upstream that speaks HTTP/2, by node:http2. */
export class Backend2 implements AsyncDisposable {
  readonly server: NodeHttp2Server | Http2SecureServer
  readonly sessions: Set<ServerHttp2Session> = new Set()
  readonly requests: IncomingHttpHeaders[] = []
  /** Connections and streams that there ever were. */
  accepted = 0
  streams: Set<ServerHttp2Stream> = new Set()

  private constructor(server: NodeHttp2Server | Http2SecureServer, answer: Answer2) {
    this.server = server
    server.on('session', (session: ServerHttp2Session) => {
      this.accepted++
      this.sessions.add(session)
      session.on('error', () => {})
      session.once('close', () => this.sessions.delete(session))
    })
    server.on('stream', (...told: unknown[]) => {
      const [stream, headers, , raw] = told as [ServerHttp2Stream, IncomingHttpHeaders, number, string[]]
      this.requests.push(headers)
      this.streams.add(stream)
      stream.on('error', () => {})
      stream.once('close', () => this.streams.delete(stream))
      answer(stream, headers, raw)
    })
  }

  /** Without `tls` in clear text. */
  static async start(
    answer: Answer2 = pong2,
    options: ServerOptions & { tls?: SecureServerOptions } = {},
  ): Promise<Backend2> {
    const { tls, ...others } = options
    const server = tls === undefined ? createServer(others) : createSecureServer({ ...others, ...tls })
    const it = new Backend2(server, answer)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return it
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  get h2c(): string {
    return `h2c://${this.address}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.sessions) session.destroy()
    await new Promise<void>((resolve) => this.server.close(() => resolve()))
  }
}

export const pong2: Answer2 = (stream) => {
  stream.respond({ ':status': 200, 'content-length': 4 })
  stream.end('pong')
}

/** Reads a body. */
export async function textOf(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

/** Starts a reverse proxy to an upstream by HTTP/2 in clear text. */
export function proxy2(
  upstream: { h2c: string } | { address: string },
  route: Partial<ForwardRoute> = {},
  options: HttpOptions = {},
): Promise<Served> {
  const where = 'h2c' in upstream ? upstream.h2c : `h2c://${upstream.address}`
  return Served.start({ routes: [{ upstream: where, ...route }], ...options })
}
