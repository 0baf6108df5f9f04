import type { Alarm, Clock } from '../../clock.ts'
import { systemCode, XpsError } from '../../errors.ts'
import type { DialPlan } from './dial-plan.ts'
import { dialSocket, type SocketDialler } from './dial-socket.ts'

/** What the connection does that is being dialled. */
export interface Dialler extends SocketDialler {
  readonly address: string
  readonly clock: Clock
  readonly since: number
  /** Gives the attempt that is under way up; its close tells of it. */
  giveUp(): void
  /** The time is up for all of it. */
  timedOut(error: XpsError): void
}

/** A connection that is being dialled: one target after the other, until one answers, none is left or the time is up. */
export class Dialing {
  readonly #plan: DialPlan
  readonly #dialler: Dialler
  readonly #overall: Alarm
  #alarm: Alarm | undefined
  #next = 0
  /** What the first attempt failed of. */
  #cause: unknown

  constructor(plan: DialPlan, dialler: Dialler) {
    this.#plan = plan
    this.#dialler = dialler
    this.#overall = dialler.clock.after(plan.connectTimeout, () => dialler.timedOut(this.#timeout()))
  }

  /** Tries the next target; false if there is none. */
  attempt(): boolean {
    const { targets, attemptTimeout } = this.#plan
    this.#alarm?.cancel()
    this.#alarm = undefined
    const target = targets[this.#next++]
    if (target === undefined) return false
    const dialler = this.#dialler
    if (this.#next < targets.length) this.#alarm = dialler.clock.after(attemptTimeout, () => dialler.giveUp())
    dialSocket(target, this.#plan, dialler)
    return true
  }

  /** An attempt has failed: the next one, or what they have failed of when none is left. */
  failed(cause: unknown): XpsError | undefined {
    this.#cause ??= cause
    if (this.attempt()) return undefined
    const { address } = this.#dialler
    const elapsed = this.#elapsed()
    const secure = isTlsFailure(cause)
    const what = secure ? 'is not trusted' : 'cannot be reached'
    const message = `upstream ${address} ${what} (${systemCode(cause) ?? 'closed'}, ${elapsed} ms)`
    return new XpsError(secure ? 'XPS_TLS' : 'XPS_CONNECT', message, {
      origin: 'upstream',
      retryable: true,
      address,
      elapsed,
      cause: cause ?? this.#cause,
    })
  }

  /** It is over, well or not. */
  end(): void {
    this.#overall.cancel()
    this.#alarm?.cancel()
  }

  #timeout(): XpsError {
    const { address } = this.#dialler
    const elapsed = this.#elapsed()
    return new XpsError('XPS_TIMEOUT', `upstream ${address} did not answer within ${elapsed} ms`, {
      origin: 'upstream',
      retryable: true,
      address,
      elapsed,
      reason: 'connect',
    })
  }

  #elapsed(): number {
    return Math.round(this.#dialler.clock.now() - this.#dialler.since)
  }
}

/** Whether the handshake failed, and not the way there: OpenSSL's codes, those of its checks, and Node's own. */
function isTlsFailure(cause: unknown): boolean {
  const code = systemCode(cause)
  return (
    code !== undefined && (/^ERR_(?:TLS|SSL|OSSL)_/.test(code) || /CERT|SIGNATURE|ISSUER|HOSTNAME_MISMATCH/.test(code))
  )
}
