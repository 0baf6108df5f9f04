import { durationOption } from '../options.ts'

/** How long the steps of an HTTP connection may take, in milliseconds; 0 means for ever. */
export interface HttpTimeoutOptions {
  /** From the first byte of a request's head to its last, however they come; then 408. @default 30000 */
  headTimeout?: number
  /** How long the client may send nothing of a body that is waited for; then 408. @default 60000 */
  bodyTimeout?: number
  /** Between a response and the next request; then the connection is closed. @default 60000 */
  keepAliveTimeout?: number
  /** How long a request may wait for a connection to its upstream; then 503. @default 5000 */
  queueTimeout?: number
  /** From the request's last byte to the last of the response's head; then 504. @default 60000 */
  responseTimeout?: number
  /** How long an upstream may send nothing of a response's body; then it is cut short. @default 60000 */
  responseIdleTimeout?: number
  /** All of a transaction, busy or not; then 408, or it is cut short. @default 0 */
  transactionTimeout?: number
  /** All of a tunnel (an upgraded connection, or CONNECT), busy or not; then it is cut off. @default 0 */
  tunnelTimeout?: number
}

/** The timeouts that a server has: all of them. */
export type HttpTimeouts = Readonly<Required<HttpTimeoutOptions>>

const defaults: HttpTimeouts = {
  headTimeout: 30_000,
  bodyTimeout: 60_000,
  keepAliveTimeout: 60_000,
  queueTimeout: 5_000,
  responseTimeout: 60_000,
  responseIdleTimeout: 60_000,
  transactionTimeout: 0,
  tunnelTimeout: 0,
}

/** The names of the options. */
export const httpTimeoutNames = Object.keys(defaults) as readonly (keyof HttpTimeouts)[]

/** The given timeouts, and the defaults where none are given. Throws `XPS_INVALID_OPTION`. */
export function httpTimeouts(given: HttpTimeoutOptions): HttpTimeouts {
  const timeouts: Record<string, number> = {}
  for (const name of httpTimeoutNames) timeouts[name] = durationOption(name, given[name], defaults[name], true)
  return timeouts as unknown as HttpTimeouts
}
