import { randomUUID } from 'node:crypto'
import { XpsError } from '../errors.ts'
import { type FieldGuard, guardUnseen } from '../http/field-guards.ts'
import type { Fields } from '../http/fields.ts'
import { Provenance } from '../http/forwarding/provenance.ts'
import type { Hooks } from '../http/hooks.ts'
import type { RequestHead } from '../http/messages.ts'
import { Slot } from '../http/slots.ts'
import { Transaction } from '../http/transaction.ts'
import { invalidOption } from '../options.ts'
import type { SharedSessions } from '../state/shared-sessions.ts'
import type { CookieSession } from './cookie-session.ts'
import { type CookieSessionsOptions, rulesOf } from './cookie-sessions-options.ts'
import type { CookieSessionsStats, Rules } from './rules.ts'
import { applyChanges, guardFields, takeChanges, tellUpstream } from './upstream-fields.ts'
import { type UpstreamRules, upstreamRules } from './upstream-options.ts'
import { Visit } from './visit.ts'

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
  readonly #guard: FieldGuard
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
    const { rules, own } = rulesOf(options)
    const { readOnly, trusted } = options
    if (readOnly !== undefined && typeof readOnly !== 'function')
      throw invalidOption('readOnly', readOnly, 'a function')
    this.#readOnly = readOnly
    this.#upstream = upstreamRules(options.forward, options.accept)
    this.#guarded = new Set([...this.#upstream.guarded, transactionField])
    const ofUpstreams = new Set(Object.values(this.#upstream.changes ?? {}))
    this.#guard = (fields, of) => {
      guardFields(fields, of === 'request' ? this.#guarded : ofUpstreams)
      if (of === 'response') rules.cookie.strip(fields)
    }
    this.#provenance = new Provenance(trusted === undefined ? {} : { trusted })
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
    this.#rules.retired.clear()
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
    const cookie = await visit.conclude(transaction.status >= 500)
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
    guardUnseen(transaction, this.#guard)
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
  // What is for some caches only comes before what is for all.
  for (const name of new Set([...headers].map(([one]) => one))) if (forSomeCaches.test(name)) headers.delete(name)
  const given = headers.get('cache-control')
  if (given === undefined) return void headers.set('cache-control', 'private')
  if (/(?:^|[\s,])(?:no-store|private(?!=))/i.test(given)) return
  const others = given.split(',').filter((one) => !/^\s*(?:public|s-maxage(?:=.*)?|private=.*)\s*$/i.test(one))
  headers.set('cache-control', [...others.map((one) => one.trim()), 'private'].join(', '))
}

/** Fields that some caches go by instead of `Cache-Control` (RFC 9213, and what was there before it). */
const forSomeCaches = /^(?:.+-cache-control|surrogate-control|edge-control|x-accel-expires)$/i
