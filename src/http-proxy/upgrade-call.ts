import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { ResponseHead } from '../http/messages.ts'
import { hostFault } from '../pipe/host-fault.ts'
import type { ProxyServerOptions } from './options.ts'
import type { ProxyError } from './proxy-error.ts'
import { ProxyResponse } from './proxy-response.ts'
import type { ProxyServer } from './proxy-server.ts'
import type { ProxySocket } from './proxy-socket.ts'
import type { ProxyTargetDetailed } from './target.ts'
import type { UpgradeListener } from './upgrade-exchange.ts'

/** Is told, in place of listeners, that an upgrade cannot be had, or that its tunnel broke off. */
export type UpgradeErrorCallback = (
  error: ProxyError,
  req: IncomingMessage,
  socket: Duplex,
  target: URL | ProxyTargetDetailed | undefined,
) => void

/** The arguments of `ws` behind the socket: http-proxy has the head before the options, httpxy behind them. */
export function upgradeArguments(rest: readonly unknown[]): {
  head: Uint8Array
  options: ProxyServerOptions | undefined
  callback: UpgradeErrorCallback | undefined
} {
  let head: Uint8Array = nothing
  let options: ProxyServerOptions | undefined
  let callback: UpgradeErrorCallback | undefined
  for (const one of rest) {
    if (one instanceof Uint8Array) head = one
    else if (typeof one === 'function') callback = one as UpgradeErrorCallback
    else if (typeof one === 'object' && one !== null) options = one
  }
  return { head, options, callback }
}

const nothing = new Uint8Array(0)

/** One call of {@link ProxyServer.ws}: whom to tell, and what was promised. */
export class UpgradeCall implements UpgradeListener {
  readonly req: IncomingMessage
  readonly socket: Duplex
  readonly head: Uint8Array
  readonly promise: Promise<void>
  target: URL | ProxyTargetDetailed | undefined
  readonly #server: ProxyServer
  readonly #callback: UpgradeErrorCallback | undefined
  #resolve: () => void = () => {}
  #reject: (error: ProxyError) => void = () => {}

  constructor(
    server: ProxyServer,
    req: IncomingMessage,
    socket: Duplex,
    head: Uint8Array,
    callback: UpgradeErrorCallback | undefined,
  ) {
    this.#server = server
    this.req = req
    this.socket = socket
    this.head = head
    this.#callback = callback
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  opened(socket: ProxySocket): void {
    this.#server.tell(() => this.#server.emit('open', socket))
  }

  closed(socket: ProxySocket, response: ResponseHead): void {
    const server = this.#server
    if (server.listenerCount('close') === 0) return
    const shown = new ProxyResponse(response)
    shown.complete = true
    shown.push(null)
    server.tell(() => server.emit('close', shown, socket, Buffer.alloc(0)))
  }

  failed(error: ProxyError): boolean {
    const { req, socket, target } = this
    const server = this.#server
    const callback = this.#callback
    if (callback === undefined && server.listenerCount('error') === 0) {
      // Whoever waits for the promise hears of it; nobody has to.
      this.promise.catch(() => {})
      this.#reject(error)
      return false
    }
    try {
      if (callback !== undefined) callback(error, req, socket, target)
      else server.emit('error', error, req, socket, target)
    } catch (fault) {
      process.emitWarning(hostFault(fault))
    }
    return true
  }

  over(): void {
    this.#resolve()
  }
}
