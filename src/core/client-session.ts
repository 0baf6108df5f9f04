import { Deadlines } from '../admission/deadlines.ts'
import type { Timeouts } from '../admission/timeouts.ts'
import type { Alarm } from '../clock.ts'
import { type TimeoutReason, XpsError } from '../errors.ts'
import type { Lifetime, Phase } from '../lifetime/lifetime.ts'
import { isPromiseLike } from '../lifetime/owned.ts'
import { Pipe, type PipeOptions } from '../pipe/pipe.ts'
import type { PipeSink } from '../pipe/sink.ts'
import type { PipeSource } from '../pipe/source.ts'
import { Connection, type ConnectionOwner } from './connection.ts'
import { Living } from './living.ts'

/** What happens to every kind of session. */
export interface ClientSessionEvents {
  /** Told once and last: with the reason if it did not end well. */
  close: [error: XpsError | undefined]
}

/**
 * Makes the session of a connection that a listener has accepted: at once, or when it has looked at the first bytes and knows
 * which. Meanwhile the connection is a child of its listener.
 */
export interface Protocol {
  (client: Connection): ClientSession | Promise<ClientSession>
  /** What it can speak over TLS, best first (ALPN). */
  readonly alpn?: readonly string[]
  /**
   * Looks at where a listener of this protocol is to listen, before it does, and returns where it shall: a port without
   * a host may get one. Throws if it must not listen there.
   */
  listensOn?(where: ListenPlace): ListenPlace
}

/** Where to listen: a port (0 for a free one), on all addresses or on one, or the path of a Unix-domain socket. */
export type ListenPlace = { port: number; host?: string } | { path: string }

let lastNumber = 0
const noOptions: PipeOptions = {}

/** How often a session that drains looks whether it is idle, and any session at its deadlines, in milliseconds. */
const drainLook = 250
const longestLook = 60_000

/**
 * What every protocol turns a client's connection into.
 *
 * A kind overrides `onOpen`, and there joins the connection's source and sink with whatever it likes, best by
 * `pipe()`: when all its pipes are over, the session is. A kind that does without pipes calls `finish()` itself.
 */
export abstract class ClientSession<
    Events extends ClientSessionEvents & { [event in keyof Events]: unknown[] } = ClientSessionEvents,
  >
  extends Living<Events>
  implements ConnectionOwner
{
  readonly client: Connection
  #timeouts: Timeouts
  #alarm: Alarm | undefined
  #phaseSince: number
  readonly #number = ++lastNumber
  readonly #pipes: Pipe[] = []
  #plain: PipeOptions | undefined
  #pipeError: XpsError | undefined

  constructor(client: Connection) {
    super()
    this.client = client
    this.#timeouts = client.timeouts
    this.#phaseSince = client.since
    this.adopt(client)
  }

  /** Unique in the process. */
  get id(): string {
    return `session-${this.#number}`
  }

  /** The client's connection, and those that were dialled for it; only those that are still alive. */
  get connections(): Connection[] {
    return this.children().filter((child) => child instanceof Connection)
  }

  /** The pipes that are not over. */
  get pipes(): readonly Pipe[] {
    return this.#pipes
  }

  /** The timeouts that it has. They were set when it began; what is patched later is for others. */
  get timeouts(): Timeouts {
    return this.#timeouts
  }

  /** How long it has been there, in milliseconds. */
  get age(): number {
    return this.client.clock.now() - this.client.since
  }

  /** Since when it is in its phase, by its clock. */
  get phaseSince(): number {
    return this.#phaseSince
  }

  /** When a byte last moved on any of its connections, by its clock; 0 if none ever did. */
  get lastActive(): number {
    let last = 0
    for (let child = this.firstChild; child !== undefined; child = child.nextSibling) {
      if (child instanceof Connection) last = Math.max(last, child.lastIn, child.lastOut)
    }
    return last
  }

  /** Nothing is under way that would be lost if it ended now. Such a session does not keep a core from closing. */
  get idle(): boolean {
    return false
  }

  /** Starts it. A listener does so for the sessions of its protocol; do it yourself for one that you made by hand. */
  open(): this {
    if (!this.opened()) return this
    this.#watchTime()
    try {
      const opening = this.onOpen()
      if (isPromiseLike(opening)) opening.then(undefined, (error: unknown) => this.failed(error))
    } catch (error) {
      this.failed(error)
    }
    return this
  }

  /** The session is open: let bytes flow. What it throws, or rejects with, ends the session. */
  protected onOpen(): void | Promise<void> {}

  /** Its listener or core is to be drained, or no longer: say so to the client if there is a way to. */
  protected onDraining(_draining: boolean): void {}

  /** @internal */
  tellDraining(draining: boolean): void {
    this.onDraining(draining)
  }

  /** Names what must have happened by when. A kind adds its own deadlines. */
  protected deadlines(deadlines: Deadlines): void {
    const { since } = this.client
    deadlines.offer(since, this.#timeouts.maxSessionAge, 'session-age')
    const { firstByteTimeout, clientIdleTimeout, upstreamIdleTimeout, tunnelIdleTimeout } = this.#timeouts
    const last = this.lastActive
    if (last === 0) deadlines.offer(since, firstByteTimeout, 'first-byte')
    else deadlines.offer(last, tunnelIdleTimeout, 'tunnel-idle')
    // A socket that is held up is not read either, so that a reset of its peer is not seen: this is what notices it.
    for (let child = this.firstChild; child !== undefined; child = child.nextSibling) {
      if (!(child instanceof Connection) || !child.stalled) continue
      if (child.side === 'client') deadlines.offer(child.lastOut, clientIdleTimeout, 'client-idle')
      else deadlines.offer(child.lastOut, upstreamIdleTimeout, 'upstream-idle')
    }
    for (const timeout of [clientIdleTimeout, upstreamIdleTimeout, tunnelIdleTimeout]) deadlines.mayBegin(timeout)
  }

  /** Gives it other timeouts, because its route has some of its own. */
  protected retime(timeouts: Timeouts): void {
    if (timeouts === this.#timeouts) return
    this.#timeouts = timeouts
    if (this.phase !== 'opening') this.#watchTime()
  }

  /** Joins a source and a sink for as long as the session lasts; the session ends when its last pipe does. */
  protected pipe(source: PipeSource, sink: PipeSink, options: PipeOptions = noOptions): Pipe {
    const pipe = new Pipe(undefined, undefined, this.#optionsOf(options))
    // Counted before it flows, because it may be over as soon as it does.
    this.#pipes.push(pipe)
    pipe.attachSource(source)
    if (this.#pipes.includes(pipe)) pipe.attachSink(sink)
    return pipe
  }

  /** The session does not end with this pipe: its ends are about to be somebody else's. */
  protected letGo(pipe: Pipe): void {
    const index = this.#pipes.indexOf(pipe)
    if (index >= 0) this.#pipes.splice(index, 1)
  }

  /** A session that is asked to close goes on until its pipes end, or until it is idle. */
  protected override onDrain(): void {
    if (this.idle) this.finish()
    else this.#watchTime()
  }

  protected override onPhase(phase: Phase): void {
    // It opens in the moment in which it was accepted, and how long it has been closed is of no interest.
    if (phase === 'draining') this.#phaseSince = this.client.clock.now()
  }

  protected override onAbort(error: XpsError): void {
    for (const pipe of this.#pipes.slice()) pipe.abort(error)
  }

  /** Without a client there is no session, once its pipes have delivered what they hold. */
  protected override onChildClosed(child: Lifetime): void {
    if (child === this.client && this.#pipes.length === 0) this.finish(child.error)
  }

  protected override onClosed(error: XpsError | undefined): void {
    this.#alarm?.cancel()
    this.#alarm = undefined
    this.emit('close', error)
  }

  /** Something took too long; the error's `reason` says what. By default that ends the session. */
  protected timedOut(error: XpsError): void {
    this.abort(error)
  }

  /** It could not be opened. */
  protected failed(error: unknown): void {
    this.fault(error)
    this.abort(new XpsError('XPS_FAULT', 'the session failed to open', { cause: error }))
  }

  /** One alarm for all its deadlines, set for the first of them. */
  #watchTime(): void {
    this.#alarm?.cancel()
    this.#alarm = undefined
    if (this.phase === 'closed') return
    if (this.phase === 'draining' && this.idle) return this.finish()
    const deadlines = new Deadlines(this.client.clock.now())
    this.deadlines(deadlines)
    if (deadlines.passed) {
      this.#timedOut(deadlines.reason as TimeoutReason)
      if (this.#over) return
      // It goes on, with other deadlines; they are looked at soon, not at once, in case that they are the same.
      this.#alarm = this.client.clock.after(drainLook, () => this.#watchTime())
      return
    }
    deadlines.mayBegin(this.phase === 'draining' ? drainLook : longestLook)
    this.#alarm = this.client.clock.after(deadlines.wait, () => this.#watchTime())
  }

  #timedOut(reason: TimeoutReason): void {
    const upstreams = reason.startsWith('upstream') || reason === 'response-head' || reason === 'connect'
    const origin = upstreams ? 'upstream' : 'client'
    const message = `session took too long: ${reason} after ${Math.round(this.age)} ms`
    this.timedOut(new XpsError('XPS_TIMEOUT', message, { origin, reason, elapsed: this.age }))
  }

  get #over(): boolean {
    return this.phase === 'closed'
  }

  /** One object of options for all pipes that have none of their own. */
  #optionsOf(options: PipeOptions): PipeOptions {
    if (this.#plain === undefined) {
      const { account } = this.client
      const onClose = (error: XpsError | undefined, pipe: Pipe): void => this.#pipeOver(pipe, error)
      this.#plain = account === undefined ? { onClose } : { account, onClose }
    }
    const plain = this.#plain
    const { onClose } = options
    if (onClose === undefined) return options === noOptions ? plain : { ...options, ...plain }
    return {
      ...options,
      ...plain,
      onClose: (error, pipe) => {
        onClose(error, pipe)
        this.#pipeOver(pipe, error)
      },
    }
  }

  #pipeOver(pipe: Pipe, error: XpsError | undefined): void {
    if (!this.#pipes.includes(pipe)) return
    this.#pipeError ??= error
    this.letGo(pipe)
    if (this.#pipes.length === 0) this.finish(this.#pipeError)
  }
}
