// `xps/http-proxy`: the face of the packages http-proxy and httpxy on the machine of `xps/http`.
export type { NodeHeaders } from './node-fields.ts'
export type { ProxyCookieRewrite, ProxyServerOptions } from './options.ts'
export { ProxyError } from './proxy-error.ts'
export type { ProxyServerEvents } from './proxy-events.ts'
export { ProxyRequest, type ProxyRequestEvents } from './proxy-request.ts'
export { ProxyResponse } from './proxy-response.ts'
export {
  createProxyServer,
  createProxyServer as createProxy,
  createProxyServer as createServer,
  ProxyServer,
  type ProxyServerStats,
} from './proxy-server.ts'
export { ProxySocket, type ProxySocketEvents } from './proxy-socket.ts'
export type { ProxyTarget, ProxyTargetDetailed } from './target.ts'
export type { UpgradeErrorCallback } from './upgrade-call.ts'
export type { ProxyErrorCallback } from './web-call.ts'
