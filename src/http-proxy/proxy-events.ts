import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { ProxyServerOptions } from './options.ts'
import type { ProxyError } from './proxy-error.ts'
import type { ProxyRequest } from './proxy-request.ts'
import type { ProxyResponse } from './proxy-response.ts'
import type { ProxySocket } from './proxy-socket.ts'
import type { ProxyTargetDetailed } from './target.ts'

/** What a `ProxyServer` tells, by the names and arguments of http-proxy. */
export interface ProxyServerEvents {
  /** A request cannot be answered, or not wholly: whoever listens answers it, unless the head was sent. */
  error: [
    error: ProxyError,
    req: IncomingMessage | undefined,
    res: ServerResponse | Duplex | undefined,
    target: URL | ProxyTargetDetailed | undefined,
  ]
  /** A request is about to be sent on. */
  start: [req: IncomingMessage, res: ServerResponse, target: URL | ProxyTargetDetailed]
  /** The request to the target is there, and may be edited. */
  proxyReq: [proxyReq: ProxyRequest, req: IncomingMessage, res: ServerResponse, options: ProxyServerOptions]
  /** The head of the target's response is there, and may be edited. */
  proxyRes: [proxyRes: ProxyResponse, req: IncomingMessage, res: ServerResponse]
  /** The request for an upgrade is there, and may be edited. */
  proxyReqWs: [
    proxyReq: ProxyRequest,
    req: IncomingMessage,
    socket: Duplex,
    options: ProxyServerOptions,
    head: Uint8Array,
  ]
  /** A target has agreed to an upgrade, and bytes are about to flow. */
  open: [proxySocket: ProxySocket]
  /** A tunnel is over, however it ended. The head is empty: what came early has been passed on. */
  close: [proxyRes: ProxyResponse, proxySocket: ProxySocket, proxyHead: Buffer]
  /** The target's response has come whole. */
  end: [req: IncomingMessage, res: ServerResponse, proxyRes: ProxyResponse]
  /** The client has left before it had its response. */
  econnreset: [error: ProxyError, req: IncomingMessage, res: ServerResponse, target: URL | ProxyTargetDetailed]
}
