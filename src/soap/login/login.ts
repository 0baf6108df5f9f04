import type { Connection } from '../../core/connection.ts'
import { hrefOf } from '../call-back.ts'
import type { FramingName } from '../framing/framing.ts'
import type { SoapLink } from '../link.ts'
import type { SoapMessage } from '../message.ts'
import { voiceOf } from '../outgoing.ts'
import type { SoapScope } from '../scope.ts'
import type { SoapSession } from '../session.ts'
import { type CallBackWish, isProof, isSessionId, newToken, readLogin, readResume } from './login-messages.ts'
import { loginRefused, readCredentials } from './login-refused.ts'

/** Whose client wants to log in: a connection. */
export interface Applicant {
  readonly client: Connection
  readonly framing: FramingName | undefined
  /** It is over, and there is nothing to be decided any more. */
  readonly gone: boolean
  /** The ports that the program listens on. */
  ownPorts(): ReadonlySet<number>
  /** Owns a connection that is made to the client, from the moment in which that is dialled. */
  adopt(link: SoapLink): void
  /** The connection to the client can be sent to again. */
  linkReady(): void
  /** A function of the host's has failed. */
  hostFailed(error: unknown): void
}

/** How the client of a session can be sent to, besides over the connection that it has made. */
export interface CalledBack {
  readonly link: SoapLink
  /** The receiver's address. */
  readonly href: string
}

/** A login, or a return to a session, on its way: may wait, asks the host, calls the client back. */
export class Login {
  readonly #scope: SoapScope
  readonly #applicant: Applicant
  #stop: (() => void) | undefined

  constructor(scope: SoapScope, applicant: Applicant) {
    this.#scope = scope
    this.#applicant = applicant
  }

  /** Waits for nothing any more, because the connection is over. */
  cancel(): void {
    this.#stop?.()
  }

  /**
   * Decides about a login, and has the session begin if it is accepted. Rejects with a {@link Rejection} if it is refused;
   * nothing begins and nothing is said if the client is gone meanwhile.
   */
  async decide(
    message: SoapMessage,
    begin: (sessionId: string, username: string, calledBack: CalledBack | undefined) => void,
  ): Promise<void> {
    const { sessionId, username, password, callBack } = readCredentials(message, 'Login', readLogin)
    if (!isSessionId(sessionId)) throw loginRefused('login', 'the id of the session cannot be one')
    if (!(await this.#mayTry(username))) return
    if (!(await this.#isRight(username, password))) return
    const { sessions, reserved } = this.#scope
    if (sessions.has(sessionId) || reserved.has(sessionId)) {
      throw loginRefused('session-in-use', 'there is a session of that id')
    }
    reserved.add(sessionId)
    try {
      const calledBack = await this.#callBack(message, sessionId, callBack)
      if (!this.#applicant.gone) begin(sessionId, username, calledBack)
    } finally {
      reserved.delete(sessionId)
    }
  }

  /** As {@link decide}, for a client that comes back to its session. */
  async decideReturn(
    message: SoapMessage,
    goOn: (session: SoapSession, calledBack: CalledBack | undefined) => void,
  ): Promise<void> {
    const { sessionId, token, callBack } = readCredentials(message, 'Resume', readResume)
    if (!(await this.#mayTry())) return
    const session = this.#scope.sessions.get(sessionId)
    // A client that knows the secret may come back before its old connection is known to be dead.
    const allowed = this.#scope.rules.graceTime > 0 && session?.phase === 'open'
    const proven = session === undefined ? isProof(token, newToken()) : session.isOwnedBy(token)
    if (!proven || session === undefined || !allowed) {
      this.#throttle.refused(this.#address)
      throw loginRefused('login', 'there is no such session')
    }
    const calledBack = await this.#callBack(message, sessionId, callBack)
    if (!this.#applicant.gone && session.phase === 'open') goOn(session, calledBack)
  }

  /** Waits for as long as refused logins make it. False if the client is gone then. */
  async #mayTry(username?: string): Promise<boolean> {
    const { client } = this.#applicant
    const { loginTimeout, throttle } = this.#scope.rules
    // Also if it is refused then, which takes some time.
    const left = client.since + loginTimeout - client.clock.now() - throttle.first
    const wait = this.#throttle.admit(this.#address, username, left)
    if (wait === undefined) throw loginRefused('throttled', 'too many logins were refused')
    return this.#sleep(wait)
  }

  /** Asks the host. False if the client is gone meanwhile. */
  async #isRight(username: string, password: string): Promise<boolean> {
    const { clock, remoteAddress, secure } = this.#applicant.client
    const { login, throttle } = this.#scope.rules
    const began = clock.now()
    let right = false
    try {
      right = (await login({ username, password, remoteAddress, secure })) === true
    } catch (error) {
      this.#applicant.hostFailed(error)
    }
    if (!right) {
      this.#throttle.refused(this.#address, username)
      // Not before some time has passed, so that it cannot be told by it what was wrong.
      if (!(await this.#sleep(throttle.first - (clock.now() - began)))) return false
      throw loginRefused('login', 'the login is refused')
    }
    this.#throttle.accepted(username)
    return !this.#applicant.gone
  }

  async #callBack(
    message: SoapMessage,
    sessionId: string,
    wish: CallBackWish | undefined,
  ): Promise<CalledBack | undefined> {
    if (wish === undefined) return undefined
    const { client, framing } = this.#applicant
    const callBacks = this.#scope.callBacks(client.clock)
    if (callBacks === undefined) throw loginRefused('call-back', 'clients are not called back')
    const address = client.remoteAddress
    const link = await callBacks.dial({
      address,
      secure: client.secure,
      wish,
      sessionId,
      voice: voiceOf(message),
      framing: framing ?? 'dime',
      ownPorts: this.#applicant.ownPorts(),
      adopt: (one) => this.#applicant.adopt(one),
      ready: () => this.#applicant.linkReady(),
    })
    return { link, href: hrefOf(address ?? '', wish) }
  }

  get #address(): string {
    return this.#applicant.client.remoteAddress ?? ''
  }

  get #throttle(): ReturnType<SoapScope['throttle']> {
    return this.#scope.throttle(this.#applicant.client.clock)
  }

  /** Resolves after a time to whether the client is still there, or at once when it is gone. */
  async #sleep(milliseconds: number): Promise<boolean> {
    if (milliseconds > 0) {
      await new Promise<void>((resolve) => {
        const alarm = this.#applicant.client.clock.after(milliseconds, resolve)
        this.#stop = () => {
          alarm.cancel()
          resolve()
        }
      })
      this.#stop = undefined
    }
    return !this.#applicant.gone
  }
}
