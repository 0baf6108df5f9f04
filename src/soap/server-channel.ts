import type { Deadlines } from '../admission/deadlines.ts'
import type { Alarm } from '../clock.ts'
import type { Connection } from '../core/connection.ts'
import { XpsError } from '../errors.ts'
import type { Lifetime } from '../lifetime/lifetime.ts'
import { isPromiseLike } from '../lifetime/owned.ts'
import { AcceptedPeer } from './accepted-peer.ts'
import { AddressingRejection, type EndpointReference } from './addressing.ts'
import { NmfRejection } from './framing/nmf-decoder.ts'
import { refusedMessage } from './incoming.ts'
import type { SoapLimits } from './limits.ts'
import type { SoapLink } from './link.ts'
import { type Applicant, type CalledBack, Login } from './login/login.ts'
import { sessionActions, writeAccepted } from './login/login-messages.ts'
import { loginRefused } from './login/login-refused.ts'
import type { SoapMessage } from './message.ts'
import { checkAnswersTo, checkDestination, checkEntitled, checkNew, checkSession } from './message-checks.ts'
import { isAnonymous, voiceOf, writeMessage } from './outgoing.ts'
import {
  answersOf,
  eachAnswer,
  isAsyncAnswers,
  type Processor,
  type SoapAnswer,
  type SoapAnswers,
} from './processors.ts'
import { Rejection, type RejectionReason } from './rejection.ts'
import type { SoapScope } from './scope.ts'
import type { ServerRules } from './server-options.ts'
import { SoapSession, type Transport } from './session.ts'
import { pathOf, samePath } from './soap-address.ts'
import type { XmlElement } from './xml/element.ts'

/**
 * A client's connection to a server, and the session that its login makes.
 *
 * ```
 *  connected ─► login ─► session ─► messages … ─► logout, stale, gone
 *                 │                                        │ gone, with a grace time
 *                 └─ refused: a fault, and no session      ▼
 *                                         the session waits here, without a client,
 *                                         until the client comes back on another channel
 * ```
 */
export class ServerChannel extends AcceptedPeer {
  readonly understands: ((header: XmlElement) => boolean) | undefined
  readonly roles: readonly string[] | undefined
  readonly #scope: SoapScope
  #session: SoapSession | undefined
  #link: SoapLink | undefined
  #counted = false
  /** A login or an entitlement is being looked at: nothing is read meanwhile, so that messages keep their order. */
  #checking = false
  /** The client has said goodbye, or is not to come back. */
  #leaving = false
  #grace: Alarm | undefined
  #linger: Alarm | undefined
  #login: Login | undefined

  constructor(client: Connection, scope: SoapScope) {
    super(client, beforeLogin(scope.rules), scope.rules.framings)
    this.#scope = scope
    this.understands = scope.rules.understands
    this.roles = scope.rules.roles
  }

  /** The session of the client that is logged in. */
  get session(): SoapSession | undefined {
    return this.#session
  }

  protected override onOpen(): void {
    const scope = this.#scope
    scope.joined(this)
    if (scope.phase !== 'open') return this.abort(new XpsError('XPS_CLOSED', 'the server is closed'))
    if (scope.unauthenticated >= scope.rules.maxUnauthenticated) {
      this.rejected('too-many-logins', `${scope.unauthenticated} connections are not logged in`)
      return this.abort(new XpsError('XPS_BUSY', 'too many connections that are not logged in'))
    }
    this.#counted = true
    scope.unauthenticated++
    super.onOpen()
  }

  protected override deadlines(deadlines: Deadlines): void {
    const { rules } = this.#scope
    const { maxSessionAge, clientIdleTimeout } = this.timeouts
    const session = this.#session
    deadlines.offer(this.client.since, maxSessionAge, 'session-age')
    if (this.#grace !== undefined) return
    if (session === undefined) deadlines.offer(this.client.since, rules.loginTimeout, 'login')
    else deadlines.offer(session.lastTime, rules.staleTimeout, 'stale')
    const { partSince } = this.wire
    if (partSince > 0) deadlines.offer(partSince, rules.messageTimeout, 'message')
    for (const connection of [this.client, this.#link?.connection]) {
      if (connection?.stalled === true) deadlines.offer(connection.lastOut, clientIdleTimeout, 'client-idle')
    }
    for (const timeout of [rules.staleTimeout, rules.messageTimeout, clientIdleTimeout]) deadlines.mayBegin(timeout)
  }

  /** Tells the core of something that failed in code of the host's. */
  tellFault(fault: XpsError): void {
    this.fault(fault)
  }

  protected override rejected(reason: RejectionReason, detail: string): void {
    this.#scope.rejected(reason, this.client.remoteAddress, detail)
  }

  checkVia(via: string): void {
    const { path } = this.#scope.rules
    if (path !== undefined && !samePath(pathOf(via) ?? '', path)) {
      throw new NmfRejection('EndpointNotFound', 'nobody is at that address', 'destination')
    }
  }

  override broken(rejection: Rejection): void {
    // Who speaks like that does not come back.
    this.#leaving = true
    super.broken(rejection)
  }

  override wireReady(): void {
    if (this.#session?.transport === this.wire) this.#session.ready()
    this.#readOn()
  }

  received(message: SoapMessage): boolean {
    this.#scope.messages++
    try {
      this.#take(message)
    } catch (error) {
      if (error instanceof Rejection) this.refused(refusedMessage(message, error))
      else this.#failed(message, this.#session, error)
    }
    return this.#readsOn
  }

  /** Whether the next message may be read. */
  get #readsOn(): boolean {
    if (this.#checking || this.busy >= this.#scope.rules.maxPending || this.wire.full) return false
    return this.#session === undefined || !this.#session.full
  }

  #readOn(): void {
    if (this.#readsOn) this.wire.resume()
  }

  #take(message: SoapMessage): void {
    // A fault that a client sends is an answer to something of ours, and is not answered.
    if (message.fault !== undefined) return
    const { action } = message
    checkDestination(message, this.#scope.rules.path)
    if (action === sessionActions.login || action === sessionActions.resume) return this.#beginLogin(message)
    const session = checkSession(message, this.#session, this.#scope.sessions)
    session.heard(this.client.time())
    if (action === sessionActions.alive) return
    if (action === sessionActions.logout) {
      this.#leaving = true
      return this.endWith(undefined)
    }
    checkNew(message, session)
    checkAnswersTo(message, this.#link?.connection.remotePort)
    const entitled = this.#scope.rules.entitled?.(session, message) ?? true
    if (!isPromiseLike(entitled)) return this.#dispatch(message, session, entitled)
    this.#checking = true
    this.workBegan()
    entitled.then(
      (answer) => this.#checked(message, session, () => this.#dispatch(message, session, answer)),
      (error: unknown) => this.#checked(message, session, () => this.#failed(message, session, error)),
    )
  }

  #checked(message: SoapMessage, session: SoapSession, goOn: () => void): void {
    this.#checking = false
    if (session.phase !== 'closed') {
      try {
        goOn()
      } catch (error) {
        if (error instanceof Rejection) this.refused(refusedMessage(message, error))
        else this.#failed(message, session, error)
      }
    }
    this.workEnded()
    this.#readOn()
  }

  #dispatch(message: SoapMessage, session: SoapSession, entitled: boolean): void {
    checkEntitled(message, session, entitled)
    const processor = this.#scope.rules.processors.get(message.action)
    if (processor === undefined) {
      const { version, messageId } = message.addressing
      throw new AddressingRejection(version, 'ActionNotSupported', 'the action is not known', { messageId })
    }
    this.#run(message, session, processor)
  }

  #run(message: SoapMessage, session: SoapSession, processor: Processor): void {
    const answers = processor.run(message, session)
    if (!isPromiseLike(answers) && !isAsyncAnswers(answers as SoapAnswers)) {
      return this.#answerAll(message, session, answersOf(answers as Exclude<SoapAnswers, AsyncIterable<SoapAnswer>>))
    }
    this.workBegan()
    const finished = isPromiseLike(answers)
      ? answers.then((given) => this.#later(message, session, given as SoapAnswers))
      : this.#later(message, session, answers as SoapAnswers)
    Promise.resolve(finished)
      .catch((error: unknown) => this.#failed(message, session, error))
      .finally(() => {
        this.workEnded()
        this.#readOn()
      })
  }

  #later(message: SoapMessage, session: SoapSession, answers: SoapAnswers): Promise<void> | undefined {
    if (isAsyncAnswers(answers)) return eachAnswer(answers, session, (one) => this.#answer(message, session, one))
    this.#answerAll(message, session, answersOf(answers))
    return undefined
  }

  #answerAll(message: SoapMessage, session: SoapSession, answers: Iterable<SoapAnswer>): void {
    for (const answer of answers) this.#answer(message, session, answer)
  }

  #answer(message: SoapMessage, session: SoapSession, answer: SoapAnswer): void {
    this.answer(message, answer, this.#transportFor(message, session, message.addressing.replyTo))
  }

  /** Answers go where the session's messages go, unless the client wants this one on the same connection. */
  #transportFor(message: SoapMessage, session: SoapSession, to: EndpointReference | undefined): Transport | undefined {
    const here = to !== undefined && isAnonymous(to, message.addressing.version)
    return here && this.#session === session ? this.wire : session.transport
  }

  #failed(message: SoapMessage, session: SoapSession | undefined, error: unknown): void {
    const { faultTo, replyTo } = message.addressing
    const transport = session === undefined ? this.wire : this.#transportFor(message, session, faultTo ?? replyTo)
    this.answerFailure(message, error, transport)
  }

  // Logging in.

  #beginLogin(message: SoapMessage): void {
    if (this.#session !== undefined) throw loginRefused('login', 'logged in already')
    this.#checking = true
    this.workBegan()
    this.#login = new Login(this.#scope, this.#applicant())
    const done =
      message.action === sessionActions.login
        ? this.#login.decide(message, (id, username, calledBack) => this.#begin(message, id, username, calledBack))
        : this.#login.decideReturn(message, (session, calledBack) => this.#goOn(message, session, calledBack))
    done
      .catch((error: unknown) => {
        if (error instanceof Rejection) this.refused(refusedMessage(message, error))
        else this.#failed(message, undefined, error)
      })
      .finally(() => {
        this.#login = undefined
        this.#checking = false
        this.workEnded()
        this.#readOn()
      })
  }

  #applicant(): Applicant {
    const channel = this
    return {
      client: this.client,
      framing: this.wire.framing,
      get gone() {
        return channel.phase !== 'open' || channel.client.phase === 'closed'
      },
      ownPorts: () => this.#scope.ownPorts(this),
      adopt: (link) => this.adopt(link),
      linkReady: () => {
        this.#session?.ready()
        this.#readOn()
      },
      hostFailed: (error) => this.fault(error),
    }
  }

  #begin(message: SoapMessage, id: string, username: string, calledBack: CalledBack | undefined): void {
    const { clock, remoteAddress } = this.client
    const window = this.#scope.rules.messageIdWindow
    const voice = voiceOf(message)
    const session = new SoapSession({ id, username, remoteAddress, voice, since: clock.now(), window })
    this.adopt(session)
    this.#scope.began(session)
    this.#hasSession(session, message, calledBack)
    this.#scope.loggedIn(session)
  }

  /** The session of a client that has come back goes on here. */
  #goOn(message: SoapMessage, session: SoapSession, calledBack: CalledBack | undefined): void {
    const former = session.parent
    this.adopt(session)
    if (former instanceof ServerChannel) former.#surrender(session)
    session.renewToken()
    this.#scope.resumed++
    this.#hasSession(session, message, calledBack)
  }

  #hasSession(session: SoapSession, message: SoapMessage, calledBack: CalledBack | undefined): void {
    this.#session = session
    this.#link = calledBack?.link
    this.#uncount()
    this.wire.allow(this.#scope.rules.limits.frame)
    session.lastTime = this.client.time()
    const { graceTime, staleTimeout } = this.#scope.rules
    const accepted = { sessionId: session.id, token: session.token, graceTime, staleTimeout }
    const envelope = writeMessage(
      voiceOf(message),
      { body: writeAccepted(accepted) },
      { action: sessionActions.accepted, relatesTo: message.addressing.messageId },
    )
    this.wire.send(message.version, envelope)
    session.attach(calledBack?.link ?? this.wire, calledBack?.href)
  }

  /** The session goes on elsewhere. */
  #surrender(session: SoapSession): void {
    this.#session = undefined
    this.#grace?.cancel()
    this.#grace = undefined
    session.detach()
    this.abort(new XpsError('XPS_ABORTED', 'the client has come back on another connection'))
  }

  #uncount(): void {
    if (!this.#counted) return
    this.#counted = false
    this.#scope.unauthenticated--
  }

  // How it ends.

  /**
   * A client that has ended its side can only wait for answers. It does so for as long as its listener lets it linger: a client
   * that has crashed looks the same, and must not be worked for until somebody notices.
   */
  protected override endedEarly(): void {
    const { clock, lingerTimeout } = this.client
    this.#linger = clock.after(lingerTimeout, () => this.leave())
  }

  /** A client that is gone without a word may come back: its session waits for it. */
  protected override finish(error?: XpsError): void {
    const session = this.#session
    if (session !== undefined && this.#mayComeBack) return this.#waitForClient(session)
    session?.end(this.reason(error))
    super.finish(error)
  }

  get #mayComeBack(): boolean {
    return !this.#leaving && this.#scope.rules.graceTime > 0 && this.phase === 'open'
  }

  #waitForClient(session: SoapSession): void {
    if (this.#grace !== undefined) return
    this.#grace = this.client.clock.after(this.#scope.rules.graceTime, () => {
      this.#leaving = true
      this.finish()
    })
    void this.client.close()
    this.#link?.abort()
    session.detach()
  }

  protected override onChildClosed(child: Lifetime): void {
    if (child === this.#session) {
      // The host has ended it.
      this.#leaving = true
      this.endWith(child.error)
    } else if (child === this.#link && this.phase === 'open') {
      this.endWith(child.error ?? new XpsError('XPS_RESET', 'the client ended its call-back connection'))
    }
    super.onChildClosed(child)
  }

  protected override onAbort(error: XpsError): void {
    this.#leaving = true
    this.#login?.cancel()
    super.onAbort(error)
  }

  protected override onClosed(error: XpsError | undefined): void {
    this.#grace?.cancel()
    this.#linger?.cancel()
    this.#login?.cancel()
    this.#uncount()
    this.#scope.left(this)
    super.onClosed(error)
  }
}

/** Who is not logged in may send no more than a login is long. */
function beforeLogin({ limits, maxLoginBytes }: ServerRules): SoapLimits {
  return { ...limits, frame: { messageBytes: Math.min(maxLoginBytes, limits.frame.messageBytes), attachments: 0 } }
}
