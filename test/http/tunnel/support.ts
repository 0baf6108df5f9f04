import type { TestPeer } from '../../../src/testing/index.ts'
import { dial, TestServer } from '../../support/net.ts'

/** A request for an upgrade. */
export function upgrade(target = '/', fields = '', protocol = 'websocket'): string {
  return `GET ${target} HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: ${protocol}\r\n${fields}\r\n`
}

/** The answer that agrees to it. */
export function yes(fields = '', protocol = 'websocket'): string {
  return `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n${fields}\r\n`
}

/** A complete answer that does not. */
export function refusal(status: number, body: string, fields = ''): string {
  return `HTTP/1.1 ${status} No\r\n${fields}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}

/** A tunnel that is open, and both its ends. */
export interface Opened {
  readonly client: TestPeer
  readonly far: TestPeer
  /** The head that the client got. */
  readonly answer: string
}

/** Opens a tunnel. */
export async function open(
  served: { readonly port: number },
  backend: TunnelBackend,
  { request = upgrade(), answer = yes() }: { request?: string; answer?: string } = {},
): Promise<Opened> {
  const client = await dial(served.port)
  await client.write(request)
  const far = await backend.accept()
  await far.read('\r\n\r\n')
  await far.write(answer)
  return { client, far, answer: await client.read('\r\n\r\n') }
}

/** An upstream whose part the test plays. */
export class TunnelBackend implements AsyncDisposable {
  readonly #server: TestServer

  private constructor(server: TestServer) {
    this.#server = server
  }

  static async start(): Promise<TunnelBackend> {
    return new TunnelBackend(await TestServer.start())
  }

  get address(): string {
    return this.#server.address
  }

  get port(): number {
    return this.#server.port
  }

  /** Connections that are open. */
  get open(): number {
    return this.#server.sockets.size
  }

  get accepted(): number {
    return this.#server.accepted
  }

  /** The next connection. */
  accept(): Promise<TestPeer> {
    return this.#server.accept()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#server[Symbol.asyncDispose]()
  }
}
