import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import { createSecureServer } from 'node:http2'
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { EventEmitter } from 'eventemitter3'
import { systemClock } from '../clock.ts'
import { asXpsError, XpsError } from '../errors.ts'
import { Wheel } from '../lifetime/wheel.ts'
import { invalidOption } from '../options.ts'
import { hostFault } from '../pipe/host-fault.ts'
import type { CallOwner } from './call.ts'
import { waitsForContinue } from './client-response.ts'
import { ForwardExchange } from './forward-exchange.ts'
import { Generation } from './generation.ts'
import { checkOptions, mergeOptions, type ProxyServerOptions, timesOf } from './options.ts'
import { outgoingOf } from './outgoing.ts'
import { ProxyError } from './proxy-error.ts'
import type { ProxyServerEvents } from './proxy-events.ts'
import { ProxyRequest } from './proxy-request.ts'
import { type Hop, redirectsOption } from './redirect-hop.ts'
import { bodyOf, noBody, type RequestBody, twice } from './request-body.ts'
import { readTarget, type Target } from './target.ts'
import { UpgradeCall, type UpgradeErrorCallback, upgradeArguments } from './upgrade-call.ts'
import { UpgradeExchange } from './upgrade-exchange.ts'
import { type ProxyErrorCallback, WebCall } from './web-call.ts'
import { WebExchange } from './web-exchange.ts'

/** Numbers of a {@link ProxyServer}. */
export interface ProxyServerStats {
  /** Requests that are under way. */
  readonly active: number
  /** How many of them are tunnels: upgraded connections. */
  readonly tunnels: number
  /** The connections to each target. */
  readonly targets: Readonly<Record<string, { connections: number; idle: number; queued: number }>>
}

/**
 * A reverse proxy with the face of http-proxy: for requests of Node's own servers, and of Express, Connect and the like.
 *
 * Whatever client or target do, nothing is thrown: errors are told to the callback of a request, or else to listeners to
 * `error`, who answer; where there are neither, the client is answered 502, 504 or the like.
 */
export class ProxyServer extends EventEmitter<ProxyServerEvents> implements CallOwner {
  /** For all requests; may be changed between them. */
  options: ProxyServerOptions
  readonly #wheel = new Wheel(systemClock)
  /** Those that were closed and are not over yet. */
  readonly #former = new Set<Generation>()
  #generation: Generation | undefined
  #server: Server | HttpsServer | undefined

  /** Throws `XPS_INVALID_OPTION` for options that cannot be. */
  constructor(options: ProxyServerOptions = {}) {
    super()
    checkOptions(options)
    if (options.http2 === true && options.ssl === undefined) {
      throw invalidOption('http2', options.http2, "used with 'ssl' only")
    }
    this.options = options
  }

  /** The server that `listen` made; undefined before it, and after `close`. */
  get server(): Server | HttpsServer | undefined {
    return this.#server
  }

  stats(): ProxyServerStats {
    const active = [...this.#former].reduce((sum, one) => sum + one.size, this.#generation?.size ?? 0)
    const tunnels = [...this.#former].reduce((sum, one) => sum + one.tunnels, this.#generation?.tunnels ?? 0)
    return { active, tunnels, targets: this.#generation?.connections ?? {} }
  }

  /**
   * Sends a request on, and its response back. Options that are given here count before the proxy's own.
   *
   * The promise is fulfilled when all is over, or when a callback or listener was told of an error. It is rejected only
   * if there is none; whoever then answers at once is first, and without an answer there is 502 or 504. Nobody has to
   * look at the promise.
   */
  web(req: IncomingMessage, res: ServerResponse, callback?: ProxyErrorCallback): Promise<void>
  web(
    req: IncomingMessage,
    res: ServerResponse,
    options?: ProxyServerOptions,
    callback?: ProxyErrorCallback,
  ): Promise<void>
  web(
    req: IncomingMessage,
    res: ServerResponse,
    options?: ProxyServerOptions | ProxyErrorCallback,
    callback?: ProxyErrorCallback,
  ): Promise<void> {
    const call = new WebCall(this, req, res, typeof options === 'function' ? options : callback)
    try {
      const given = typeof options === 'object' && options !== null ? options : undefined
      if (given !== undefined) checkOptions(given)
      this.#begin(call, mergeOptions(this.options, given))
    } catch (error) {
      call.failed(new ProxyError(asXpsError(error, 'XPS_FAULT', 'the request cannot be sent on', { status: 500 })))
    }
    return call.promise
  }

  /**
   * Sends a request for an upgrade on, and joins the client to the target if that agrees; if not, the client gets its
   * refusal. For the event `upgrade` of Node's servers. The options may stand before the head, as httpxy has it.
   *
   * The promise is as that of {@link web}: fulfilled when the tunnel is over.
   */
  ws(
    req: IncomingMessage,
    socket: Duplex,
    head: Uint8Array,
    options?: ProxyServerOptions,
    callback?: UpgradeErrorCallback,
  ): Promise<void>
  ws(req: IncomingMessage, socket: Duplex, head: Uint8Array, callback?: UpgradeErrorCallback): Promise<void>
  ws(
    req: IncomingMessage,
    socket: Duplex,
    options?: ProxyServerOptions,
    head?: Uint8Array,
    callback?: UpgradeErrorCallback,
  ): Promise<void>
  ws(req: IncomingMessage, socket: Duplex, ...rest: unknown[]): Promise<void> {
    const { head, options, callback } = upgradeArguments(rest)
    const call = new UpgradeCall(this, req, socket, head, callback)
    // Whatever happens to it before it is ours.
    socket.on('error', () => {})
    try {
      if (options !== undefined) checkOptions(options)
      this.#beginUpgrade(call, mergeOptions(this.options, options))
    } catch (error) {
      const fault = asXpsError(error, 'XPS_FAULT', 'the request cannot be sent on', { status: 500 })
      const told = call.failed(new ProxyError(fault))
      const { statusCode } = new ProxyError(fault)
      const line = `HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode] ?? ''}`
      if (!told && socket.writable) socket.end(`${line}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
      else if (socket.writable) socket.end()
      call.over()
    }
    return call.promise
  }

  /** Makes a server whose requests are sent on. Errors of the server are told as `error`, if anybody listens. */
  listen(port: number, hostname?: string, listening?: () => void): this {
    if (this.#server !== undefined) throw new XpsError('XPS_LISTEN', 'it listens already')
    const { ssl, http2, ws } = this.options
    const handler = (req: IncomingMessage, res: ServerResponse): void => void this.web(req, res)
    const server =
      ssl === undefined
        ? createServer(handler)
        : http2 === true
          ? (createSecureServer({ ...ssl, allowHTTP1: true }, handler as never) as unknown as HttpsServer)
          : createHttpsServer(ssl, handler)
    this.#server = server
    if (ws === true) server.on('upgrade', (req, socket, head) => void this.ws(req, socket, head))
    server.on('error', (error) => {
      if (this.listenerCount('error') === 0) throw error
      const cause = new XpsError('XPS_LISTEN', `cannot listen: ${error.message}`, { cause: error })
      this.tell(() => this.emit('error', new ProxyError(cause), undefined, undefined, undefined))
    })
    if (hostname === undefined) server.listen(port, listening)
    else server.listen(port, hostname, listening)
    return this
  }

  /**
   * Ends what there is: takes no more connections if it listens, lets requests that are under way finish, ends
   * tunnels and all connections to targets. The callback is called, and the promise fulfilled, when nothing is left. Requests that come
   * later, to a server that is not ours, begin anew.
   */
  close(callback?: (error?: Error) => void): Promise<void> {
    const server = this.#server
    const generation = this.#generation
    this.#server = undefined
    this.#generation = undefined
    const ends: Promise<unknown>[] = []
    if (server !== undefined) {
      ends.push(new Promise((resolve) => server.close(resolve)))
      if ('closeIdleConnections' in server) server.closeIdleConnections()
    }
    if (generation !== undefined) {
      this.#former.add(generation)
      ends.push(generation.close().then(() => this.#former.delete(generation)))
    }
    const closed = Promise.all(ends).then(() => {})
    if (callback !== undefined) void closed.then(() => this.tell(() => callback()))
    return closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** There are no passes: says so. */
  before(): never {
    throw noPasses()
  }

  /** There are no passes: says so. */
  after(): never {
    throw noPasses()
  }

  /** @internal Calls code of the host program; what that throws is a warning, and harms no request. */
  tell(call: () => void): void {
    try {
      call()
    } catch (error) {
      process.emitWarning(hostFault(error))
    }
  }

  #begin(call: WebCall, options: ProxyServerOptions): void {
    const { req, client: res } = call
    const target = optionalTarget('target', options.target)
    const forward = optionalTarget('forward', options.forward)
    const first = target ?? forward
    if (first === undefined) throw invalidOption('target', undefined, "a URL such as 'http://127.0.0.1:3000'")
    call.target = first.url
    if (res.writableEnded) throw new XpsError('XPS_CLOSED', 'the response has been sent already')
    call.redirects = redirectsOption(options.followRedirects)
    const times = timesOf(options)
    if ((options.timeout ?? 0) > 0) req.socket.setTimeout(times.client)
    this.tell(() => this.emit('start', req, res, first.url))
    this.#generation ??= new Generation(this.#wheel)
    const generation = this.#generation
    const asked = this.#ask(call, options, first)
    const head = asked.close(versionOf(req))
    let body = bodyOf(req, options.buffer, asked, () => this.#wheel.now())
    if (forward !== undefined) {
      let copy: RequestBody = body
      if (target !== undefined) [body, copy] = twice(body)
      const shown = target === undefined ? asked : this.#ask(undefined, options, forward, req)
      const sentHead = target === undefined ? head : shown.close(versionOf(req))
      const route = generation.route(forward, options)
      new ForwardExchange({ req, head: sentHead, body: copy, route, times, generation }, (error) =>
        call.forwardFailed(error, forward.url),
      ).start()
      if (target === undefined) return call.forwarded(copy)
    }
    if (target === undefined) return
    call.asked = asked
    const send = (hop: Hop): void => {
      const route = generation.route(hop.target, options)
      const parts = { req, head: hop.head, body: hop.body, route, times, generation }
      new WebExchange(parts, res, options, hop.target, call).start()
    }
    call.hop = { head, body, target }
    call.send = send
    send(call.hop)
  }

  #beginUpgrade(call: UpgradeCall, options: ProxyServerOptions): void {
    const { req, client: socket, head } = call
    const target = optionalTarget('target', options.target)
    if (target === undefined) throw invalidOption('target', undefined, "a URL such as 'ws://127.0.0.1:3000'")
    call.target = target.url
    const times = timesOf(options)
    const upgradeTimes = { ...times, proxy: options.upgradeTimeout ?? times.proxy }
    if ('setTimeout' in socket) (socket as Socket).setTimeout(0)
    if ('setNoDelay' in socket) (socket as Socket).setNoDelay(true)
    const asked = new ProxyRequest(outgoingOf(req, options, target, 'ws'), target.host, target.secure)
    if (this.listenerCount('proxyReqWs') > 0) this.emit('proxyReqWs', asked, req, socket, shownOptions(options), head)
    this.#generation ??= new Generation(this.#wheel)
    const generation = this.#generation
    const route = generation.route(target, options)
    const parts = { req, head: asked.close(versionOf(req)), body: noBody, route, times: upgradeTimes, generation }
    new UpgradeExchange(parts, socket, head, call).start()
  }

  /** What is going to be sent, after listeners have seen it. */
  #ask(call: WebCall | undefined, options: ProxyServerOptions, target: Target, req = call?.req): ProxyRequest {
    const outgoing = outgoingOf(req as IncomingMessage, options, target)
    // Node's server has told the client to go on, so there is nothing to wait for.
    if (call === undefined || !waitsForContinue(call.req, call.client)) outgoing.fields.delete('expect')
    const asked = new ProxyRequest(outgoing, target.host, target.secure)
    if (call !== undefined && this.listenerCount('proxyReq') > 0) {
      this.emit('proxyReq', asked, call.req, call.client, shownOptions(options))
    }
    return asked
  }
}

/** As listeners see them: targets are URLs. */
function shownOptions(options: ProxyServerOptions): ProxyServerOptions {
  const shown = { ...options }
  for (const name of ['target', 'forward'] as const) {
    const given = shown[name]
    if (typeof given === 'string') shown[name] = readTarget(name, given).url
  }
  return shown
}

function optionalTarget(name: string, given: ProxyServerOptions['target'] | null): Target | undefined {
  return given === undefined || given === null || given === '' ? undefined : readTarget(name, given)
}

function versionOf(req: IncomingMessage): '1.0' | '1.1' | '2' {
  if (req.httpVersionMajor >= 2) return '2'
  return req.httpVersion === '1.0' ? '1.0' : '1.1'
}

function noPasses(): XpsError {
  return new XpsError('XPS_INVALID_OPTION', 'there are no passes to put others before or after: use the events')
}

/**
 * Makes a proxy; see {@link ProxyServer}. Throws `XPS_INVALID_OPTION` for options that cannot be, and warns of those that
 * have no effect.
 */
export function createProxyServer(options: ProxyServerOptions = {}): ProxyServer {
  return new ProxyServer(options)
}
