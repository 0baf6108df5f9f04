import type { Deadlines } from '../admission/deadlines.ts'
import type { Connection } from '../core/connection.ts'
import { XpsError } from '../errors.ts'
import { Pipe } from '../pipe/pipe.ts'
import type { PipeSource } from '../pipe/source.ts'
import type { ReadyHead, ResponseSink } from './client-stream.ts'
import { withoutGuarded } from './field-guards.ts'
import type { Fields } from './fields.ts'
import { ForwardedRequest } from './forwarded-request.ts'
import type { Forwarder, IncomingResponse, TunnelTimes } from './forwarder.ts'
import type { ForwardedClient } from './forwarding/forwarded-client.ts'
import type { Answered, Forwarding } from './forwarding/forwarding.ts'
import type { RequestHead, ResponseHead } from './messages.ts'
import type { Origin } from './pool/origin.ts'
import type { UpstreamGroup } from './pool/upstream-group.ts'
import type { Waiter } from './pool/waiting.ts'
import type { Transaction } from './transaction.ts'
import type { Tunnel } from './tunnel.ts'
import type { UpgradeRule } from './upgrade.ts'
import type { UpstreamExchange, UpstreamSession } from './upstream-session.ts'

/** Methods that may be sent again if nobody knows whether they were seen (RFC 9110, 9.2.2). */
const idempotent = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

/** How often a request is tried in all. */
const mostAttempts = 3

/**
 * Sends a transaction's request to an upstream, and brings the response back: chooses an address, waits for a
 * connection, and tries again elsewhere where nobody can have seen the request, or where it does no harm.
 */
export class Forward implements Forwarder, Waiter, UpstreamExchange, IncomingResponse, Answered {
  method: string
  head: ResponseHead = noHead
  length = 0
  body: Uint8Array | PipeSource = nothing
  tunnel: Tunnel | undefined
  readonly tunnelTimes: Partial<TunnelTimes>
  readonly #transaction: Transaction
  readonly #group: UpstreamGroup
  readonly #forwarding: Forwarding
  /** What the connection is to be switched to. */
  readonly #upgrade: string | undefined
  #origin: Origin
  /** What it asked for a connection: of the origin, that which is for its client. */
  #pool: Origin | undefined
  /** Where the client went before, as its cookie says. */
  readonly #held: Origin | undefined
  /** Origins that could not be connected to, in this transaction. */
  #tried: Origin[] | undefined
  #attempts = 0
  /** Chosen by a hook: nothing else is tried. */
  #fixed = false
  #session: UpstreamSession | undefined
  /** Where its tunnel leads by. */
  #far: Connection | undefined
  #waiting = false
  /** It needs a connection that speaks HTTP/1.1. */
  #http1: boolean
  /** The request is on its way on the connection. */
  #sent = false
  #requestPipe: Pipe | undefined
  /** Some of a body that cannot be repeated has been sent. */
  #bodyGone = false
  /** The connection had carried, or carries, other requests: what breaks it need not be about this one. */
  #reused = false
  #responded = false
  #retreated = false
  #sink: ResponseSink | undefined
  /** What followed the response's body. */
  #trailers: Fields | undefined

  constructor(transaction: Transaction, group: UpstreamGroup, rules: ForwardRules) {
    const { request, stream } = transaction
    this.#transaction = transaction
    this.#group = group
    const { forwarding } = rules
    this.#forwarding = forwarding
    this.tunnelTimes = rules.tunnelTimes
    this.method = request.method
    const { session } = transaction
    // A hook may have taken the field away.
    if (stream.upgrade !== undefined && request.headers.has('upgrade')) {
      this.#upgrade = rules.upgrade.passed(stream.upgrade)
      if (this.#upgrade !== undefined) transaction.scope.mayTunnel()
    }
    this.#http1 = this.#upgrade !== undefined
    const stop = forwarding.stops(request)
    if (stop !== undefined) throw stopped(stop)
    this.#held = group.sticky?.take(request.headers)
    const held = this.#held?.down(session.time()) === false ? this.#held : undefined
    this.#origin = held ?? group.pick(session.time(), this)
    if (group.limit !== undefined) {
      const address = this.clientAddress()
      // Who comes by a socket of this machine has none.
      if (address !== '') transaction.own(group.limit.enter(address))
    }
  }

  /** As far as those whom we trust say. */
  clientAddress(): string {
    return this.#forwarding.clientAddress(this.request, this.client)
  }

  get address(): string {
    return this.#origin.address
  }

  get request(): RequestHead {
    return this.#transaction.request
  }

  get client(): ForwardedClient {
    return this.#transaction.session.forwardedClient
  }

  get upstreamHost(): string {
    return this.#origin.host
  }

  get upstreamAuthority(): string {
    return this.#origin.authority
  }

  get prefix(): string {
    return this.#transaction.prefix
  }

  get http1(): boolean {
    return this.#http1
  }

  mayPipeline(): boolean {
    if (this.#http1) return false
    const { stream, request, requestStages } = this.#transaction
    return stream.requestLength === 0 && idempotent.has(request.method) && requestStages.stages.length === 0
  }

  /** A hook has chosen another address. */
  choose(address: string): void {
    if (this.#waiting || this.#session !== undefined) {
      throw new XpsError('XPS_CLOSED', 'the request is on its way to its upstream')
    }
    this.#origin = this.#group.named(address)
    this.#fixed = true
  }

  /** Waits for a connection. */
  connect(): void {
    this.#attempts++
    this.#waiting = true
    const { session } = this.#transaction
    this.#http1 = this.#upgrade !== undefined || this.#origin.wantsHttp1(session.time())
    this.#pool = this.#origin.of(session)
    this.#pool.acquire(this, session)
  }

  given(session: UpstreamSession): void {
    this.#waiting = false
    this.#sent = false
    this.#session = session
    this.#transaction.enter('send')
  }

  refused(error: XpsError): void {
    this.#waiting = false
    if (error.code === 'XPS_BUSY' || error.code === 'XPS_CLOSED' || !this.#another(this.#reused))
      return this.#transaction.fail(error)
    this.#transaction.enter('upstream')
  }

  /** Sends the request on the connection that was given. */
  send(): void {
    const session = this.#session
    const transaction = this.#transaction
    const { stream } = transaction
    if (session === undefined) return
    session.reserved--
    if (!session.canSend) {
      // It broke while a hook held the request.
      this.#session = undefined
      if (this.#attempts < mostAttempts) return transaction.enter('upstream')
      return transaction.fail(
        new XpsError('XPS_RESET', 'the connection broke, again and again', { origin: 'upstream' }),
      )
    }
    this.#sent = true
    this.method = transaction.request.method
    const batch = this.mayPipeline() && this.#origin.pipelines
    this.#reused = session.requests > 0 || batch
    const { stages, changing } = transaction.requestStages
    const bytes = stages.length === 0 ? stream.requestBytes : undefined
    const length = changing && stream.requestLength !== 0 ? -1 : stream.requestLength
    const request = new ForwardedRequest(this.#forwarding, this, length, bytes, this.#upgrade)
    const sink = session.send(this, request, batch)
    if (sink === undefined) return
    this.#bodyGone = true
    sink.trailersOf = () => this.#requestTrailers()
    this.#requestPipe = new Pipe(transaction.body, sink, {
      ...transaction.pipeOptions(),
      onClose: () => {
        this.#requestPipe = undefined
      },
    })
  }

  #requestTrailers(): Fields | undefined {
    const trailers = this.#transaction.stream.requestTrailers
    if (trailers === undefined || trailers.size === 0) return undefined
    return withoutGuarded(this.#transaction, this.#forwarding.trailers(trailers, this.request.headers), 'request')
  }

  /** Where the response's body goes. */
  deliverTo(sink: ResponseSink): void {
    this.#sink = sink
    sink.trailersOf = () => {
      const trailers = this.#trailers
      if (trailers === undefined || trailers.size === 0) return undefined
      return withoutGuarded(this.#transaction, this.#forwarding.trailers(trailers, this.head.headers), 'response')
    }
  }

  informed(head: ResponseHead): void {
    withoutGuarded(this.#transaction, head.headers, 'response')
    this.#transaction.stream.inform(new ForwardedHead(head, this.#forwarding, this))
  }

  responded(head: ResponseHead, length: number, body: Uint8Array | PipeSource): void {
    this.#responded = true
    this.#stick(head)
    this.head = head
    this.length = length
    this.body = body
    this.#transaction.receive(this)
    // A hook holds the response back, and the memory of the body is not ours.
    if (this.body instanceof Uint8Array && this.body.length > 0 && this.#transaction.state !== 'closed') {
      this.body = Buffer.from(this.body)
    }
  }

  /** Lets the client come back to where it has been answered. */
  #stick(head: ResponseHead): void {
    const { sticky } = this.#group
    if (sticky === undefined || this.#fixed || this.#origin === this.#held) return
    const cookie = sticky.cookieFor(this.#origin, this.#forwarding.publicSide(this.request, this.client).secure)
    if (cookie !== undefined) head.headers.append('Set-Cookie', cookie)
  }

  ready(): ReadyHead {
    const upgrade = this.tunnel === undefined ? undefined : this.head.headers.get('upgrade')
    return new ForwardedHead(this.head, this.#forwarding, this, upgrade)
  }

  trailed(trailers: Fields): void {
    this.#trailers = trailers
  }

  switched(head: ResponseHead, tunnel: Tunnel): void {
    this.#responded = true
    this.#stick(head)
    this.head = head
    this.tunnel = tunnel
    this.#far = tunnel.connection
    if (this.#far !== undefined) this.#transaction.carry(this.#far)
    // What was written of the client is not written again.
    this.client.note = undefined
    this.#transaction.receive(this)
  }

  failed(error: XpsError, seen: boolean): void {
    this.#session = undefined
    if (this.#retreated || this.#responded) return
    // On a connection that was used before, the upstream may have closed it before it saw anything.
    const harmless = idempotent.has(this.method) && (this.#reused || this.#group.origins.length > 1)
    const repeatable = !seen && !this.#bodyGone && (error.retryable || harmless)
    if (error.code === 'XPS_BAD_RESPONSE' || !repeatable || !this.#another(this.#reused || error.retryable)) {
      return this.#transaction.fail(error)
    }
    this.#transaction.enter('upstream')
  }

  done(): void {
    // After a failure it may have another connection already.
    if (this.#responded) this.#session = undefined
  }

  retreat(error: XpsError): void {
    if (this.#retreated) return
    this.#retreated = true
    if (this.#waiting) this.#pool?.forget(this)
    this.#waiting = false
    const session = this.#session
    this.#session = undefined
    if (session !== undefined) {
      if (this.#sent) session.leave(this, error)
      else this.#pool?.giveBack(session)
    }
    this.#requestPipe?.abort(error)
    this.#far?.abort(error)
  }

  get lastActive(): number {
    const connection = this.#far ?? this.#session?.connection
    return connection === undefined ? 0 : Math.max(connection.lastIn, connection.lastOut)
  }

  deadlines(deadlines: Deadlines): void {
    const transaction = this.#transaction
    const { timeouts } = transaction.scope
    const session = this.#session
    const far = this.#far
    if (far !== undefined) {
      if (far.stalled) deadlines.offer(far.lastOut, transaction.session.timeouts.upstreamIdleTimeout, 'upstream-idle')
      return
    }
    if (this.#waiting) {
      deadlines.offer(transaction.stateSince, timeouts.queueTimeout, 'queue')
      return
    }
    if (session === undefined) return
    const progress = this.#sent ? session.progress(this) : undefined
    if (progress === undefined) return
    const { upstreamIdleTimeout } = transaction.session.timeouts
    if (progress.stalled) deadlines.offer(progress.lastOut, upstreamIdleTimeout, 'upstream-idle')
    if (transaction.state === 'wait' && transaction.stream.requestComplete) {
      const since = Math.max(transaction.stateSince, progress.lastOut)
      deadlines.offer(since, timeouts.responseTimeout, 'response-head')
    } else if (transaction.state === 'body' && this.#sink?.ready === true) {
      deadlines.offer(Math.max(transaction.stateSince, progress.lastIn), timeouts.responseIdleTimeout, 'upstream-idle')
    }
  }

  /** Turns to another address; or, if it was the connection that broke, to the same. False if there has been enough. */
  #another(sameToo: boolean): boolean {
    if (this.#attempts >= mostAttempts || this.#retreated) return false
    if (this.#fixed || this.#group.origins.length === 1) return sameToo
    this.#tried ??= []
    this.#tried.push(this.#origin)
    const next = this.#group.pick(this.#transaction.session.time(), this, this.#tried)
    if (this.#tried.includes(next) && !sameToo) return false
    this.#origin = next
    return true
  }
}

/** What a route has for all its requests. */
export interface ForwardRules {
  readonly forwarding: Forwarding
  readonly upgrade: UpgradeRule
  /** Those that the route has of its own. */
  readonly tunnelTimes: Partial<TunnelTimes>
}

/** A response's head as it is passed on. */
class ForwardedHead implements ReadyHead {
  readonly #head: ResponseHead
  readonly #forwarding: Forwarding
  readonly #answered: Answered
  readonly upgrade: string | undefined

  constructor(head: ResponseHead, forwarding: Forwarding, answered: Answered, upgrade?: string) {
    this.#head = head
    this.upgrade = upgrade
    this.#forwarding = forwarding
    this.#answered = answered
  }

  get status(): number {
    return this.#head.status
  }

  get reason(): string {
    return this.#head.reason
  }

  block(): string {
    return this.#forwarding.responseBlock(this.#head, this.#answered)
  }

  fields(): Fields {
    return this.#forwarding.responseFields(this.#head, this.#answered)
  }

  pairs(list: string[]): string[] {
    return this.#forwarding.responsePairs(this.#head, this.#answered, list)
  }

  kept(length: number, http: 1 | 2): object | undefined {
    return this.#forwarding.keptForm(this.#head, length, http)
  }

  get keeps(): boolean {
    return this.#forwarding.keeps(this.#head)
  }

  keep(length: number, form: object, http: 1 | 2): void {
    this.#forwarding.keepForm(this.#head, length, form, http)
  }

  get trailed(): boolean {
    return this.#head.version !== '1.0'
  }

  get trailedDespiteLength(): boolean {
    return this.#head.version === '2'
  }
}

const nothing = new Uint8Array(0)
const noHead = {} as ResponseHead

function stopped(why: 'loop' | 'max-forwards'): XpsError {
  const message = why === 'loop' ? 'the request has come through here before' : 'the request may go no further'
  return new XpsError('XPS_REFUSED', message, { origin: 'client', status: why === 'loop' ? 508 : 400 })
}
