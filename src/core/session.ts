import { withTimeouts } from '../admission/timeouts.ts'
import { asXpsError, XpsError } from '../errors.ts'
import type { Lifetime } from '../lifetime/lifetime.ts'
import { isPromiseLike } from '../lifetime/owned.ts'
import { bytesOption, knownOptions } from '../options.ts'
import type { FileSource } from '../pipe/file-source.ts'
import { HandOverSink, HandOverSource } from '../pipe/hand-over.ts'
import type { PipeOptions } from '../pipe/pipe.ts'
import type { PipeSink } from '../pipe/sink.ts'
import type { PipeSource } from '../pipe/source.ts'
import type { Stage } from '../pipe/stage.ts'
import { ClientSession, type ClientSessionEvents, type Protocol } from './client-session.ts'
import type { Connection } from './connection.ts'
import { log } from './log.ts'
import { mustBeCalled } from './must-be-called.ts'
import { proxySourceOf } from './proxy-protocol/proxy-source.ts'
import { fileOf, prepareRoute, type Route, type Router, type RouteStages } from './router.ts'
import { Upstream } from './upstream.ts'

/** What happens to a {@link Session}. */
export interface SessionEvents extends ClientSessionEvents {
  /** It is known where the bytes go. */
  route: [route: Route]
  /** The upstream is connected. */
  connect: [upstream: Connection]
}

/** Options of a {@link Session}. */
export interface SessionOptions {
  /**
   * Where the bytes go: a route, or a function that chooses one for the client. Without it the session waits until it
   * is attached to something.
   */
  route?: Route | Router
  /** The bound of each of its pipes; see {@link PipeOptions}. @default 65536 */
  pipeLimit?: number | string
}

const debug = log('session')

/** How long a relay must be silent to count as idle, in milliseconds. */
const idleAfter = 1_000

/**
 * The relay: moves bytes between a client and an upstream, or from a file to the client.
 *
 * ```
 *            ┌────────── pipe ──────────┐  in the same call  ┌────────── pipe ───────────┐
 *  client.source ─────────────► clientSink ═► upstreamSource ─────────────► upstream.sink
 *  client.sink   ◄───────────── clientSource ◄═ upstreamSink ◄───────────── upstream.source
 *                                            ◄═ fileSink     ◄───────────── file
 * ```
 *
 * It lasts as long as bytes can flow from client to upstream, from upstream to client or from file to client.
 * A half-close is passed on, and the other direction goes on until it ends. What was received before a side died is
 * still delivered to the other.
 */
export class Session extends ClientSession<SessionEvents> {
  /** Bytes for the client enter its pipe here. */
  readonly clientSource: PipeSource
  /** Bytes from the client arrive here. */
  readonly clientSink: PipeSink
  /** Bytes for the upstream enter its pipe here. */
  readonly upstreamSource: PipeSource
  readonly #toClient = new HandOverSource()
  readonly #options: SessionOptions
  #upstreamSink: PipeSink | undefined
  #fileSink: PipeSink | undefined
  #upstream: Connection | undefined
  #file: FileSource | undefined
  #connected = false

  constructor(client: Connection, options: SessionOptions = {}) {
    super(client)
    this.#options = options
    const toUpstream = new HandOverSource()
    this.clientSource = this.#toClient
    this.upstreamSource = toUpstream
    this.clientSink = new HandOverSink(toUpstream)
  }

  /** Bytes from the upstream arrive here. */
  get upstreamSink(): PipeSink {
    this.#upstreamSink ??= new HandOverSink(this.#toClient)
    return this.#upstreamSink
  }

  /** Bytes from the file arrive here. */
  get fileSink(): PipeSink {
    this.#fileSink ??= new HandOverSink(this.#toClient)
    return this.#fileSink
  }

  /** The connection to the upstream, if the route has one. */
  get upstream(): Connection | undefined {
    return this.#upstream
  }

  /** The file, if the route has one. */
  get file(): FileSource | undefined {
    return this.#file
  }

  /** Whether the upstream was ever connected. */
  get upstreamConnected(): boolean {
    return this.#connected
  }

  /**
   * No byte has moved for a second, none waits, and none is owed: the last ones came from the upstream, or there were
   * none. While a client waits for an answer its session is not idle.
   */
  override get idle(): boolean {
    if (this.pipes.some((pipe) => pipe.buffered > 0) || this.#file !== undefined) return false
    const { client } = this
    // Nothing of the client is read before there is somebody to give it to, so it may have said something already.
    if (this.#upstream === undefined || !this.#connected) return false
    const last = this.lastActive
    if (last === 0) return true
    if (client.clock.now() - last < idleAfter) return false
    return this.#upstream.order >= client.order
  }

  /** Joins the client to an upstream's connection. The session does so itself if it has a route. */
  attachUpstream(upstream: Connection, stages: RouteStages = {}): void {
    // Ours from the start, so that it goes with us if a stage cannot be opened.
    this.adopt(upstream)
    this.#attachClient(stages.toClient)
    this.#upstream = upstream
    this.#connected = upstream.phase === 'open'
    this.pipe(this.upstreamSource, upstream.sink, this.#pipeOptions(stages.toUpstream))
    this.pipe(upstream.source, this.upstreamSink, this.#pipeOptions())
  }

  /** Sends the client a file; what the client sends is thrown away. The session does so itself if it has a route. */
  attachFile(file: FileSource, stages: Pick<RouteStages, 'toClient'> = {}): void {
    this.#attachClient(stages.toClient)
    this.#file = file
    this.clientSink.close()
    this.hold()
    const onClose = (): void => void file.closed.then(() => this.release())
    this.pipe(file, this.fileSink, { ...this.#pipeOptions(), onClose })
  }

  protected override onOpen(): void {
    const { route } = this.#options
    if (route === undefined) return // The host attaches an upstream or a file.
    if (typeof route !== 'function') return this.#start(route)
    let chosen: ReturnType<Router>
    try {
      chosen = route(this.client)
    } catch (error) {
      return this.#routerFailed(error)
    }
    if (!isPromiseLike(chosen)) return this.#start(chosen)
    chosen
      .then(
        (found) => this.#start(found as Route | undefined),
        (error: unknown) => this.#routerFailed(error),
      )
      .then(undefined, (error: unknown) => this.failed(error))
  }

  protected override onChildOpen(child: Lifetime): void {
    if (child !== this.#upstream) return
    this.#connected = true
    this.emit('connect', child)
  }

  protected override onClosed(error: XpsError | undefined): void {
    if (debug.enabled) debug('%s %s', this.id, error === undefined ? 'closed' : `${error.code}: ${error.message}`)
    super.onClosed(error)
  }

  #start(route: Route | undefined): void {
    if (this.phase === 'closed' || this.error !== undefined) return
    if (route === undefined) {
      const where = this.client.entrance?.address ?? 'this connection'
      return this.finish(new XpsError('XPS_NO_ROUTE', `no route for ${where}`))
    }
    let prepared: Route
    try {
      prepared = prepareRoute(route)
    } catch (error) {
      return this.#routerFailed(error)
    }
    this.emit('route', prepared)
    if ('refuse' in prepared) return this.finish(new XpsError('XPS_REFUSED', prepared.refuse))
    this.retime(withTimeouts(this.timeouts, prepared))
    if ('file' in prepared) return this.attachFile(fileOf(prepared), prepared)
    const upstream = prepared.upstream instanceof Upstream ? prepared.upstream : new Upstream(prepared.upstream)
    const { connectTimeout } = this.timeouts
    const source = upstream.introduces ? proxySourceOf(this.client, true) : undefined
    this.attachUpstream(upstream.connect({ connectTimeout, clock: this.client.clock, source }), prepared)
  }

  #attachClient(toClient: readonly Stage[] | undefined): void {
    if (this.clientSource.active) throw new XpsError('XPS_CLOSED', 'the session is attached already')
    this.pipe(this.clientSource, this.client.sink, this.#pipeOptions(toClient))
    this.pipe(this.client.source, this.clientSink, this.#pipeOptions())
  }

  #routerFailed(error: unknown): void {
    this.finish(asXpsError(error, 'XPS_FAULT', 'the router failed'))
  }

  #pipeOptions(through?: readonly Stage[]): PipeOptions | undefined {
    const { pipeLimit } = this.#options
    if (through !== undefined) return pipeLimit === undefined ? { through } : { limit: pipeLimit, through }
    return pipeLimit === undefined ? undefined : { limit: pipeLimit }
  }
}

/** The default protocol: each client gets a {@link Session}. A route, unless it is a function, is checked at once. */
export function relay(options: SessionOptions): Protocol {
  knownOptions('relay options', options, ['route', 'pipeLimit'])
  if (options.pipeLimit !== undefined) bytesOption('pipeLimit', options.pipeLimit)
  const { route } = options
  const prepared =
    route === undefined || typeof route === 'function' ? options : { ...options, route: prepareRoute(route) }
  return (client) => new Session(client, prepared)
}

mustBeCalled('relay', relay)
