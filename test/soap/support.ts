import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Core, type CoreOptions, type Listener, type ListenerOptions } from '../../src/index.ts'
import { type Envelope, readEnvelope, readFault } from '../../src/soap/envelope-reader.ts'
import { DimeDecoder } from '../../src/soap/framing/dime-decoder.ts'
import { encodeDime } from '../../src/soap/framing/dime-encoder.ts'
import { EnvelopeText } from '../../src/soap/framing/envelope-text.ts'
import { type Attachment, defaultFrameLimits } from '../../src/soap/framing/framing.ts'
import {
  SoapClient,
  type SoapClientOptions,
  type SoapFault,
  type SoapServer,
  type SoapServerOptions,
  type SoapSession,
  type SoapVersion,
  soapServer,
  type XmlElement,
} from '../../src/soap/index.ts'
import { envelopeNamespaces } from '../../src/soap/names.ts'
import { readXml } from '../../src/soap/xml/reader.ts'
import type { ManualClock } from '../../src/testing/index.ts'

export { stands, until } from '../support/until.ts'

/** Lets everything that is due now happen, before a test moves its clock. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Moves a clock on, again and again, until a promise is settled. */
export async function passing<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  let settled = false
  const both = promise.finally(() => {
    settled = true
  })
  both.catch(() => {}) // Whoever waits is told.
  while (!settled) {
    clock.advance(100)
    await turn()
  }
  return both
}

export const soap11: string = envelopeNamespaces['1.1']
export const soap12: string = envelopeNamespaces['1.2']
export const wsa10 = 'http://www.w3.org/2005/08/addressing'
export const wsa2004 = 'http://schemas.xmlsoap.org/ws/2004/08/addressing'
export const own = 'urn:xps:soap:session'

/** A SOAP server on a core of its own, which the test's end aborts. */
export class Served implements AsyncDisposable {
  readonly core: Core
  readonly server: SoapServer
  readonly listener: Listener
  /** What was not taken. */
  readonly rejected: string[] = []
  /** What failed in the host's code. */
  readonly faults: unknown[] = []

  private constructor(core: Core, server: SoapServer, listener: Listener) {
    this.core = core
    this.server = server
    this.listener = listener
    server.on('rejected', (reason) => this.rejected.push(reason))
    core.on('fault', (error) => this.faults.push(error.cause ?? error))
  }

  /** Anybody whose password is `right` may log in, unless the options say otherwise. */
  static async start(
    options: Partial<SoapServerOptions> = {},
    core: CoreOptions = {},
    listening: Partial<ListenerOptions> = {},
  ): Promise<Served> {
    const it = new Core(core)
    const server = soapServer({
      login: ({ password }) => password === 'right',
      processors: {},
      loginDelay: 1,
      ...options,
    })
    it.own(server)
    const listener = await it.listen(
      { port: 0, host: '127.0.0.1' },
      { lingerTimeout: 200, ...listening, protocol: server },
    )
    return new Served(it, server, listener)
  }

  get address(): string {
    return `soap.tcp://127.0.0.1:${this.listener.port}/`
  }

  client(options: Partial<SoapClientOptions> = {}): SoapClient {
    return new SoapClient(this.address, { username: 'ann', password: 'right', ...options })
  }

  async loggedIn(options: Partial<SoapClientOptions> = {}): Promise<SoapClient> {
    return this.client(options).login()
  }

  /** A peer that sends whatever the test wants. */
  async raw(version: SoapVersion = '1.2', localAddress = '127.0.0.1'): Promise<RawPeer> {
    const { port } = this.listener
    const socket = connect({ port, host: '127.0.0.1', localAddress, allowHalfOpen: true, noDelay: true })
    await once(socket, 'connect')
    return new RawPeer(socket, version)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.core.abort()
    await this.core.closed
  }
}

/** The sessions that log in, in their order. */
export function sessionsOf(served: Served): SoapSession[] {
  const sessions: SoapSession[] = []
  served.server.on('login', (session) => sessions.push(session))
  return sessions
}

/** What a raw peer was sent. */
export interface Got extends Envelope {
  readonly fault: SoapFault | undefined
  readonly action: string
  readonly relatesTo: string | undefined
  readonly attachments: readonly Attachment[]
  readonly body: XmlElement | undefined
  header(name: string): XmlElement | undefined
}

/** What a raw peer does with its connection; what comes is not kept here. */
class Line {
  readonly #socket: Socket
  /** How many bytes have come. */
  received = 0
  over = false

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.length
    })
    for (const event of ['end', 'close'] as const) {
      socket.on(event, () => {
        this.over = true
      })
    }
    socket.on('error', () => {}) // Its close tells of it.
  }

  write(bytes: Uint8Array | string): Promise<void> {
    return new Promise((resolve) => this.#socket.write(bytes, () => resolve()))
  }

  end(bytes: Uint8Array | string = ''): void {
    this.#socket.end(bytes)
  }

  reset(): void {
    this.#socket.resetAndDestroy()
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Waits for the other side's end. */
  async ended(): Promise<void> {
    if (this.over) return
    await new Promise<void>((resolve) => {
      for (const event of ['end', 'close'] as const) this.#socket.once(event, () => resolve())
    })
  }
}

/** The other side of a server, byte by byte. */
export class RawPeer {
  readonly peer: Line
  readonly version: SoapVersion
  readonly sessionId: string = randomUUID()
  readonly #got: Got[] = []
  #waiting: (() => void)[] = []
  #decoder: DimeDecoder
  #text = ''
  #attachments: Attachment[] = []

  constructor(socket: Socket, version: SoapVersion = '1.2') {
    this.peer = new Line(socket)
    this.version = version
    socket.on('data', (chunk: Buffer) => {
      this.#decoder.decode(chunk)
      this.#wake()
    })
    for (const event of ['end', 'close']) socket.on(event, () => this.#wake())
    const text = new EnvelopeText('utf-8')
    this.#decoder = new DimeDecoder(
      {
        messageBegan: () => {
          this.#text = ''
          this.#attachments = []
        },
        envelope: (bytes, last) => {
          this.#text += text.decode(bytes, last)
        },
        attachment: (attachment) => this.#attachments.push(attachment),
        messageEnded: () => {
          this.#got.push(parse(this.#text, this.#attachments))
          return true
        },
      },
      defaultFrameLimits,
    )
  }

  /** An envelope of this peer's version. */
  envelope(headers: string, body: string): string {
    return envelopeText(this.version, headers, body)
  }

  /** Sends an envelope as it is. */
  async sendText(text: string, attachments?: readonly Attachment[]): Promise<void> {
    await this.peer.write(encodeDime(this.version, text, attachments))
  }

  /** Sends a message with an action, and with what else is given; the session is named if it is not left out. */
  async send(
    action: string,
    body = '',
    more: { headers?: string; id?: string; session?: string | false } = {},
  ): Promise<string> {
    const id = more.id ?? `urn:uuid:${randomUUID()}`
    const session = more.session ?? this.sessionId
    const named = session === false ? '' : `<Session xmlns="${own}">${session}</Session>`
    const addressing = `<a:Action>${action}</a:Action><a:MessageID>${id}</a:MessageID>`
    await this.sendText(this.envelope(`${addressing}${named}${more.headers ?? ''}`, body))
    return id
  }

  /** The next message. Rejects if the other side ends before there is one. */
  async next(): Promise<Got> {
    while (this.#got.length === 0) {
      if (this.peer.over) throw new Error('the other side ended')
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    return this.#got.shift() as Got
  }

  /** Messages that have come and were not asked for. */
  get waiting(): number {
    return this.#got.length
  }

  /** Logs in, and returns what came back. */
  async login(password = 'right', more = '', sessionId: string = this.sessionId): Promise<Got> {
    const body = `<Login xmlns="${own}"><Session>${sessionId}</Session><Username>ann</Username><Password>${password}</Password>${more}</Login>`
    await this.send(`${own}/login`, body, { session: false })
    return this.next()
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}

export function envelopeText(version: SoapVersion, headers: string, body: string): string {
  return `<s:Envelope xmlns:s="${envelopeNamespaces[version]}" xmlns:a="${wsa10}"><s:Header>${headers}</s:Header><s:Body>${body}</s:Body></s:Envelope>`
}

function parse(text: string, attachments: readonly Attachment[]): Got {
  const envelope = readEnvelope(readXml(text))
  const header = (name: string): XmlElement | undefined => envelope.headers.find((one) => one.name === name)
  return {
    ...envelope,
    fault: readFault(envelope),
    attachments,
    body: envelope.bodies[0],
    action: header('Action')?.text ?? '',
    relatesTo: header('RelatesTo')?.text,
    header,
  }
}
