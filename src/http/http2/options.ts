import { bytesOption, durationOption, integerOption, invalidOption, knownOptions } from '../../options.ts'

/** Options of HTTP/2 towards clients. */
export interface Http2Options {
  /**
   * Whether HTTP/2 is spoken without TLS, to clients that begin with it (prior knowledge). Their first bytes are waited for
   * to know.
   * @default false
   */
  cleartext?: boolean
  /** How many requests a connection may have under way. @default 100 */
  maxStreams?: number
  /** How much of a request's body a client may send before somebody reads it, in bytes. @default 65535 */
  windowSize?: number | string
  /** In how long a time the limits below may be reached, in milliseconds. @default 10000 */
  floodWindow?: number
  /** Requests that a client may take back in that time, or break the protocol in, before they are answered. @default 500 */
  maxResets?: number
  /** PING frames in that time. @default 1000 */
  maxPings?: number
  /** SETTINGS frames in that time. @default 100 */
  maxSettings?: number
  /** PRIORITY frames in that time, where Node tells of them. @default 1000 */
  maxPriorities?: number
  /** Invalid and empty frames, for as long as the connection lasts. @default 100 */
  maxInvalidFrames?: number
}

/** What a client sent too much of. */
export type Flood = 'resets' | 'pings' | 'settings' | 'priorities' | 'frames'

/** Options of HTTP/2, all of them. */
export interface Http2Rules {
  readonly cleartext: boolean
  readonly maxStreams: number
  readonly windowSize: number
  readonly floodWindow: number
  /** How many in the window. */
  readonly most: Readonly<Record<Exclude<Flood, 'frames'>, number>>
  readonly maxInvalidFrames: number
}

const names = [
  'cleartext',
  'maxStreams',
  'windowSize',
  'floodWindow',
  'maxResets',
  'maxPings',
  'maxSettings',
  'maxPriorities',
  'maxInvalidFrames',
]

/** The given options, and the defaults where none are given; undefined for no HTTP/2. Throws `XPS_INVALID_OPTION`. */
export function http2Rules(given: false | Http2Options = {}): Http2Rules | undefined {
  if (given === false) return undefined
  if (typeof given !== 'object' || given === null) throw invalidOption('http2', given, 'false or an object')
  knownOptions('http2', given, names)
  const { cleartext = false } = given
  if (typeof cleartext !== 'boolean') throw invalidOption('http2.cleartext', cleartext, 'true or false')
  const many = { min: 1, max: 1_000_000 }
  return {
    cleartext,
    maxStreams: integerOption('http2.maxStreams', given.maxStreams, 100, { min: 1, max: 10_000 }),
    windowSize: windowOption(given.windowSize ?? 65_535),
    floodWindow: durationOption('http2.floodWindow', given.floodWindow, 10_000),
    most: {
      resets: integerOption('http2.maxResets', given.maxResets, 500, many),
      pings: integerOption('http2.maxPings', given.maxPings, 1_000, many),
      settings: integerOption('http2.maxSettings', given.maxSettings, 100, many),
      priorities: integerOption('http2.maxPriorities', given.maxPriorities, 1_000, many),
    },
    maxInvalidFrames: integerOption('http2.maxInvalidFrames', given.maxInvalidFrames, 100, many),
  }
}

function windowOption(given: number | string): number {
  const size = bytesOption('http2.windowSize', given)
  // RFC 9113, 6.9.1 would allow two gigabytes; each stream may hold as much.
  if (size < 16_384 || size > 16 * 1024 * 1024) {
    throw invalidOption('http2.windowSize', given, 'from 16 KiB to 16 MiB')
  }
  return size
}
