import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { ResponseHead } from '../http/messages.ts'
import { Call, type CallOwner } from './call.ts'
import type { ProxyServerOptions } from './options.ts'
import type { ProxyError } from './proxy-error.ts'
import { ProxyResponse } from './proxy-response.ts'
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

/** One call of `ProxyServer.ws`. */
export class UpgradeCall extends Call<Duplex> implements UpgradeListener {
  readonly head: Uint8Array

  constructor(
    owner: CallOwner,
    req: IncomingMessage,
    socket: Duplex,
    head: Uint8Array,
    callback: UpgradeErrorCallback | undefined,
  ) {
    super(owner, req, socket, callback)
    this.head = head
  }

  opened(socket: ProxySocket): void {
    this.owner.tell(() => this.owner.emit('open', socket))
  }

  closed(socket: ProxySocket, response: ResponseHead): void {
    const { owner } = this
    if (owner.listenerCount('close') === 0) return
    const shown = new ProxyResponse(response)
    shown.complete = true
    shown.push(null)
    owner.tell(() => owner.emit('close', shown, socket, Buffer.alloc(0)))
  }

  over(): void {
    this.fulfil()
  }
}
