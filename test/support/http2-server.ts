import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import { Http2Wire, type WireOptions } from './http2-wire.ts'

/** An HTTP/2 server whose part the test plays, frame by frame. */
export class Http2Server implements AsyncDisposable {
  readonly server: Server
  readonly sockets: Set<Socket> = new Set()
  /** One for each connection that was ever accepted. */
  readonly wires: Http2Wire[] = []
  /** What the plays threw; a test that ends well looks here. */
  readonly errors: Error[] = []
  #waiting: (() => void)[] = []
  #taken = 0

  private constructor(server: Server) {
    this.server = server
  }

  /** `play` is called for each connection; without it, the test takes them by {@link accept}. */
  static async start(
    play?: (wire: Http2Wire, number: number) => void | Promise<void>,
    options: Omit<WireOptions, 'tls'> & { readonly tls?: TlsOptions } = {},
  ): Promise<Http2Server> {
    const { tls, ...wireOptions } = options
    const onSocket = (socket: Socket): void => {
      it.sockets.add(socket)
      socket.once('close', () => it.sockets.delete(socket))
      const wire = Http2Wire.serve(socket, wireOptions)
      it.wires.push(wire)
      void Promise.resolve(play?.(wire, it.wires.length)).catch((error: Error) => it.errors.push(error))
      for (const resolve of it.#waiting.splice(0)) resolve()
    }
    const it: Http2Server = new Http2Server(
      tls === undefined
        ? createServer({ noDelay: true }, onSocket)
        : createTlsServer({ ALPNProtocols: ['h2'], noDelay: true, ...tls }, onSocket),
    )
    await new Promise<void>((resolve) => it.server.listen(0, '127.0.0.1', resolve))
    return it
  }

  get port(): number {
    const address = this.server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  /** The next connection. */
  async accept(): Promise<Http2Wire> {
    while (this.#taken >= this.wires.length) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    return this.wires[this.#taken++] as Http2Wire
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    if (this.server.listening) await new Promise<void>((resolve) => this.server.close(() => resolve()))
  }
}

/** Answers each request of a connection, until it ends. */
export async function answerAll(
  wire: Http2Wire,
  answer: (wire: Http2Wire, stream: number) => void | Promise<void>,
): Promise<void> {
  for (;;) {
    let id: number
    try {
      id = (await wire.request()).id
    } catch {
      return
    }
    await answer(wire, id)
  }
}
