import type { IncomingMessage } from 'node:http'
import { Deadlines } from '../admission/deadlines.ts'
import { defaultTimeouts, type Timeouts } from '../admission/timeouts.ts'
import type { Alarm, Clock } from '../clock.ts'
import { type TimeoutReason, XpsError } from '../errors.ts'
import type { ClientStream, ReadyHead, ResponseSink } from '../http/client-stream.ts'
import type { Fields } from '../http/fields.ts'
import { ForwardedClient } from '../http/forwarding/forwarded-client.ts'
import { HookScope, type Hooks } from '../http/hooks.ts'
import type { RequestHead } from '../http/messages.ts'
import type { PreparedRoute } from '../http/routes.ts'
import type { HttpScope } from '../http/scope.ts'
import type { HttpSession } from '../http/session.ts'
import { type Slot, Slots } from '../http/slots.ts'
import { Transaction } from '../http/transaction.ts'
import type { Tunnel } from '../http/tunnel.ts'
import type { PipeSource } from '../pipe/source.ts'
import type { Generation } from './generation.ts'
import type { Times } from './options.ts'
import { isEncrypted } from './outgoing.ts'
import type { RequestBody } from './request-body.ts'

/** A body that is not longer is handed over whole, and can be sent once more where that does no harm. */
const wholeBody = 64 * 1024
/** How soon it is looked again at deadlines that have passed, and how late at any, in milliseconds. */
const soonLook = 250
const longestLook = 60_000

let lastNumber = 0

/** What an exchange is made of. */
export interface ExchangeParts {
  readonly req: IncomingMessage
  readonly head: RequestHead
  readonly body: RequestBody
  readonly route: PreparedRoute
  readonly times: Times
  readonly generation: Generation
}

/**
 * One request of Node's server on its way to a target: what the machine of `xps/http` takes for a client's session with
 * one transaction. What becomes of the response is up to the kind.
 */
export abstract class Exchange implements HttpSession, ClientStream {
  readonly id: string = `http-proxy-${++lastNumber}`
  readonly request: RequestHead
  /** Its socket is Node's. */
  readonly tls: undefined
  readonly forwardedClient: ForwardedClient
  readonly hooks: HookScope = new HookScope()
  readonly timeouts: Timeouts
  readonly account: undefined = undefined
  readonly poolClient: undefined = undefined
  readonly connectTimeout: number
  protected readonly req: IncomingMessage
  protected readonly times: Times
  readonly #body: RequestBody
  readonly #generation: Generation
  readonly #scope: HttpScope
  readonly #route: PreparedRoute
  #transaction: Transaction | undefined
  #slots: Slots | undefined
  #alarm: Alarm | undefined

  constructor(parts: ExchangeParts) {
    const { req, times } = parts
    this.req = req
    this.request = parts.head
    this.times = times
    this.#body = parts.body
    this.#generation = parts.generation
    this.#scope = parts.generation.scope(times)
    this.#route = parts.route
    this.connectTimeout = times.connect
    this.timeouts = {
      ...defaultTimeouts,
      clientIdleTimeout: times.client,
      upstreamIdleTimeout: times.proxy,
      tunnelIdleTimeout: times.tunnel,
    }
    this.forwardedClient = new ForwardedClient({ address: req.socket.remoteAddress, secure: isEncrypted(req) })
  }

  /** Sends the request. */
  start(): void {
    const transaction = new ExchangeTransaction(this.#scope, this)
    this.#transaction = transaction
    transaction.usePrepared(this.#route)
    this.#generation.add(transaction)
    this.began(transaction)
    transaction.start()
    if (transaction.phase !== 'closed') this.#watchTime()
  }

  protected get transaction(): Transaction | undefined {
    return this.#transaction
  }

  /** Its transaction is there, and about to start. */
  protected began(_transaction: Transaction): void {}

  /** There is a tunnel more, or less. */
  protected tunnelled(count: 1 | -1): void {
    this.#generation.tunnels += count
  }

  /** Throws if the proxy is closing: a tunnel, which has no end of its own, is not begun then. */
  protected mustBeOpen(): void {
    if (this.#generation.phase !== 'open') throw new XpsError('XPS_CLOSED', 'the proxy is closing')
  }

  /** All of it is over: told once. */
  abstract closed(): void

  /** What must have happened by when, besides what the transaction says. */
  protected deadlines(deadlines: Deadlines): void {
    const { waitingSince } = this.#body
    if (waitingSince !== undefined) deadlines.offer(waitingSince, this.times.client, 'request-body')
  }

  /** @internal */
  over(): void {
    this.#alarm?.cancel()
    this.#alarm = undefined
    this.#body.release()
    this.closed()
  }

  // What a session is.

  get transactions(): number {
    return 1
  }

  get remoteAddress(): string | undefined {
    return this.req.socket.remoteAddress
  }

  get port(): number {
    return this.req.socket.localPort ?? 0
  }

  get secure(): boolean {
    return this.forwardedClient.secure
  }

  get clock(): Clock {
    return this.#generation.clock
  }

  hook(hooks: Hooks): void {
    this.hooks.add(hooks)
  }

  get<T>(slot: Slot<T>): T | undefined {
    return this.#slots?.get(slot)
  }

  set<T>(slot: Slot<T>, value: T): void {
    this.#slots ??= new Slots()
    this.#slots.set(slot, value)
  }

  time(): number {
    return this.#generation.time()
  }

  // What a client's stream is.

  get requestLength(): number {
    return this.#body.length
  }

  /** Node's server has told the client to go on, unless a program has taken that over. */
  get expectsContinue(): boolean {
    return false
  }

  get requestBytes(): Uint8Array | undefined {
    const { bytes } = this.#body
    return bytes !== undefined && bytes.length > 0 && bytes.length <= wholeBody ? bytes : undefined
  }

  requestBody(): PipeSource {
    return this.#body.source()
  }

  get requestTrailers(): Fields | undefined {
    return this.#body.trailers
  }

  get requestComplete(): boolean {
    return this.#body.complete
  }

  /** The client is in the middle of a body that nobody reads. */
  protected get abandoned(): boolean {
    return this.#body.abandoned
  }

  abstract inform(head: ReadyHead): void
  abstract respond(head: ReadyHead, length: number, body: Uint8Array | null): undefined
  abstract respond(head: ReadyHead, length: number, body: undefined): ResponseSink

  /** What the client wants to switch to; nothing, of an ordinary request. */
  get upgrade(): string | undefined {
    return undefined
  }

  switchTo(_head: ReadyHead): Tunnel {
    throw new XpsError('XPS_FAULT', 'the request did not ask to switch')
  }

  respondAgain(): boolean {
    return false
  }

  abstract endAfter(): void
  abstract cut(error: XpsError): void

  /** One alarm for all its deadlines, set for the first of them. */
  #watchTime(): void {
    const transaction = this.#transaction as Transaction
    const deadlines = new Deadlines(this.clock.now())
    transaction.deadlines(deadlines)
    this.deadlines(deadlines)
    let wait: number
    if (deadlines.passed) {
      this.#timedOut(transaction, deadlines.reason as TimeoutReason)
      // It may go on, with other deadlines.
      wait = soonLook
    } else {
      // In a tunnel nothing can begin but a stall.
      if (transaction.state === 'tunnel') deadlines.mayBegin(this.timeouts.upstreamIdleTimeout)
      else for (const timeout of this.#scope.looks) deadlines.mayBegin(timeout)
      if (this.upgrade !== undefined) deadlines.mayBegin(this.timeouts.tunnelIdleTimeout)
      deadlines.mayBegin(this.times.client)
      deadlines.mayBegin(longestLook)
      wait = deadlines.wait
    }
    if (transaction.phase !== 'closed') this.#alarm = this.clock.after(wait, () => this.#watchTime())
  }

  #timedOut(transaction: Transaction, reason: TimeoutReason): void {
    const origin = reason === 'request-body' || reason === 'client-idle' ? 'client' : 'upstream'
    const elapsed = transaction.age
    const message = `the request took too long: ${reason} after ${Math.round(elapsed)} ms`
    transaction.timedOut(new XpsError('XPS_TIMEOUT', message, { origin, reason, elapsed }))
  }
}

/** A transaction that tells its exchange of its end. */
class ExchangeTransaction extends Transaction {
  readonly #exchange: Exchange

  constructor(scope: HttpScope, exchange: Exchange) {
    super(scope, exchange, exchange, 1)
    this.#exchange = exchange
  }

  protected override onClosed(error: XpsError | undefined): void {
    super.onClosed(error)
    this.#exchange.over()
  }
}
