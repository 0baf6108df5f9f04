import type { BlockList } from 'node:net'
import { integerOption, invalidOption, longestTime } from '../options.ts'
import { AddressSet } from './address-set.ts'

/** How many connections are taken, and what becomes of those that are too many. */
export interface LimitOptions {
  /**
   * Sessions at a time. Who comes when there are so many waits in the queue; they are served again once fewer than
   * 90 % of it are left.
   * @default 10000 for a core, none (0) for a listener of it
   */
  maxConnections?: number
  /** Connections of one IP address at a time, waiting ones included; 0 for no limit. @default 0 */
  maxConnectionsPerIp?: number
  /**
   * Addresses for which `maxConnectionsPerIp` does not hold: `'10.0.0.0/8'`, `'::1'`, `'private'`; or a `net.BlockList`.
   */
  exempt?: readonly string[] | BlockList
  /** Connections that may wait, on each listener. @default 1024 */
  maxQueue?: number
  /** How long one may wait, in milliseconds. @default 60000 */
  queueTimeout?: number
  /** Who is served first: the newest is the one most likely to be still there. @default 'newest' */
  order?: 'newest' | 'oldest'
  /** What to do at the limit besides waiting: nothing, or end the session that was silent the longest. @default 'none' */
  evict?: 'none' | 'idle'
}

/** Limits in force. */
export interface Limits {
  readonly maxConnections: number
  readonly maxConnectionsPerIp: number
  readonly exempt: AddressSet
  readonly maxQueue: number
  readonly queueTimeout: number
  readonly order: 'newest' | 'oldest'
  readonly evict: 'none' | 'idle'
}

/** The names of the options, for checks of what is given. */
export const limitNames: readonly (keyof LimitOptions)[] = [
  'maxConnections',
  'maxConnectionsPerIp',
  'exempt',
  'maxQueue',
  'queueTimeout',
  'order',
  'evict',
]

/** What holds where nothing else is said. */
export const defaultLimits: Limits = {
  maxConnections: 10_000,
  maxConnectionsPerIp: 0,
  exempt: new AddressSet('exempt', []),
  maxQueue: 1_024,
  queueTimeout: 60_000,
  order: 'newest',
  evict: 'none',
}

const most = 10_000_000

/** The given limits over those that hold otherwise. Throws `XPS_INVALID_OPTION`. */
export function withLimits(base: Limits, given: LimitOptions): Limits {
  return {
    maxConnections: integerOption('maxConnections', given.maxConnections, base.maxConnections, { min: 0, max: most }),
    maxConnectionsPerIp: integerOption('maxConnectionsPerIp', given.maxConnectionsPerIp, base.maxConnectionsPerIp, {
      min: 0,
      max: most,
    }),
    exempt: given.exempt === undefined ? base.exempt : new AddressSet('exempt', given.exempt),
    maxQueue: integerOption('maxQueue', given.maxQueue, base.maxQueue, { min: 1, max: 1_000_000 }),
    queueTimeout: integerOption('queueTimeout', given.queueTimeout, base.queueTimeout, { min: 1, max: longestTime }),
    order: choice('order', given.order, base.order, ['newest', 'oldest']),
    evict: choice('evict', given.evict, base.evict, ['none', 'idle']),
  }
}

function choice<T extends string>(name: string, given: T | undefined, fallback: T, allowed: readonly T[]): T {
  if (given === undefined) return fallback
  if (!allowed.includes(given)) throw invalidOption(name, given, allowed.map((one) => `'${one}'`).join(' or '))
  return given
}
