import { connect, createServer, type Server, type Socket } from 'node:net'
import { Core, type CoreOptions } from '../../src/index.ts'
import { TestPeer } from '../../src/testing/index.ts'

/** A core that the test's end aborts. */
export function withCore(options: CoreOptions = {}): Core & AsyncDisposable {
  const core = new Core(options)
  return Object.assign(core, {
    async [Symbol.asyncDispose]() {
      core.abort()
      await core.closed
    },
  })
}

/** A client on a real socket. */
export async function dial(where: number | string): Promise<TestPeer> {
  const options = typeof where === 'number' ? { port: where, host: '127.0.0.1' } : { path: where }
  const socket = connect({ ...options, allowHalfOpen: true, noDelay: true })
  await new Promise((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  return new TestPeer(socket)
}

/** A server on a real socket whose part the test plays. */
export class TestServer implements AsyncDisposable {
  readonly server: Server
  readonly sockets: Set<Socket> = new Set()
  #peers: TestPeer[] = []
  #waiting: ((peer: TestPeer) => void)[] = []
  accepted = 0

  constructor(onPeer?: (peer: TestPeer, socket: Socket) => void) {
    this.server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.accepted++
      this.sockets.add(socket)
      socket.once('close', () => this.sockets.delete(socket))
      const peer = new TestPeer(socket)
      onPeer?.(peer, socket)
      const waiting = this.#waiting.shift()
      if (waiting === undefined) this.#peers.push(peer)
      else waiting(peer)
    })
  }

  static async start(onPeer?: (peer: TestPeer, socket: Socket) => void, host = '127.0.0.1'): Promise<TestServer> {
    const it = new TestServer(onPeer)
    await new Promise<void>((resolve) => it.server.listen(0, host, resolve))
    return it
  }

  get port(): number {
    const address = this.server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  accept(): Promise<TestPeer> {
    const peer = this.#peers.shift()
    return peer === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(peer)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    if (!this.server.listening) return
    await new Promise<void>((resolve) => this.server.close(() => resolve()))
  }
}

/**
 * A port on which nobody listens. It is below those that the system gives to whoever asks for any (from 32,768 on), so
 * that no connection or server of another test gets it meanwhile.
 */
export async function closedPort(): Promise<number> {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 20_000)
    const server = createServer()
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!free) continue
    await new Promise((resolve) => server.close(resolve))
    return port
  }
}
