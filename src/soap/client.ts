import type { Alarm } from '../clock.ts'
import { Living } from '../core/living.ts'
import { asXpsError, isXpsError, XpsError } from '../errors.ts'
import { durationOption, knownOptions } from '../options.ts'
import { addressingNames } from './addressing.ts'
import { type ClientRules, clientRules, type SoapClientOptions, type SoapRequestOptions } from './client-options.ts'
import { ClientReceiver } from './client-receiver.ts'
import { Exchanges } from './exchanges.ts'
import type { SoapFault } from './fault.ts'
import type { SoapLink } from './link.ts'
import {
  type Accepted,
  type CallBackWish,
  readAccepted,
  sessionActions,
  sessionHeader,
  writeLogin,
  writeResume,
} from './login/login-messages.ts'
import { actionOf, type SoapMessage, type SoapOutgoing } from './message.ts'
import { MessageQueue } from './message-queue.ts'
import { sessionNamespace } from './names.ts'
import { newMessageId, writeMessage } from './outgoing.ts'
import { linkOpened, SoapTarget } from './sender.ts'
import { XmlElement } from './xml/element.ts'

/** What happens to a {@link SoapClient}. */
export interface SoapClientEvents {
  /** A message of the server's of that action that is no answer to a request. */
  [action: `${string}:${string}`]: [message: SoapMessage]
  /** Any message of the server's that is no answer to a request. */
  message: [message: SoapMessage]
  /** A message that was sent without waiting for an answer was not taken. */
  rejected: [fault: SoapFault]
  /** The connection broke; the client tries to come back. */
  lost: [error: XpsError | undefined]
  /** It is back, with the same session. */
  resumed: []
  /** A listener of an event failed; `XPS_FAULT` with the cause. */
  fault: [error: XpsError]
  /** Told once and last. */
  close: [error: XpsError | undefined]
}

/**
 * A client of a {@link soapServer}: logs in, sends requests and messages, and gets those of the server.
 *
 * ```
 * const client = new SoapClient('soap.tcp://127.0.0.1:8081', { username, password })
 * client.on('urn:quotes/Tick', (message) => …)
 * await client.login()
 * const answer = await client.request('urn:quotes/subscribe', xml('urn:quotes', 'Subscribe', { symbol: 'ACME' }))
 * ```
 */
export class SoapClient extends Living<SoapClientEvents> implements AsyncIterable<SoapMessage> {
  /** What its session is called. */
  readonly sessionId: string
  readonly #target: SoapTarget
  readonly #rules: ClientRules
  readonly #header: string
  readonly #exchanges: Exchanges
  readonly #queues = new Set<MessageQueue>()
  #link: SoapLink | undefined
  #receiver: ClientReceiver | undefined
  #accepted: Accepted | undefined
  #beginning = false
  #heartbeat: Alarm | undefined
  #lastSent = 0
  #ready: (() => void)[] = []
  #wake: (() => void) | undefined

  constructor(address: string, options: SoapClientOptions) {
    super()
    this.#rules = clientRules(options)
    this.#target = new SoapTarget(address, options)
    this.sessionId = this.#rules.sessionId
    this.#header = sessionHeader(this.sessionId).toString()
    this.#exchanges = new Exchanges(this.#target.clock)
  }

  /** Whether it is logged in and connected. */
  get connected(): boolean {
    return this.#accepted !== undefined && this.#link?.phase === 'open'
  }

  /** What of the server's grace time it was told: how long its session would wait for it, in milliseconds. */
  get graceTime(): number {
    return this.#accepted?.graceTime ?? 0
  }

  /**
   * Connects and logs in. Rejects with a {@link SoapFault} if the server refuses, with `XPS_CONNECT`, `XPS_TIMEOUT` and
   * others if it cannot be reached; the client is closed then.
   */
  async login(): Promise<this> {
    if (this.#beginning || this.phase !== 'opening') throw new XpsError('XPS_CLOSED', 'a client logs in once')
    this.#beginning = true
    try {
      const callBack = await this.#listen()
      const { username, password } = this.#rules
      const body = writeLogin({ sessionId: this.sessionId, username, password, callBack })
      await this.#begin(sessionActions.login, body)
    } catch (error) {
      const reason = asXpsError(error, 'XPS_CONNECT', 'the login failed')
      this.abort(reason)
      throw reason
    }
    this.opened()
    this.#beat()
    return this
  }

  /**
   * Sends a message and resolves to its answer. Rejects with the {@link SoapFault} that came instead, with `XPS_TIMEOUT`,
   * with `XPS_RESET` if the connection broke meanwhile, or `XPS_BUSY` if too many wait.
   */
  async request(
    action: string,
    body?: SoapOutgoing['body'] | Omit<SoapOutgoing, 'action'>,
    options: SoapRequestOptions = {},
  ): Promise<SoapMessage> {
    knownOptions('request options', options, ['timeout'])
    const timeout = durationOption('timeout', options.timeout, this.#rules.requestTimeout)
    if (this.#exchanges.size >= this.#rules.maxRequests) {
      throw new XpsError('XPS_BUSY', `${this.#rules.maxRequests} requests wait already`)
    }
    const messageId = newMessageId()
    const link = this.#connection()
    const envelope = this.#write(action, body, messageId, true)
    this.#send(link, envelope, attachmentsOf(body))
    // After it was sent, because that may throw; no answer comes within the same call.
    return this.#exchanges.begin(messageId, action, timeout)
  }

  /**
   * Sends a message that no answer is waited for. Resolves when the next one may be sent; whether it was taken is not
   * known, but a fault is told by `rejected`.
   */
  async send(action: string, body?: SoapOutgoing['body'] | Omit<SoapOutgoing, 'action'>): Promise<void> {
    const link = this.#connection()
    if (this.#send(link, this.#write(action, body, newMessageId(), false), attachmentsOf(body))) return
    if (link.full && link.phase === 'open') await new Promise<void>((resolve) => this.#ready.push(resolve))
  }

  /** The messages of the server's that are no answers to requests, from now on. */
  [Symbol.asyncIterator](): AsyncIterableIterator<SoapMessage, undefined> {
    const owner = {
      queueReady: (): void => this.#readOn(),
      queueLeft: (queue: MessageQueue): void => void this.#queues.delete(queue),
    }
    const queue = new MessageQueue(owner, this.#rules.maxBuffered)
    if (this.phase === 'closed') queue.end()
    else this.#queues.add(queue)
    return queue
  }

  protected override onDrain(): void {
    if (this.#exchanges.size === 0) this.#leave()
    else if (this.#link?.phase !== 'open') this.abort(new XpsError('XPS_CLOSED', 'the client was closed'))
  }

  protected override onAbort(error: XpsError): void {
    this.#wake?.()
    this.#exchanges.fail(error)
  }

  protected override onFault(fault: XpsError): boolean {
    return this.emit('fault', fault)
  }

  protected override onClosed(error: XpsError | undefined): void {
    this.#heartbeat?.cancel()
    this.#exchanges.fail(error ?? new XpsError('XPS_CLOSED', 'the client is closed'))
    for (const queue of this.#queues) queue.end()
    this.#queues.clear()
    this.#resumeSenders()
    this.emit('close', error)
  }

  /** Says goodbye, and ends the connection when that has left. */
  #leave(): void {
    const link = this.#link
    if (this.#accepted !== undefined && link?.phase === 'open') {
      this.#send(link, this.#write(sessionActions.logout, undefined, newMessageId(), false))
    }
    this.#accepted = undefined
    this.#wake?.()
    this.finish()
  }

  // The connection.

  async #listen(): Promise<CallBackWish | undefined> {
    const { callBack, limits } = this.#rules
    if (callBack === undefined) return undefined
    this.#receiver = new ClientReceiver(this.sessionId, (message) => this.#received(message))
    this.adopt(await this.#receiver.open(callBack, limits, this.#target.clock))
    return this.#receiver.wish
  }

  async #begin(action: string, body: XmlElement): Promise<void> {
    const link = this.#target.dial({
      linkReceived: (message) => this.#received(message),
      linkReady: () => this.#resumeSenders(),
    })
    this.#link = link
    this.adopt(link)
    await linkOpened(link)
    link.once('close', (error) => this.#lost(link, error))
    const messageId = newMessageId()
    const envelope = writeMessage(this.#target.voice, { body }, { action, messageId, to: this.#target.address.href })
    this.#send(link, envelope)
    const { body: accepted } = await this.#exchanges.begin(messageId, action, this.#rules.loginTimeout)
    if (accepted?.is('Accepted', sessionNamespace) !== true) {
      throw new XpsError('XPS_PROTOCOL', 'the server answers the login with something else', { origin: 'upstream' })
    }
    this.#accepted = readAccepted(accepted)
  }

  /** The connection is gone: comes back, or ends. */
  #lost(link: SoapLink, error: XpsError | undefined): void {
    if (this.#link !== link) return
    this.#resumeSenders()
    const broken = error ?? new XpsError('XPS_RESET', 'the server ended the connection', { origin: 'upstream' })
    this.#exchanges.fail(broken)
    // During a login, or while it comes back, whoever waits for that deals with it.
    if (this.phase === 'opening' || this.#wake !== undefined) return
    const { reconnect } = this.#rules
    if (this.phase === 'open' && reconnect && this.graceTime > 0) void this.#comeBack(error)
    else this.finish(broken)
  }

  async #comeBack(error: XpsError | undefined): Promise<void> {
    this.emit('lost', error)
    const { clock } = this.#target
    const until = clock.now() + this.graceTime
    let failure: unknown = error
    while (this.phase === 'open' && clock.now() < until) {
      await this.#sleep(this.#rules.reconnectDelay)
      if (this.phase !== 'open') return
      try {
        await this.#resume()
        this.#wake = undefined
        this.emit('resumed')
        return
      } catch (problem) {
        failure = problem
        if (isXpsError(problem, 'XPS_SOAP_FAULT')) break
      }
    }
    this.#wake = undefined
    const message = 'the connection broke, and the session is gone'
    this.finish(new XpsError('XPS_RESET', message, { origin: 'upstream', cause: failure }))
  }

  async #resume(): Promise<void> {
    const { token = '' } = this.#accepted ?? {}
    const callBack = this.#receiver?.wish
    await this.#begin(sessionActions.resume, writeResume({ sessionId: this.sessionId, token, callBack }))
  }

  async #sleep(milliseconds: number): Promise<void> {
    // Nothing else may keep the process alive meanwhile.
    let alarm: Alarm | undefined
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      alarm = this.#target.clock.after(milliseconds, resolve, true)
    })
    alarm?.cancel()
  }

  #connection(): SoapLink {
    const link = this.#link
    if (this.phase === 'opening') throw new XpsError('XPS_CLOSED', 'log in first')
    if (this.phase !== 'open') throw new XpsError('XPS_CLOSED', 'the client is closed')
    if (link?.phase !== 'open' || this.#wake !== undefined) {
      throw new XpsError('XPS_RESET', 'there is no connection now', { origin: 'upstream', retryable: true })
    }
    return link
  }

  #write(
    action: string,
    given: SoapOutgoing['body'] | Omit<SoapOutgoing, 'action'>,
    messageId: string,
    answered: boolean,
  ): string {
    const { voice, address } = this.#target
    const outgoing = outgoingOf(action, given)
    const anonymous = voice.addressing === '1.0' ? undefined : addressingNames[voice.addressing].anonymous
    const replyTo = answered ? (this.#receiver?.address ?? anonymous) : undefined
    const letter = { action: actionOf(outgoing) ?? '', messageId, to: address.href, replyTo, header: this.#header }
    return writeMessage(voice, outgoing, letter)
  }

  #send(link: SoapLink, envelope: string, attachments?: SoapOutgoing['attachments']): boolean {
    this.#lastSent = this.#target.clock.now()
    return link.send(this.#target.voice.version, envelope, attachments)
  }

  #resumeSenders(): void {
    const ready = this.#ready
    this.#ready = []
    for (const resolve of ready) resolve()
  }

  /** As often as it was told to, and several times in the time that the server waits. */
  get #beatInterval(): number {
    const { heartbeatInterval } = this.#rules
    const { staleTimeout = 0 } = this.#accepted ?? {}
    return staleTimeout === 0 ? heartbeatInterval : Math.min(heartbeatInterval, Math.ceil(staleTimeout / 3))
  }

  /** Tells the server now and then that we are alive. */
  #beat(): void {
    const interval = this.#beatInterval
    if (interval === 0 || this.phase !== 'open') return
    const { clock } = this.#target
    const due = Math.max(0, this.#lastSent + interval - clock.now())
    this.#heartbeat = clock.after(Math.max(due, 1), () => {
      const link = this.#link
      if (link?.phase === 'open' && this.#wake === undefined && clock.now() - this.#lastSent >= interval) {
        this.#send(link, this.#write(sessionActions.alive, undefined, newMessageId(), false))
      }
      this.#beat()
    })
  }

  // What comes.

  #received(message: SoapMessage): boolean {
    if (this.#exchanges.answer(message)) {
      if (this.phase === 'draining' && this.#exchanges.size === 0) this.#leave()
      return this.#readsOn
    }
    if (message.fault !== undefined) {
      this.emit('rejected', message.fault)
      return this.#readsOn
    }
    this.emit('message', message)
    if (message.action.includes(':')) this.emit(message.action as `${string}:${string}`, message)
    for (const queue of this.#queues) queue.push(message)
    return this.#readsOn
  }

  get #readsOn(): boolean {
    for (const queue of this.#queues) if (queue.full) return false
    return true
  }

  #readOn(): void {
    if (!this.#readsOn) return
    this.#link?.resume()
    this.#receiver?.resume()
  }
}

function outgoingOf(action: string, given: SoapOutgoing['body'] | Omit<SoapOutgoing, 'action'>): SoapOutgoing {
  if (given === undefined) return { action }
  if (given instanceof XmlElement || Array.isArray(given))
    return { action, body: given as SoapOutgoing['body'] & object }
  return { ...(given as Omit<SoapOutgoing, 'action'>), action }
}

function attachmentsOf(given: SoapOutgoing['body'] | Omit<SoapOutgoing, 'action'>): SoapOutgoing['attachments'] {
  return given === undefined || given instanceof XmlElement || Array.isArray(given)
    ? undefined
    : (given as SoapOutgoing).attachments
}
