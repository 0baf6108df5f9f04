import {
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { AddressInfo } from 'node:net'

/** What the cases of conformance are put to: a port, and what reached the application in whole. */
export interface Target extends AsyncDisposable {
  readonly port: number
  /** How many requests were read to their end. */
  reached(): number
}

/** A bare server of Node, which answers as the cases want it. */
export async function nodeTarget(): Promise<Target> {
  let reached = 0
  const sessions = new Set<ServerHttp2Session>()
  const server: Http2Server = createServer({ settings: { maxConcurrentStreams: 100 } })
  server.on('session', (session) => {
    sessions.add(session)
    session.on('close', () => sessions.delete(session))
    session.on('error', () => {})
  })
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _flags: number, raw: string[]) => {
    const body: Buffer[] = []
    stream.on('error', () => {})
    stream.on('data', (chunk: Buffer) => body.push(chunk))
    stream.on('end', () => {
      if (stream.rstCode !== 0 || stream.aborted) return
      reached++
      const path = headers[':path']
      if (path === '/hold' || stream.destroyed) return
      stream.respond({ ':status': 200 }, { endStream: path === '/empty' })
      if (path === '/empty') return
      if (path === '/echo') stream.end(Buffer.concat(body))
      else if (path === '/long') stream.end('x'.repeat(200_000))
      else if (headers[':method'] === 'HEAD') stream.end()
      else if (path !== '/fields') stream.end('what is answered to everybody')
      else {
        const lines = raw.flatMap((name, at) => (at % 2 === 0 ? [`${name}: ${headers[name] ?? raw[at + 1]}\n`] : []))
        stream.end(Buffer.from(lines.join(''), 'latin1'))
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    reached: () => reached,
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
