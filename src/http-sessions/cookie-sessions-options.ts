import type { BlockList } from 'node:net'
import { type Clock, systemClock } from '../clock.ts'
import type { RequestHead } from '../http/messages.ts'
import { Wheel } from '../lifetime/wheel.ts'
import { durationOption, integerOption, invalidOption, knownOptions } from '../options.ts'
import type { Container } from '../state/container.ts'
import { longestLifetime } from '../state/limits.ts'
import { SharedSessions } from '../state/shared-sessions.ts'
import { RetiredIds } from './retired-ids.ts'
import type { Rules } from './rules.ts'
import { SessionCookie, type SessionCookieOptions } from './session-cookie.ts'
import { Signer } from './signature.ts'
import type { CookieSessionSource } from './source.ts'
import type { SessionAcceptOptions, SessionForwardOptions } from './upstream-options.ts'

/** Options of `cookieSessions`. */
export interface CookieSessionsOptions<Data extends object = Record<string, unknown>> {
  /** Where sessions are: a container such as `new MemoryStore()`, a `StateClient`, or `SharedSessions`. */
  store: Container | CookieSessionSource
  /**
   * What cookies are signed with, the newest first: it signs, and all of them are believed. 32 bytes or more each.
   */
  keys: readonly (string | Uint8Array)[]
  /** What it is called, and where browsers send it. @default {} */
  cookie?: SessionCookieOptions
  /**
   * `'locking'`: a request has its session alone, and those that come meanwhile wait. `'merging'`: none waits, and each key
   * that a request has changed is written by itself; the last one to write the same key wins.
   * @default 'locking'
   */
  mode?: 'locking' | 'merging'
  /** Says of a request that it only reads its session, so that it need not wait. @default none does */
  readOnly?: (request: RequestHead) => boolean
  /** How long a session may be unused, in milliseconds; 0 for ever. @default 86400000 */
  idleLifetime?: number
  /** How long a session may be there, used or not, in milliseconds; 0 for ever. @default 0 */
  absoluteLifetime?: number
  /**
   * How long requests with the id before a rotation find what was there then, in milliseconds. They change nothing.
   * @default 10000
   */
  graceLifetime?: number
  /** Gives the browser its cookie anew when a sixteenth of its time has passed. @default true */
  rolling?: boolean
  /** Keys whose change gives the session another id: who is logged in, say. @default none */
  rotateOn?: readonly string[]
  /** What becomes of changes when the request is answered with 500 or more, or its client leaves. @default 'rollback' */
  onFailure?: 'rollback' | 'commit'
  /** When the store cannot be asked: 503, or on without a session. @default 'refuse' */
  whenDown?: 'refuse' | 'pass'
  /** How long a request waits for its session, in milliseconds; then it is answered 503. @default that of the store */
  lockTimeout?: number
  /** How long a request may have its session to itself, in milliseconds; what it changes later is refused. @default 30000 */
  holdTimeout?: number
  /** What `Retry-After` says with 503, in seconds. @default 1 */
  retryAfter?: number
  /** Peers whose `X-Forwarded-Proto` counts; as the option of routes. @default nobody */
  trusted?: readonly string[] | BlockList
  /** What upstreams are told of the session. @default nothing */
  forward?: SessionForwardOptions<Data>
  /** From which upstreams changes of the session are taken. @default none */
  accept?: SessionAcceptOptions
  /** @default the machine's */
  clock?: Clock
}

const optionNames = [
  'store',
  'keys',
  'cookie',
  'mode',
  'readOnly',
  'idleLifetime',
  'absoluteLifetime',
  'graceLifetime',
  'rolling',
  'rotateOn',
  'onFailure',
  'whenDown',
  'lockTimeout',
  'holdTimeout',
  'retryAfter',
  'trusted',
  'forward',
  'accept',
  'clock',
]

/** Reads the options. Throws `XPS_INVALID_OPTION`. `own` is what has to be closed. */
export function rulesOf<Data extends object>(
  options: CookieSessionsOptions<Data>,
): { rules: Rules; own: SharedSessions | undefined } {
  if (typeof options !== 'object' || options === null) {
    throw invalidOption('cookie sessions options', options, 'an object')
  }
  knownOptions('cookie sessions options', options, optionNames)
  const { store, mode, rolling = true, rotateOn = [], onFailure, whenDown, lockTimeout, clock } = options
  if (typeof rolling !== 'boolean') throw invalidOption('rolling', rolling, 'true or false')
  if (!Array.isArray(rotateOn) || rotateOn.some((key) => typeof key !== 'string')) {
    throw invalidOption('rotateOn', rotateOn, 'a list of keys')
  }
  const idle = lifetime('idleLifetime', options.idleLifetime, 86_400_000)
  const absolute = lifetime('absoluteLifetime', options.absoluteLifetime, 0)
  const cookie = new SessionCookie(options.cookie ?? {}, new Signer('keys', options.keys), {
    idle: Math.ceil(idle / 1_000),
    absolute: Math.ceil(absolute / 1_000),
  })
  const time = timeOf(clock)
  const grace = durationOption('graceLifetime', options.graceLifetime, 10_000, true)
  const { source, own } = sourceOf(store, clock, { idle, absolute, grace })
  const wheel = new Wheel(clock ?? systemClock)
  const rules: Rules = {
    source,
    cookie,
    locking: oneOf('mode', mode, ['locking', 'merging']) === 'locking',
    onFailure: oneOf('onFailure', onFailure, ['rollback', 'commit']),
    whenDown: oneOf('whenDown', whenDown, ['refuse', 'pass']),
    rolling,
    rotateOn: new Set(rotateOn as readonly string[]),
    idle: own === undefined ? options.idleLifetime : undefined,
    wait: lockTimeout === undefined ? {} : { lockTimeout: durationOption('lockTimeout', lockTimeout, 0, true) },
    holdTimeout: durationOption('holdTimeout', options.holdTimeout, 30_000),
    retryAfter: integerOption('retryAfter', options.retryAfter, 1, { min: 0, max: 86_400 }),
    clock: wheel,
    retired: new RetiredIds(wheel, grace),
    seconds: () => Math.floor(time() / 1_000),
    counts: {
      opened: 0,
      created: 0,
      committed: 0,
      rotated: 0,
      destroyed: 0,
      rolledBack: 0,
      dropped: 0,
      forged: 0,
      unknown: 0,
      unavailable: 0,
    },
  }
  return { rules, own }
}

function sourceOf(
  store: Container | CookieSessionSource,
  clock: Clock | undefined,
  { idle, absolute, grace }: { readonly idle: number; readonly absolute: number; readonly grace: number },
): { source: CookieSessionSource; own: SharedSessions | undefined } {
  if (typeof store !== 'object' || store === null) {
    throw invalidOption('store', store, 'a container, a StateClient or SharedSessions')
  }
  if ('openSession' in store) {
    return { source: store, own: undefined }
  }
  const own = new SharedSessions(store, {
    idleLifetime: idle,
    absoluteLifetime: absolute,
    // Where other processes have sessions too, they have to know what became of an id.
    graceLifetime: store.lock === undefined ? 0 : grace,
    ...(clock === undefined ? {} : { clock }),
  })
  return { source: own, own }
}

function oneOf<T extends string>(name: string, given: T | undefined, allowed: readonly [T, T]): T {
  if (given === undefined) return allowed[0]
  if (!allowed.includes(given)) throw invalidOption(name, given, allowed.map((one) => `'${one}'`).join(' or '))
  return given
}

function lifetime(name: string, given: number | undefined, fallback: number): number {
  return integerOption(name, given, fallback, { min: 0, max: longestLifetime })
}

/** Milliseconds since 1970. A clock that was given counts from somewhere, so it counts on from the time that it was given. */
function timeOf(clock: Clock | undefined): () => number {
  if (clock === undefined) return Date.now
  const base = Date.now() - clock.now()
  return () => base + clock.now()
}
