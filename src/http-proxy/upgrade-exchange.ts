import type { Duplex } from 'node:stream'
import type { Deadlines } from '../admission/deadlines.ts'
import { Connection } from '../core/connection.ts'
import { Output, type OutputOwner } from '../core/output.ts'
import { XpsError } from '../errors.ts'
import type { ReadyHead, ResponseSink } from '../http/client-stream.ts'
import { plainFaultAnswer } from '../http/faults.ts'
import { BodySink, type BodyWriter } from '../http/http1/body-sink.ts'
import { untilClose } from '../http/http1/head-reader.ts'
import { RawSink } from '../http/http1/raw-sink.ts'
import { statusLine } from '../http/http1/status-line.ts'
import type { ResponseHead } from '../http/messages.ts'
import type { Transaction } from '../http/transaction.ts'
import type { Tunnel } from '../http/tunnel.ts'
import { HandOverSink, HandOverSource } from '../pipe/hand-over.ts'
import { Pipe } from '../pipe/pipe.ts'
import type { PipeSink } from '../pipe/sink.ts'
import { PipeSource } from '../pipe/source.ts'
import { NoSink } from './client-response.ts'
import { EarlySink } from './early-sink.ts'
import { Exchange, type ExchangeParts } from './exchange.ts'
import { ProxyError } from './proxy-error.ts'
import { isTargets, ProxySocket } from './proxy-socket.ts'

/** What an {@link UpgradeExchange} tells whoever began it. */
export interface UpgradeListener {
  /** The target has switched, and bytes are about to flow. */
  opened(socket: ProxySocket): void
  /** The tunnel is over. */
  closed(socket: ProxySocket, response: ResponseHead): void
  /** There is no tunnel, or it broke off. False if nobody was told. */
  failed(error: ProxyError): boolean
  /** Nothing more comes; told last. */
  over(): void
}

/** Sends a request for an upgrade to a target, and joins the client of Node's server to it. */
export class UpgradeExchange extends Exchange implements OutputOwner, BodyWriter {
  readonly #client: Connection
  readonly #listener: UpgradeListener
  readonly #early: EarlySink
  readonly #output: Output
  readonly #inbound: Pipe
  readonly #outbound: Pipe
  #sink: BodySink | RawSink | undefined
  #socket: ProxySocket | undefined
  #failure: XpsError | undefined
  #told = false

  constructor(parts: ExchangeParts, socket: Duplex, head: Uint8Array, listener: UpgradeListener) {
    super(parts)
    this.#listener = listener
    this.#client = new Connection(socket, { clock: this.clock, timeouts: this.timeouts })
    this.#client.unshift(head)
    this.#early = new EarlySink((error) => this.transaction?.clientLeft(error))
    this.#output = new Output(this)
    this.#inbound = new Pipe()
    this.#outbound = new Pipe(this.#output, this.#client.sink)
  }

  override get upgrade(): string | undefined {
    const { upgrade } = this.req.headers
    return upgrade === '' ? undefined : upgrade
  }

  protected override began(transaction: Transaction): void {
    transaction.carry(this.#client)
    this.#inbound.attachSource(this.#client.source)
    this.#inbound.attachSink(this.#early)
  }

  inform(): void {}

  respond(head: ReadyHead, length: number, body: Uint8Array | null): undefined
  respond(head: ReadyHead, length: number, body: undefined): ResponseSink
  respond(head: ReadyHead, length: number, body: Uint8Array | null | undefined): ResponseSink | undefined {
    const failure = this.transaction?.failure
    if (failure !== undefined) {
      this.#answer(failure)
      return body === undefined ? new NoSink((error) => this.transaction?.responded(error)) : undefined
    }
    // The target has refused: the client gets it as it is, and nothing else on this connection.
    const framing = length >= 0 ? `content-length: ${length}\r\n` : ''
    const output = this.#output
    output.text(`${statusLine(head.status, head.reason)}${head.block()}${framing}connection: close\r\n\r\n`)
    if (body === undefined) {
      output.schedule()
      const sink = new BodySink(this, output, length >= 0 ? length : untilClose)
      this.#sink = sink
      return sink
    }
    if (body !== null && body.length > 0) output.whole(body)
    output.end()
    return undefined
  }

  override switchTo(head: ReadyHead): Tunnel {
    const transaction = this.transaction as Transaction
    this.mustBeOpen()
    const source = this.#takeInput()
    const upgrade = `connection: Upgrade\r\nupgrade: ${head.upgrade ?? ''}\r\n`
    this.#output.text(`${statusLine(head.status, head.reason)}${head.block()}${upgrade}\r\n`)
    this.#output.flush()
    const sink = this.#takeOutput()
    const socket = new ProxySocket(transaction)
    this.#socket = socket
    this.tunnelled(1)
    this.#listener.opened(socket)
    return { source, sink: socket.listenerCount('data') > 0 ? tapped(socket, sink) : sink }
  }

  endAfter(): void {}

  cut(error: XpsError): void {
    this.#failure ??= error
    this.#client.abort(error)
    this.#sink?.close(error)
  }

  override closed(): void {
    const socket = this.#socket
    const failure = this.#failure ?? this.transaction?.failure
    const error = isTargets(failure) && !this.#told ? new ProxyError(failure) : undefined
    if (error !== undefined) this.#listener.failed(error)
    if (socket !== undefined) {
      this.tunnelled(-1)
      socket.over(error)
      this.#listener.closed(socket, this.transaction?.response as ResponseHead)
    }
    this.#listener.over()
  }

  /** @internal */
  bodyWritten(error: XpsError | undefined): void {
    this.#sink = undefined
    if (error === undefined) this.#output.end()
    this.transaction?.responded(error)
  }

  /** @internal */
  outputReady(): void {
    this.#sink?.outputReady()
  }

  /** @internal */
  outputOver(error: XpsError | undefined): void {
    const sink = this.#sink
    if (sink instanceof RawSink) return sink.close(error)
    const reason = error ?? new XpsError('XPS_RESET', 'the client takes no more', { origin: 'client' })
    if (error !== undefined) this.transaction?.clientLeft(reason)
    sink?.close(reason)
  }

  protected override deadlines(deadlines: Deadlines): void {
    super.deadlines(deadlines)
    const client = this.#client
    if (client.stalled) deadlines.offer(client.lastOut, this.times.client, 'client-idle')
  }

  /** Whoever is told of the error may answer at once. */
  #answer(failure: XpsError): void {
    this.#told = true
    if (!this.#listener.failed(new ProxyError(failure))) {
      const { status, body = '' } = plainFaultAnswer(failure)
      const text = String(body)
      const fields = `content-type: text/plain; charset=utf-8\r\ncontent-length: ${text.length}\r\nconnection: close\r\n`
      this.#output.text(`${statusLine(status, '')}${fields}\r\n${text}`)
    }
    this.#output.end()
  }

  #takeInput(): PipeSource {
    const early = this.#early.collect()
    if (this.#early.ended || this.#inbound.detachSource() === undefined) return PipeSource.from(early)
    this.#inbound.detachSink()
    this.#client.unshift(early)
    return this.#client.source
  }

  #takeOutput(): PipeSink {
    if (this.#output.empty && this.#outbound.detachSink() !== undefined) {
      this.#outbound.detachSource()
      return this.#client.sink
    }
    this.#sink = new RawSink(this.#output)
    return this.#sink
  }
}

/** A sink whose bytes are shown on their way to another. */
function tapped(socket: ProxySocket, sink: PipeSink): PipeSink {
  const passed = new HandOverSource()
  const entrance = new HandOverSink(passed)
  const show = (chunk: Uint8Array): Uint8Array => {
    socket.tell('data', Buffer.from(chunk))
    return chunk
  }
  new Pipe(passed, sink, { through: [show] })
  return entrance
}
