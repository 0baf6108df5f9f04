import { randomUUID } from 'node:crypto'
import type { BlockList } from 'node:net'
import { type Clock, systemClock } from '../clock.ts'
import { XpsError } from '../errors.ts'
import type { Fields } from '../http/fields.ts'
import { Provenance } from '../http/forwarding/provenance.ts'
import type { Hooks } from '../http/hooks.ts'
import type { RequestHead } from '../http/messages.ts'
import { Slot } from '../http/slots.ts'
import { Transaction } from '../http/transaction.ts'
import { Wheel } from '../lifetime/wheel.ts'
import { durationOption, integerOption, invalidOption, knownOptions } from '../options.ts'
import type { Container } from '../state/container.ts'
import { longestLifetime } from '../state/limits.ts'
import { SharedSessions } from '../state/shared-sessions.ts'
import type { CookieSession } from './cookie-session.ts'
import { RetiredIds } from './retired-ids.ts'
import type { CookieSessionsStats, Rules } from './rules.ts'
import { SessionCookie, type SessionCookieOptions } from './session-cookie.ts'
import { Signer } from './signature.ts'
import type { CookieSessionSource } from './source.ts'
import { applyChanges, guardFields, takeChanges, tellUpstream } from './upstream-fields.ts'
import {
  type SessionAcceptOptions,
  type SessionForwardOptions,
  type UpstreamRules,
  upstreamRules,
} from './upstream-options.ts'
import { Visit } from './visit.ts'

/** Options of {@link cookieSessions}. */
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
  /** What becomes of changes when the request fails (with 500 or more), or its client leaves. @default 'rollback' */
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

/** By this, handlers of Node find the transaction that their request belongs to. Nobody outside can send it. */
const transactionField = 'x-xps-transaction'

/** What a handler of Node's, or of Express, is given: an `IncomingMessage`. */
export interface NodeRequest {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
}

/**
 * Makes sessions that browsers have by a cookie: give their `hooks` to `http`. All options are checked at once.
 *
 * ```ts
 * const sessions = cookieSessions({ store: new MemoryStore(), keys: [process.env.SESSION_KEY] })
 * const protocol = http({ routes, hooks: sessions.hooks })
 * // In a hook or handler:
 * const session = await sessions.of(transaction)
 * session.set('user', 'ali').rotate()
 * ```
 */
export function cookieSessions<Data extends object = Record<string, unknown>>(
  options: CookieSessionsOptions<Data>,
): CookieSessions<Data> {
  return new CookieSessions<Data>(options)
}

/** Sessions that browsers have by a cookie; see {@link cookieSessions}. */
export class CookieSessions<Data extends object = Record<string, unknown>> {
  /** For `http({ hooks })`. Put them before those that ask for sessions. */
  readonly hooks: Hooks
  readonly #rules: Rules
  readonly #upstream: UpstreamRules<Data>
  readonly #guarded: ReadonlySet<string>
  readonly #readOnly: ((request: RequestHead) => boolean) | undefined
  readonly #provenance: Provenance
  /** Ours to close; undefined if it was given to us open. */
  readonly #own: SharedSessions | undefined
  readonly #visits = new Slot<Visit<Data>>('session')
  /** Transactions that handlers of Node are at, by what their requests say. */
  readonly #transactions = new Map<string, Transaction>()
  readonly #tokens = new Slot<string>('token of the transaction')

  /** Throws `XPS_INVALID_OPTION`. */
  constructor(options: CookieSessionsOptions<Data>) {
    if (typeof options !== 'object' || options === null)
      throw invalidOption('cookie sessions options', options, 'an object')
    knownOptions('cookie sessions options', options, optionNames)
    const { readOnly, trusted } = options
    if (readOnly !== undefined && typeof readOnly !== 'function')
      throw invalidOption('readOnly', readOnly, 'a function')
    this.#readOnly = readOnly
    this.#upstream = upstreamRules(options.forward, options.accept)
    this.#guarded = new Set([...this.#upstream.guarded, transactionField])
    this.#provenance = new Provenance(trusted === undefined ? {} : { trusted })
    const { rules, own } = rulesOf(options)
    this.#rules = rules
    this.#own = own
    this.hooks = {
      transactionStart: (transaction) => this.#begin(transaction),
      upstream: (transaction) => this.#tell(transaction),
      response: (transaction) => this.#hear(transaction),
    }
  }

  /**
   * The session of a request, which is opened when it is first asked for. Given a transaction, or the request that a
   * handler of Node's was given by a route of these hooks. Rejects with what the client is to be told: 503 if the session
   * cannot be had.
   */
  of(request: Transaction | NodeRequest): Promise<CookieSession<Data>> {
    const opening = this.#open(request)
    // Who asks ahead and then has no use for it need not catch anything.
    opening.catch(() => {})
    return opening
  }

  async #open(request: Transaction | NodeRequest): Promise<CookieSession<Data>> {
    const transaction = request instanceof Transaction ? request : this.#transactionOf(request)
    const visit = this.#visitOf(transaction)
    if (!visit.asked && isSent(transaction)) throw new XpsError('XPS_CLOSED', 'the head of the response has been sent')
    if (!visit.opened) this.#follow(transaction, visit)
    return visit.open(this.#readOnly?.(transaction.request) === true)
  }

  /** What has happened so far. */
  stats(): CookieSessionsStats {
    return { ...this.#rules.counts }
  }

  /** Closes the container, if one was given; a `StateClient` or `SharedSessions` are closed by whoever made them. */
  async close(): Promise<void> {
    await this.#own?.close()
  }

  /** For `core.own(sessions)` and `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #transactionOf(request: NodeRequest): Transaction {
    const token = request?.headers?.[transactionField]
    const transaction = typeof token === 'string' ? this.#transactions.get(token) : undefined
    if (transaction === undefined) {
      throw new XpsError(
        'XPS_CLOSED',
        'the request is over, or did not come by a route with the hooks of these sessions',
      )
    }
    return transaction
  }

  #visitOf(transaction: Transaction): Visit<Data> {
    let visit = transaction.get(this.#visits)
    if (visit === undefined) {
      visit = new Visit<Data>(this.#rules, undefined)
      transaction.set(this.#visits, visit)
    }
    return visit
  }

  /** Nobody behind this sees the cookie, or what an outsider says in our name. */
  #begin(transaction: Transaction): void {
    const { headers } = transaction.request
    guardFields(headers, this.#guarded)
    const taken = this.#rules.cookie.take(headers)
    if (taken !== undefined) transaction.set(this.#visits, new Visit<Data>(this.#rules, taken))
  }

  /** The end of the request is the end of its session, whatever happens. */
  #follow(transaction: Transaction, visit: Visit<Data>): void {
    transaction.own(() => visit.end())
    let concluding = false
    transaction.hook({
      responseSend: () => {
        if (concluding) return
        concluding = true
        // Behind all hooks that are there now: they may still change the session.
        transaction.hook({ responseSend: () => this.#conclude(transaction, visit) })
      },
    })
  }

  async #conclude(transaction: Transaction, visit: Visit<Data>): Promise<void> {
    const cookie = await visit.conclude(transaction.failure !== undefined && transaction.status >= 500)
    const head = transaction.response
    if (cookie === undefined || head === undefined) return
    const { request, session } = transaction
    head.headers.append('Set-Cookie', cookie(this.#provenance.publicSide(request, session.forwardedClient).secure))
    keepPrivate(head.headers)
  }

  /** Tells the upstream of the session, if there is one. */
  #tell(transaction: Transaction): Promise<void> | undefined {
    const { route } = transaction
    if (route === undefined || (!('upstream' in route) && !('node' in route))) return undefined
    if ('node' in route) this.#mark(transaction)
    const visit = transaction.get(this.#visits)
    const upstream = this.#upstream
    if (visit?.known !== true || !upstream.tells(transaction)) return undefined
    return this.#tellOf(transaction, visit)
  }

  async #tellOf(transaction: Transaction, visit: Visit<Data>): Promise<void> {
    const upstream = this.#upstream
    // Who may change it has it alone, as a handler of ours has.
    let session: CookieSession<Data>
    if (upstream.accepts(transaction)) session = await this.of(transaction)
    else {
      if (!visit.opened) this.#follow(transaction, visit)
      session = await visit.look()
    }
    tellUpstream(transaction.request.headers, session, upstream, this.#rules.seconds())
  }

  #mark(transaction: Transaction): void {
    let token = transaction.get(this.#tokens)
    if (token === undefined) {
      const made = randomUUID()
      token = made
      transaction.set(this.#tokens, made)
      this.#transactions.set(made, transaction)
      transaction.own(() => this.#transactions.delete(made))
    }
    transaction.request.headers.set(transactionField, token)
  }

  /** Takes from an upstream's response what it says of the session. */
  #hear(transaction: Transaction): Promise<void> | undefined {
    const { response } = transaction
    if (response === undefined) return undefined
    this.#rules.cookie.strip(response.headers)
    const { changes: names, accepts } = this.#upstream
    if (names === undefined) return undefined
    const changes = takeChanges(response.headers, names)
    if (changes === undefined || !accepts(transaction)) return undefined
    return this.of(transaction).then((session) => applyChanges(session as CookieSession, changes))
  }
}

function isSent({ state }: Transaction): boolean {
  return state === 'body' || state === 'tunnel' || state === 'close' || state === 'closed'
}

/** No cache between us and the browser may give its cookie to somebody else. */
function keepPrivate(headers: Fields): void {
  const given = headers.get('cache-control')
  if (given === undefined) return void headers.set('cache-control', 'private')
  if (/(?:^|[\s,])(?:no-store|private(?!=))/i.test(given)) return
  const others = given.split(',').filter((one) => !/^\s*(?:public|s-maxage(?:=.*)?|private=.*)\s*$/i.test(one))
  headers.set('cache-control', [...others.map((one) => one.trim()), 'private'].join(', '))
}

function rulesOf<Data extends object>(
  options: CookieSessionsOptions<Data>,
): { rules: Rules; own: SharedSessions | undefined } {
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
  const { source, own } = sourceOf(store, clock, idle, absolute)
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
    retired: new RetiredIds(wheel, durationOption('graceLifetime', options.graceLifetime, 10_000, true)),
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
  idleLifetime: number,
  absoluteLifetime: number,
): { source: CookieSessionSource; own: SharedSessions | undefined } {
  if (typeof store !== 'object' || store === null) {
    throw invalidOption('store', store, 'a container, a StateClient or SharedSessions')
  }
  if ('openSession' in store) {
    return { source: store, own: undefined }
  }
  const own = new SharedSessions(store, {
    idleLifetime,
    absoluteLifetime,
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
