import type { Deadlines } from '../admission/deadlines.ts'
import { asXpsError, XpsError } from '../errors.ts'
import { Lifetime } from '../lifetime/lifetime.ts'
import { isPromiseLike } from '../lifetime/owned.ts'
import { HandOverSink, HandOverSource } from '../pipe/hand-over.ts'
import { Pipe, type PipeOptions } from '../pipe/pipe.ts'
import { PipeSource } from '../pipe/source.ts'
import type { Stage } from '../pipe/stage.ts'
import { checkAnswer, statusAnswer } from './answers.ts'
import { noStages, requestBodyBits, responseBodyBits, type Stages, stagesOf } from './body-stages.ts'
import type { ClientStream, ReadyHead } from './client-stream.ts'
import { Fields } from './fields.ts'
import type { Answerer, Forwarder, IncomingResponse } from './forwarder.ts'
import { bitsOfPoints, HookScope, type Hooks, runHooks } from './hooks.ts'
import { type Answer, type RequestHead, ResponseHead } from './messages.ts'
import { OwnHead } from './ready-head.ts'
import type { HttpRoute, PreparedRoute } from './routes.ts'
import type { RouteFound } from './routing/route-found.ts'
import type { RouteParams } from './routing/route-match.ts'
import type { HeldRoute, HttpScope } from './scope.ts'
import type { HttpSession } from './session.ts'
import { type Slot, Slots } from './slots.ts'
import { pointOf, type TransactionState } from './transaction-state.ts'
import { type Tunnel, TunnelPipes } from './tunnel.ts'

const responseBits = bitsOfPoints('responseSend') | responseBodyBits

/**
 * One request and its response: the machine that takes it from its head to its end, whatever version of HTTP it came
 * in, and whoever answers it.
 *
 * Its states come in the order of {@link TransactionState}. A hook of any state may wait, edit what is there, answer
 * ({@link reply}) or fail; the client may leave in any state. Whatever happens, `close` is reached, and once.
 */
export class Transaction extends Lifetime {
  readonly session: HttpSession
  /** Which of its session's transactions it is, from 1. */
  readonly number: number
  readonly request: RequestHead
  /** The names that the path has in the route's pattern. */
  params: RouteParams = noParams
  /** @internal */
  readonly scope: HttpScope
  /** @internal */
  readonly stream: ClientStream
  /** @internal When it began, by its session's clock. */
  readonly since: number
  /** @internal When it came into the state that it is in. */
  stateSince: number
  #state: TransactionState = 'start'
  readonly #began: number
  /** As the client asked, whatever hooks made of it. */
  readonly #forHead: boolean
  #route: PreparedRoute | undefined
  #found: RouteFound<HeldRoute> | undefined
  #prefix = ''
  #answer: Answer | undefined
  #incoming: IncomingResponse | undefined
  #response: ResponseHead | undefined
  #answerer: Answerer | undefined
  #forward: Forwarder | undefined
  /** The upstream that a hook has chosen. */
  #chosen: string | undefined
  #hooks: HookScope | undefined
  #slots: Slots | undefined
  #holding = false
  /** Which hold it is; what an earlier one comes to is of no interest. */
  #hold = 0
  /** How many steps are being taken, one within the other. */
  #depth = 0
  #headSent = false
  /** Its response was cut short by us. */
  #cut = false
  /** It is being answered with a fault; without hooks, if they failed at that too. */
  #faulted = false
  #plain = false
  #left: XpsError | undefined
  #failure: XpsError | undefined
  #abort: AbortController | undefined
  #body: PipeSource | undefined
  #requestStages: Stages | undefined
  /** Where the response's body flows, or how much of one was sent at once. */
  #pipe: Pipe | undefined
  #bytes = 0
  #tunnel: TunnelPipes | undefined

  /** @internal */
  constructor(scope: HttpScope, session: HttpSession, stream: ClientStream, number: number) {
    super()
    this.scope = scope
    this.session = session
    this.stream = stream
    this.request = stream.request
    this.#forHead = stream.request.method === 'HEAD'
    this.number = number
    this.since = this.stateSince = session.time()
    this.#began = scope.precise ? session.clock.now() : this.since
    this.hold()
  }

  /** Unique in the process: its session's name and its number. */
  get id(): string {
    return `${this.session.id}/${this.number}`
  }

  get state(): TransactionState {
    return this.#state
  }

  /** The response as it came from the upstream, or as it is going to be sent; undefined before there is one. */
  get response(): ResponseHead | undefined {
    if (this.#response === undefined) {
      if (this.#answer !== undefined) this.#response = headOf(this.#answer)
      else this.#response = this.#incoming?.head
    }
    return this.#response
  }

  /** The status that the client was, or is to be, told; 0 if there was none. */
  get status(): number {
    return this.#response?.status ?? this.#answer?.status ?? this.#incoming?.head.status ?? 0
  }

  /** What went wrong, if something did: also where the client was told of it by a proper response. */
  get failure(): XpsError | undefined {
    return this.#failure ?? this.#left
  }

  /** The client left before it had all of its response. */
  get left(): boolean {
    return this.#left !== undefined
  }

  /** How many bytes of the response's body were sent; of a tunnel, how many went to the client. */
  get bytes(): number {
    return this.#bytes + (this.#pipe?.bytes ?? 0) + (this.#tunnel?.bytesOut ?? 0)
  }

  /** How many bytes of the client went through a tunnel; 0 if there is none. */
  get bytesIn(): number {
    return this.#tunnel?.bytesIn ?? 0
  }

  /**
   * What the client wants its connection to be switched to, as it named it: `websocket`, or several with commas between;
   * `connect` for CONNECT; undefined for an ordinary request.
   */
  get upgrade(): string | undefined {
    return this.#state === 'close' || this.#state === 'closed' ? undefined : this.stream.upgrade
  }

  /** @internal When a byte last moved between it and its upstream, by its session's clock; 0 for never. */
  get lastActive(): number {
    return this.#forward?.lastActive ?? 0
  }

  /** How long it has been going on, in milliseconds; to a tenth of a second if nobody logs. */
  get age(): number {
    const { session, scope } = this
    return (scope.precise ? session.clock.now() : session.time()) - this.#began
  }

  /** The route that was found, as it was given; undefined before. */
  get route(): HttpRoute | undefined {
    return this.#route?.given
  }

  /** Answers by the route of that name, whichever the request would have found. For hooks up to `afterRouting`. */
  useRoute(name: string): void {
    const found = this.scope.named(name, this.session.port, this.request)
    if (found === undefined) throw new XpsError('XPS_NO_ROUTE', `there is no route named '${name}'`, { status: 500 })
    this.#take(found)
  }

  /** @internal Answers by a route that no table has. */
  usePrepared(route: PreparedRoute): void {
    this.#route = route
  }

  /** The client's connection ends after this response. */
  closeConnection(): void {
    if (this.#state !== 'close' && this.#state !== 'closed') this.stream.endAfter()
  }

  /** @internal The request is answered by an upstream. */
  get forwarded(): boolean {
    return this.#forward !== undefined
  }

  /** @internal The longest body of the request; 0 for any. */
  get bodyLimit(): number {
    return this.#route?.bodyLimit ?? 0
  }

  /** @internal The path below the route's prefix. */
  get rest(): string {
    return this.#found?.rest ?? this.request.path
  }

  /** @internal */
  get prefix(): string {
    return this.#prefix
  }

  /**
   * The address that the request goes to, or went to; undefined if it is not forwarded.
   *
   * Setting it sends the request elsewhere: to another of the route's addresses, or to any that the host program knows.
   * For hooks up to `upstream`; a route that does not forward takes no notice.
   */
  get upstream(): string | undefined {
    return this.#forward?.address ?? this.#chosen
  }

  set upstream(address: string | undefined) {
    if (address !== undefined) this.#forward?.choose(address)
    this.#chosen = address
  }

  /** The body of the request. Whoever reads it, by a pipe, has taken it away from everybody else. */
  get body(): PipeSource {
    if (this.#body !== undefined) return this.#body
    // The stream may be another transaction's by now.
    if (this.#state === 'close' || this.#state === 'closed') throw new XpsError('XPS_CLOSED', 'the transaction is over')
    const body = this.stream.requestBody()
    const { stages } = this.requestStages
    if (stages.length === 0) this.#body = body
    else {
      const passed = new HandOverSource()
      new Pipe(body, new HandOverSink(passed), this.pipeOptions(stages))
      this.#body = passed
    }
    return this.#body
  }

  /** Aborted when nobody waits for the answer any more. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController()
    if (this.#left !== undefined) this.#abort.abort(this.#left)
    return this.#abort.signal
  }

  /** Adds hooks for this transaction. */
  hook(hooks: Hooks): void {
    this.#hooks ??= new HookScope()
    this.#hooks.add(hooks)
  }

  /** What it has in a slot; gone with it. */
  get<T>(slot: Slot<T>): T | undefined {
    return this.#slots?.get(slot)
  }

  set<T>(slot: Slot<T>, value: T): void {
    this.#slots ??= new Slots()
    this.#slots.set(slot, value)
  }

  /**
   * Answers it: with an {@link Answer}, or with a status and its phrase. What was under way for another answer is
   * dropped. Throws `XPS_CLOSED` when the head of a response has been sent.
   */
  reply(answer: Answer | number): void {
    if (this.#headSent || this.#state === 'close' || this.#state === 'closed') {
      throw new XpsError('XPS_CLOSED', 'the response has been sent')
    }
    const checked = typeof answer === 'number' ? statusAnswer(answer) : checkAnswer(answer)
    this.#drop(new XpsError('XPS_ABORTED', 'it was answered otherwise'))
    this.#answer = checked
    this.#response = undefined
    // Where no hook is running, somebody replies out of turn: there is nothing else to wait for.
    if (this.#idle) this.#enter('reply')
  }

  /** @internal Its first step. */
  start(): void {
    // Where nobody has hooks, the first states have nothing to do.
    this.#enter(this.#hooked === 0 ? 'route' : 'start')
  }

  /** @internal The forward has come to a state of its own. */
  enter(state: TransactionState): void {
    this.#enter(state)
  }

  /** @internal A response has come from elsewhere. */
  receive(incoming: IncomingResponse): void {
    this.#incoming = incoming
    this.#enter('response')
  }

  /** @internal A tunnel leads elsewhere, and its other side ends with this. */
  carry(far: Lifetime): void {
    this.adopt(far)
  }

  /** @internal There is a tunnel, and nobody was sent a request: no response comes, but an answer of ours. */
  accept(incoming: IncomingResponse): void {
    this.#incoming = incoming
    this.#enter('reply')
  }

  /** @internal The answer cannot be had. */
  fail(error: unknown): void {
    const fault = asXpsError(error, 'XPS_FAULT', 'the transaction failed')
    this.#failure ??= fault
    if (this.#state === 'close' || this.#state === 'closed' || this.#left !== undefined) return
    if (fault.code === 'XPS_FAULT' && (fault.status ?? 500) >= 500) this.fault(fault)
    // What a hook that is still held comes to is of no interest any more.
    this.#holding = false
    this.#hold++
    if (this.#headSent) return this.#cutShort(fault)
    // Not even that could be sent.
    if (this.#plain) return this.#cutShort(fault)
    this.#drop(fault)
    this.#answer = this.scope.faultAnswer(fault, (error) => this.fault(error))
    this.#response = undefined
    // If hooks fail again when the client is told of it, it is told without them.
    if (this.#faulted) this.#plain = true
    this.#faulted = true
    this.#enter('reply')
  }

  /** @internal The last byte of the response has been handed over, or never will be. */
  responded(error: XpsError | undefined): void {
    if (this.#state === 'close' || this.#state === 'closed') return
    if (error === undefined) this.#finish(undefined)
    else this.#cutShort(error)
  }

  /** @internal The client has gone. */
  clientLeft(error: XpsError): void {
    // Who is cut off has not left.
    if (this.#left !== undefined || this.#cut || this.#state === 'tunnel' || this.#state === 'closed') return
    this.#left = error
    this.#drop(error)
    // A hook that is running is waited for.
    this.#leaveIfLeft()
  }

  /** @internal */
  deadlines(deadlines: Deadlines): void {
    if (this.#state === 'tunnel') return this.#deadlinesOfTunnel(deadlines)
    const { timeouts } = this.scope
    deadlines.offer(this.since, timeouts.transactionTimeout, 'transaction')
    this.#answerer?.deadlines(deadlines)
  }

  /** Those of the transaction hold no more. */
  #deadlinesOfTunnel(deadlines: Deadlines): void {
    const { scope, session } = this
    const { tunnelIdleTimeout = session.timeouts.tunnelIdleTimeout, tunnelTimeout = scope.timeouts.tunnelTimeout } = (
      this.#forward as Forwarder
    ).tunnelTimes
    deadlines.offer(this.stateSince, tunnelTimeout, 'tunnel-age')
    deadlines.offer(Math.max(this.stateSince, this.lastActive), tunnelIdleTimeout, 'tunnel-idle')
    this.#forward?.deadlines(deadlines)
  }

  /** @internal Something took too long. */
  timedOut(error: XpsError): void {
    if (this.#tunnel !== undefined) return this.#tunnel.abort(error)
    if (error.reason === 'transaction' && this.#headSent) this.responded(error)
    else this.fail(error)
  }

  /** @internal What the request's body passes on its way. */
  get requestStages(): Stages {
    this.#requestStages ??= (this.#hooked & requestBodyBits) !== 0 ? this.#stages('request') : noStages
    return this.#requestStages
  }

  /** No hook is waited for any more: one that never settles must not keep a program from ending. */
  protected override onAbort(error: XpsError): void {
    if (this.#state === 'tunnel') return this.#tunnel?.abort(error)
    this.clientLeft(error)
    if (!this.#holding) return
    this.#holding = false
    this.#hold++
    if (this.#state === 'close') this.#end()
    else this.#leaveIfLeft()
  }

  /** It goes on until it has been answered. */
  protected override onDrain(): void {}

  /** Takes it from one state to the next, for as long as nothing has to be waited for. */
  #enter(state: TransactionState): void {
    this.#depth++
    try {
      for (let next: TransactionState | undefined = state; next !== undefined; ) {
        if (this.#state === 'close' || this.#state === 'closed') break
        this.#state = next
        const hooked = this.#hooked
        const point = hooked === 0 ? -1 : pointOf(next)
        if (point >= 0 && ((hooked >>> point) & 1) !== 0) {
          const held = runHooks(point, this.scope.hooks, this.session.hooks, this, this)
          if (held !== undefined) {
            this.#holdFor(held, next)
            break
          }
        }
        next = this.#proceed(next)
      }
    } catch (error) {
      this.#hookFailed(error)
    }
    this.#depth--
    this.#leaveIfLeft()
  }

  /** The bits of the points that somebody has hooks for. */
  get #hooked(): number {
    if (this.#plain && this.#state !== 'close') return 0
    return this.scope.hooks.points | this.session.hooks.points | (this.#hooks === undefined ? 0 : this.#hooks.points)
  }

  /** @internal Its own hooks, looked up when they are needed: a hook may add the first. */
  get hooks(): HookScope | undefined {
    return this.#hooks
  }

  #holdFor(held: Promise<void>, state: TransactionState): void {
    this.#holding = true
    const hold = ++this.#hold
    held.then(
      () => {
        if (hold !== this.#hold) return
        this.#holding = false
        this.#continue(state)
      },
      (error: unknown) => {
        if (hold !== this.#hold) return
        this.#holding = false
        this.#hookFailed(error)
        this.#leaveIfLeft()
      },
    )
  }

  #continue(state: TransactionState): void {
    if (this.#state !== state) return
    this.#depth++
    let next: TransactionState | undefined
    try {
      next = this.#proceed(state)
    } catch (error) {
      this.#hookFailed(error)
    }
    this.#depth--
    if (next !== undefined) this.#enter(next)
    else this.#leaveIfLeft()
  }

  /** The client may have left while a step was taken. */
  #leaveIfLeft(): void {
    if (this.#left !== undefined && this.#idle) this.#enter('close')
  }

  /** No hook runs, and no step is being taken. */
  get #idle(): boolean {
    return !this.#holding && this.#depth === 0 && this.#state !== 'close' && this.#state !== 'closed'
  }

  #hookFailed(error: unknown): void {
    if (this.#state === 'close') {
      // Its verdict changes nothing.
      this.fault(error)
      this.#end()
    } else if (this.#left === undefined) this.fail(asHookFailure(error))
  }

  /** The hooks of the state have run: what it is for is done now. Returns the next state if that can be entered now. */
  #proceed(state: TransactionState): TransactionState | undefined {
    if (state === 'close') {
      this.#end()
      return undefined
    }
    if (this.#left !== undefined) return 'close'
    if (this.#answer !== undefined && state !== 'reply') return 'reply'
    switch (state) {
      case 'start':
        return 'request'
      case 'request':
        return 'route'
      case 'route':
        this.#findRoute()
        return 'routed'
      case 'routed':
        return this.#answerByRoute()
      case 'upstream':
        this.stateSince = this.session.time()
        this.#forward?.connect()
        return undefined
      case 'send':
        this.#state = 'wait'
        this.stateSince = this.session.time()
        this.#forward?.send()
        return undefined
      case 'response':
        return 'reply'
      case 'reply':
        return this.#sendHead()
      case 'answer':
      case 'wait':
      case 'body':
      case 'tunnel':
      case 'closed':
        // Nobody enters these: a step leads there, and something from outside leads on.
        return undefined
    }
  }

  #findRoute(): void {
    if (this.#route !== undefined) return
    const found = this.scope.find(this.session.port, this.request)
    if (found === undefined) {
      throw new XpsError('XPS_NO_ROUTE', `no route for ${this.request.authority}${this.request.path}`)
    }
    this.#take(found)
  }

  #take(found: RouteFound<HeldRoute>): void {
    this.#route = found.route.prepared
    this.#prefix = found.prefix
    this.#found = found
    this.params = found.params
    // What is behind must not read the path in another way than the table did.
    if (found.path !== this.request.path) this.request.target = found.path + this.request.query
  }

  #answerByRoute(): TransactionState | undefined {
    const route = this.#route
    if (route === undefined) throw new XpsError('XPS_NO_ROUTE', 'there is no route')
    route.admit(this)
    const forward = route.forward(this)
    if (forward !== undefined) {
      if (this.#chosen !== undefined) forward.choose(this.#chosen)
      this.#forward = forward
      this.#answerer = forward
      return 'upstream'
    }
    this.#state = 'answer'
    const answer = route.answer(this)
    if (!isPromiseLike(answer)) {
      this.#answer = checkAnswer(answer)
      return 'reply'
    }
    answer.then(
      (later) => {
        if (this.#left === undefined && this.#answer === undefined && this.#state === 'answer') {
          this.#answerLater(later)
        } else if (later.body instanceof PipeSource) discard(later.body)
      },
      (error: unknown) => {
        if (this.#left === undefined && this.#state === 'answer') this.fail(asHookFailure(error))
      },
    )
    return undefined
  }

  #answerLater(answer: Answer): void {
    try {
      this.#answer = checkAnswer(answer)
    } catch (error) {
      return this.fail(error)
    }
    this.#enter('reply')
  }

  /** Sends the head, and lets the body follow. */
  #sendHead(): TransactionState | undefined {
    const answer = this.#answer
    const { stream } = this
    this.#state = 'body'
    this.stateSince = this.session.time()
    if (answer === undefined) {
      const incoming = this.#incoming as IncomingResponse
      this.#response ??= incoming.head
      const { head: from, body: whole, tunnel } = incoming
      // A hook may have made a refusal of it.
      const yes = this.stream.upgrade === 'connect' ? from.status < 300 : from.status === 101
      if (tunnel !== undefined && yes) return this.#switch(incoming, tunnel)
      // A hook may have made a HEAD of a GET: what is sent is as long as it is.
      const known = whole instanceof Uint8Array && !this.#bodiless(from.status) ? whole.length : incoming.length
      this.#sendResponse(incoming.ready(), from.status, known, whole)
      return undefined
    }
    if (
      this.#response === undefined &&
      (this.#hooked & responseBits) === 0 &&
      Object.isFrozen(answer) &&
      stream.respondAgain(answer)
    ) {
      this.#headSent = true
      this.#bytes = sizeOf(answer.body)
      this.#finish(undefined)
      return undefined
    }
    this.#response ??= headOf(answer)
    const head = this.#response
    const body = typeof answer.body === 'string' ? Buffer.from(answer.body) : (answer.body ?? nothing)
    const length = body instanceof PipeSource ? (answer.length ?? -1) : body.length
    // An answer to HEAD, or a 304, may say how long the body would be.
    const said = head.headers.get('content-length')
    const declared = answer.body !== undefined ? length : said !== undefined ? Number(said) : -1
    this.#sendResponse(new OwnHead(head), head.status, this.#bodiless(head.status) ? declared : length, body)
    return undefined
  }

  /** The bytes of both sides are joined. */
  #switch(incoming: IncomingResponse, far: Tunnel): undefined {
    const { scope, session, stream } = this
    scope.mayTunnel()
    const near = stream.switchTo(incoming.ready())
    this.#headSent = true
    this.#state = 'tunnel'
    this.#incoming = this.#answerer = undefined
    scope.tunnels++
    const tunnel = new TunnelPipes(this)
    this.#tunnel = tunnel
    try {
      tunnel.join(near, far, session.account)
    } catch (error) {
      tunnel.abort(asXpsError(error, 'XPS_FAULT', 'the tunnel cannot be joined'))
    }
  }

  /** @internal */
  tunnelOver(error: XpsError | undefined): void {
    this.scope.tunnels--
    this.#finish(error)
  }

  #bodiless(status: number): boolean {
    return this.#forHead || status === 204 || status === 304
  }

  #sendResponse(ready: ReadyHead, status: number, length: number, body: Uint8Array | PipeSource): void {
    const { stream } = this
    if (this.#bodiless(status)) {
      stream.respond(ready, status === 204 ? -1 : length, null)
      this.#headSent = true
      if (body instanceof PipeSource) discard(body)
      return this.#finish(undefined)
    }
    const { stages, changing } = (this.#hooked & responseBodyBits) !== 0 ? this.#stages('response') : noStages
    if (!(body instanceof PipeSource) && stages.length === 0) {
      stream.respond(ready, length, body)
      this.#headSent = true
      this.#bytes = body.length
      return this.#finish(undefined)
    }
    const source = body instanceof PipeSource ? body : PipeSource.from(Buffer.from(body))
    const sink = stream.respond(ready, changing ? -1 : length, undefined)
    this.#headSent = true
    this.#forward?.deliverTo(sink)
    this.#pipe = new Pipe(source, sink, this.pipeOptions(stages))
  }

  /** @internal Options of a pipe of this transaction. */
  pipeOptions(stages: readonly Stage[] = []): PipeOptions {
    const { account } = this.session
    const limit = bodyPipeLimit
    return { limit, ...(account === undefined ? {} : { account }), ...(stages.length === 0 ? {} : { through: stages }) }
  }

  #stages(body: 'request' | 'response'): Stages {
    return stagesOf(body, [this.scope.hooks, this.session.hooks, this.#hooks], this)
  }

  /** Whatever was under way to get an answer is given up. */
  #drop(error: XpsError): void {
    const answerer = this.#answerer
    this.#answerer = undefined
    this.#abort?.abort(error)
    answerer?.retreat(error)
    if (this.#headSent) return
    this.#incoming = undefined
    const answer = this.#answer
    this.#answer = undefined
    if (answer?.body instanceof PipeSource) discard(answer.body)
  }

  /** The response cannot be completed. */
  #cutShort(error: XpsError): void {
    this.#cut = true
    this.#failure ??= error
    this.stream.cut(error)
    this.#drop(error)
    this.#finish(error)
  }

  #finish(error: XpsError | undefined): void {
    this.#failure ??= error
    this.#answerer = undefined
    this.#enter('close')
  }

  /** All of it is over. */
  #end(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.finish(this.#left ?? (this.#headSent ? undefined : this.#failure))
    this.release()
  }
}

const noParams: RouteParams = Object.freeze({})
/** The bound of a body's pipe, in bytes: as much as one read of a file brings. */
const bodyPipeLimit = 256 * 1024
const nothing = new Uint8Array(0)

function sizeOf(body: Answer['body']): number {
  return typeof body === 'string' ? Buffer.byteLength(body) : body instanceof Uint8Array ? body.length : 0
}

function headOf(answer: Answer): ResponseHead {
  return new ResponseHead(answer.status, '', '1.1', new Fields(answer.headers))
}

/** Lets a source go that nobody will read: its owner is told. */
function discard(source: PipeSource): void {
  if (!source.active && !source.ended) new Pipe(source).abort()
}

/** What a hook threw: an error of ours, one with a status of its own, or a fault. */
function asHookFailure(error: unknown): XpsError {
  if (error instanceof XpsError) return error
  const status = typeof error === 'object' && error !== null && 'status' in error ? Number(error.status) : 500
  const given = Number.isInteger(status) && status >= 400 && status <= 599 ? status : 500
  return asXpsError(error, 'XPS_FAULT', 'a hook or handler failed', { status: given })
}
