// `xps/http`: HTTP/1.1 sessions and transactions, a reverse proxy, static files, handlers, and hooks at every step.
export { type AccessEntry, combinedLogLine } from './access-log.ts'
export type { ConnectCheck, ConnectOptions, ConnectTarget } from './connect/connect-rules.ts'
export type { ErrorPage, ErrorPages } from './faults.ts'
export type { FetchHandler } from './fetch-handler.ts'
export { Fields, type FieldsInit } from './fields.ts'
export type { CookieRewrite } from './forwarding/cookies.ts'
export type { ForwardingOptions } from './forwarding/forwarding.ts'
export type { PathRewriteOptions } from './forwarding/path-rewrite.ts'
export type { ForwardedMode, ProvenanceOptions } from './forwarding/provenance.ts'
export type { RedirectRewrite } from './forwarding/redirects.ts'
export { type Held, type HookPoint, type Hooks, hookPoints } from './hooks.ts'
export { type Http, type HttpOptions, http } from './http.ts'
export type { Flood, Http2Options } from './http2/options.ts'
export { type Answer, type HttpVersion, RequestHead, ResponseHead } from './messages.ts'
export type { ClientLimitOptions } from './pool/client-limit.ts'
export type { HealthCheckOptions, HealthStats } from './pool/health-check.ts'
export type { OriginStats } from './pool/origin.ts'
export type { PoolOptions } from './pool/pool-options.ts'
export type { StickyOptions } from './pool/sticky.ts'
export type { Balance } from './pool/upstream-group.ts'
export type { RedirectOptions } from './redirect.ts'
export type {
  ConnectRoute,
  FetchRoute,
  FilesRoute,
  ForwardRoute,
  HttpRoute,
  NodeRoute,
  RedirectRoute,
  ReplyRoute,
  RouteOptions,
  UpgradeOptions,
} from './routes.ts'
export type { AccessOptions } from './routing/access.ts'
export type { RouteMatch, RouteParams } from './routing/route-match.ts'
export type { HttpStats } from './scope.ts'
export type { HttpSession } from './session.ts'
export { Slot } from './slots.ts'
export type { Coding } from './static/codings.ts'
export { StaticFiles, type StaticNumbers } from './static/static-files.ts'
export type { CompressOptions, FileCacheOptions, ListingOptions, StaticOptions } from './static/static-options.ts'
export type { HttpTimeoutOptions } from './timeouts.ts'
export { Transaction } from './transaction.ts'
export type { TransactionState } from './transaction-state.ts'
