import { durationOption } from '../options.ts'

/** How long things may take, in milliseconds; 0 means for ever, except for connecting. */
export interface TimeoutOptions {
  /** From a connection's acceptance until a first byte moves in either direction. @default 120000 */
  firstByteTimeout?: number
  /** Until an upstream is connected, over all attempts; never 0. @default 3000 */
  connectTimeout?: number
  /** While bytes wait for the client: how long it may take none of them. @default 60000 */
  clientIdleTimeout?: number
  /** While bytes wait for the upstream: how long it may take none of them. @default 30000 */
  upstreamIdleTimeout?: number
  /** How long a relay may be silent in both directions. @default 600000 */
  tunnelIdleTimeout?: number
  /** The whole life of a session, busy or not. @default 0 */
  maxSessionAge?: number
}

/** Timeouts that a session has: all of them, and they never change. */
export type Timeouts = Readonly<Required<TimeoutOptions>>

/** The names of the options, for checks of what is given. */
export const timeoutNames: readonly (keyof TimeoutOptions)[] = [
  'firstByteTimeout',
  'connectTimeout',
  'clientIdleTimeout',
  'upstreamIdleTimeout',
  'tunnelIdleTimeout',
  'maxSessionAge',
]

/** What holds where nothing else is said; the values are those that Apache Traffic Server and Sozu start with. */
export const defaultTimeouts: Timeouts = {
  firstByteTimeout: 120_000,
  connectTimeout: 3_000,
  clientIdleTimeout: 60_000,
  upstreamIdleTimeout: 30_000,
  tunnelIdleTimeout: 600_000,
  maxSessionAge: 0,
}

/** The given timeouts over those that hold otherwise. Throws `XPS_INVALID_OPTION`. */
export function withTimeouts(base: Timeouts, given: TimeoutOptions): Timeouts {
  if (!timeoutNames.some((name) => given[name] !== undefined)) return base
  const merged: Record<string, number> = {}
  for (const name of timeoutNames)
    merged[name] = durationOption(name, given[name], base[name], name !== 'connectTimeout')
  return merged as unknown as Timeouts
}
