// `xps/http-sessions`: sessions that browsers have by a cookie, for `xps/http`, kept by `xps/state`.
export { CookieSession } from './cookie-session.ts'
export { CookieSessions, cookieSessions, type NodeRequest } from './cookie-sessions.ts'
export type { CookieSessionsOptions } from './cookie-sessions-options.ts'
export type { CookieSessionsStats } from './rules.ts'
export type { SessionCookieOptions } from './session-cookie.ts'
export type { CookieSessionSource, LockedSession } from './source.ts'
export type {
  RouteChoice,
  SessionAcceptOptions,
  SessionField,
  SessionForwardOptions,
  SessionTokenOptions,
} from './upstream-options.ts'
