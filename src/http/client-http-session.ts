import type { Deadlines } from '../admission/deadlines.ts'
import { ClientSession, type ClientSessionEvents } from '../core/client-session.ts'
import type { Connection } from '../core/connection.ts'
import { proxySourceOf } from '../core/proxy-protocol/proxy-source.ts'
import type { TlsState } from '../core/tls/tls-state.ts'
import type { TimeoutReason, XpsError } from '../errors.ts'
import type { PipeAccount } from '../pipe/pipe.ts'
import type { ClientStream } from './client-stream.ts'
import { ForwardedClient } from './forwarding/forwarded-client.ts'
import { HookScope, type Hooks, numberOfPoint, runHooks } from './hooks.ts'
import type { Answer } from './messages.ts'
import type { PoolClient } from './pool/client-origins.ts'
import type { HttpScope } from './scope.ts'
import type { HttpSession } from './session.ts'
import { type Slot, Slots } from './slots.ts'
import { Transaction } from './transaction.ts'

/**
 * What a client's connection that speaks HTTP is, whatever version: its hooks and slots, its transactions and how they
 * are counted, and when it begins and ends.
 *
 * A kind overrides {@link listen}, begins a transaction for each request ({@link begin}), and says of each that closed so
 * ({@link counted}).
 */
export abstract class ClientHttpSession extends ClientSession<ClientSessionEvents> implements HttpSession {
  readonly hooks: HookScope = new HookScope()
  readonly port: number
  readonly secure: boolean
  protected readonly scope: HttpScope
  #slots: Slots | undefined
  #forwarded: ForwardedClient | undefined
  #poolClient: PoolClient | undefined
  #count = 0
  #aborted = false
  /** Ends the wait for the hooks of its close. */
  #letGo: (() => void) | undefined

  constructor(client: Connection, scope: HttpScope) {
    super(client)
    this.scope = scope
    this.port = client.entrance?.port ?? 0
    // It is the client's connection that counts, also where that ends at a proxy before us.
    this.secure = client.secure || client.proxied?.tls !== undefined
  }

  get transactions(): number {
    return this.#count
  }

  get remoteAddress(): string | undefined {
    return this.client.remoteAddress
  }

  get tls(): TlsState | undefined {
    return this.client.tls
  }

  get clock(): Connection['clock'] {
    return this.client.clock
  }

  get forwardedClient(): ForwardedClient {
    this.#forwarded ??= new ForwardedClient({
      address: this.client.remoteAddress,
      port: this.client.remotePort,
      secure: this.secure,
      certificate: trustedCertificate(this.tls),
    })
    return this.#forwarded
  }

  get poolClient(): PoolClient {
    this.#poolClient ??= { source: proxySourceOf(this.client, false), closed: this.closed }
    return this.#poolClient
  }

  get connectTimeout(): number {
    return this.timeouts.connectTimeout
  }

  get account(): PipeAccount | undefined {
    return this.client.account
  }

  hook(hooks: Hooks): void {
    this.hooks.add(hooks)
  }

  get<T>(slot: Slot<T>): T | undefined {
    return this.#slots?.get(slot)
  }

  set<T>(slot: Slot<T>, value: T): void {
    this.#slots ??= new Slots()
    this.#slots.set(slot, value)
  }

  time(): number {
    return this.client.time()
  }

  protected override onOpen(): void | Promise<void> {
    this.scope.join(this)
    this.own(() => this.#closeHooks())
    const held = runHooks(sessionStart, this.scope.hooks, this.hooks, undefined, this)
    if (held === undefined) this.#begin()
    else return held.then(() => this.#begin())
  }

  #begin(): void {
    if (this.phase !== 'closed') this.listen()
  }

  /** The hooks of its start have run: let the client's bytes flow. */
  protected abstract listen(): void

  /** Waits for what holds the session's close, but not when it is to end now. */
  #closeHooks(): Promise<void> | undefined {
    this.scope.leave()
    const held = runHooks(sessionClose, this.scope.hooks, this.hooks, undefined, this)
    if (held === undefined) return undefined
    return new Promise((resolve) => {
      this.#letGo = resolve
      if (this.#aborted) resolve()
      held.catch((error: unknown) => this.fault(error)).finally(resolve)
    })
  }

  /** Makes the transaction of a request; it still has to be started. */
  protected begin(stream: ClientStream): Transaction {
    this.scope.begin()
    const transaction = new Transaction(this.scope, this, stream, ++this.#count)
    this.adopt(transaction)
    return transaction
  }

  /** A transaction of it has closed. */
  protected counted(transaction: Transaction): void {
    try {
      this.scope.counted(transaction)
    } catch (error) {
      this.fault(error)
    }
  }

  /** It has had as many requests as a connection may have, or its listener is being drained. */
  protected get lastRequest(): boolean {
    const { maxRequestsPerSession } = this.scope
    if (maxRequestsPerSession > 0 && this.#count >= maxRequestsPerSession) return true
    return this.phase === 'draining' || this.client.entrance?.draining === true
  }

  /** What a client is told whose request is none, so that there is no transaction; it is counted and logged. */
  protected refusal(error: XpsError, tell: (answer: Answer, body: Uint8Array) => void): void {
    const answer = this.scope.faultAnswer(error, (failure) => this.fault(failure))
    const body = typeof answer.body === 'string' ? Buffer.from(answer.body) : answer.body
    tell(answer, body instanceof Uint8Array ? body : nothing)
    try {
      this.scope.refused(this, error, answer.status)
    } catch (failure) {
      this.fault(failure)
    }
  }

  /** The deadlines of the session itself, and when others may begin. */
  protected override deadlines(deadlines: Deadlines): void {
    const { client, timeouts } = this
    deadlines.offer(client.since, timeouts.maxSessionAge, 'session-age')
    if (client.stalled) deadlines.offer(client.lastOut, timeouts.clientIdleTimeout, 'client-idle')
    for (const timeout of this.scope.looks) deadlines.mayBegin(timeout)
    deadlines.mayBegin(timeouts.clientIdleTimeout)
  }

  protected override onAbort(error: XpsError): void {
    this.#aborted = true
    this.#letGo?.()
    super.onAbort(error)
  }
}

const sessionStart = numberOfPoint('sessionStart')
const sessionClose = numberOfPoint('sessionClose')

/** What a transaction answers for, and not the session. */
export const ofTransactions: ReadonlySet<TimeoutReason> = new Set([
  'request-body',
  'response-head',
  'upstream-idle',
  'queue',
  'transaction',
  'connect',
  'tunnel-idle',
  'tunnel-age',
])
const nothing = new Uint8Array(0)

/** The certificate that the client has shown, if it may be believed. */
function trustedCertificate(tls: TlsState | undefined): Uint8Array | undefined {
  return tls?.authorized === true ? tls.certificate?.raw : undefined
}
