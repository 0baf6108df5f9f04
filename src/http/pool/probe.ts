import type { Alarm, Clock } from '../../clock.ts'
import type { Connection } from '../../core/connection.ts'
import type { Upstream } from '../../core/upstream.ts'
import type { XpsError } from '../../errors.ts'
import { Fields } from '../fields.ts'
import type { HeadLimits } from '../http1/head-reader.ts'
import type { ResponseHead } from '../messages.ts'
import type { UpstreamExchange, UpstreamOwner, UpstreamRequest, UpstreamSession } from '../upstream-session.ts'
import type { PoolRules } from './pool-options.ts'
import { offered, sessionOn } from './session-on.ts'

/** Where a {@link Probe} goes, and how it is spoken there. */
export interface ProbePlan {
  readonly upstream: Upstream
  readonly host: string
  readonly rules: PoolRules
  readonly limits: HeadLimits
}

/** Told once: the status of the answer, or why there was none. */
type Verdict = (status: number | undefined, why: string) => void

/** One request of our own, on a connection of its own. */
export class Probe implements UpstreamOwner, UpstreamExchange {
  readonly method = 'GET'
  readonly #request: ProbeRequest
  readonly #connection: Connection
  readonly #alarm: Alarm
  #verdict: Verdict | undefined
  #session: UpstreamSession | undefined

  constructor(
    plan: ProbePlan,
    clock: Clock,
    request: { readonly path: string; readonly host: string },
    timeout: number,
    verdict: Verdict,
  ) {
    const { upstream, rules, limits } = plan
    this.#request = new ProbeRequest(request.path, request.host)
    this.#verdict = verdict
    const connection = upstream.connect({ clock, connectTimeout: timeout, alpn: offered(rules.http2, false, upstream) })
    this.#connection = connection
    connection.on('open', () => {
      try {
        const session = sessionOn(connection, this, limits, rules, timeout)
        this.#session = session
        if (session.phase === 'open') this.upstreamOpen(session)
      } catch (error) {
        this.#tell(undefined, (error as Error).message)
      }
    })
    connection.on('close', (error) => this.#tell(undefined, error?.message ?? 'closed'))
    this.#alarm = clock.after(timeout, () => this.#tell(undefined, `no answer within ${timeout} ms`))
  }

  /** Nobody wants to know any more. */
  giveUp(): void {
    this.#verdict = undefined
    this.#end()
  }

  /** @internal */
  upstreamOpen(session: UpstreamSession): void {
    session.send(this, this.#request)
  }

  /** @internal */
  upstreamFree(): void {}

  /** @internal What it was asked it refuses; that is an answer. */
  upstreamWantsHttp1(): boolean {
    return false
  }

  /** @internal */
  upstreamClosed(_session: UpstreamSession, error: XpsError | undefined): void {
    this.#tell(undefined, error?.message ?? 'closed')
  }

  /** @internal */
  informed(): void {}

  /** @internal The head is enough. */
  responded(head: ResponseHead): void {
    this.#tell(head.status, '')
  }

  /** @internal */
  trailed(): void {}

  /** @internal */
  switched(): void {}

  /** @internal */
  failed(error: XpsError): void {
    this.#tell(undefined, error.message)
  }

  /** @internal */
  done(): void {}

  #tell(status: number | undefined, why: string): void {
    const verdict = this.#verdict
    this.#verdict = undefined
    if (verdict === undefined) return
    this.#end()
    verdict(status, why)
  }

  #end(): void {
    this.#alarm.cancel()
    const session = this.#session
    // Not while it reads.
    setImmediate(() => {
      if (session === undefined) this.#connection.abort()
      else if (session.phase !== 'closed') session.abort()
    })
  }
}

/** What a probe asks. */
class ProbeRequest implements UpstreamRequest {
  readonly method = 'GET'
  readonly length = 0
  readonly body = undefined
  readonly upgrade = undefined
  readonly authority: string
  readonly #path: string

  constructor(path: string, host: string) {
    this.#path = path
    this.authority = host
  }

  target(): string {
    return this.#path
  }

  text(): string {
    return `GET ${this.#path} HTTP/1.1\r\nHost: ${this.authority}\r\n${this.fields().serialize(0)}Connection: close\r\n\r\n`
  }

  fields(): Fields {
    return new Fields({ 'user-agent': 'xps-health-check', accept: '*/*' })
  }
}
