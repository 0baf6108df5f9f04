import { randomBytes, randomUUID } from 'node:crypto'
import type { Alarm } from '../clock.ts'
import { Living } from '../core/living.ts'
import { asXpsError, isXpsError, XpsError } from '../errors.ts'
import { durationOption, integerOption, invalidOption, knownOptions } from '../options.ts'
import { addressingNames } from './addressing.ts'
import { Exchanges } from './exchanges.ts'
import type { SoapFault } from './fault.ts'
import type { SoapLink } from './link.ts'
import {
  type Accepted,
  answerChallenge,
  type CallBackWish,
  isSessionId,
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
import { SoapReceiver } from './receiver.ts'
import type { SoapPeer } from './receiver-channel.ts'
import { dialNames, linkOpened, type SoapDialOptions, SoapTarget } from './sender.ts'
import { readSoapAddress } from './soap-address.ts'
import { XmlElement } from './xml/element.ts'

/** Where a client listens for its server to call back. */
export interface ClientCallBackOptions {
  /** The port; 0 for a free one. @default 0 */
  port?: number
  /** The host name or address to listen at; see {@link SoapReceiver}. @default 'localhost' */
  host?: string
  /** @default '/' */
  path?: string
}

/** Options of a {@link SoapClient}. */
export interface SoapClientOptions extends SoapDialOptions {
  username: string
  password: string
  /** What the session is called: a GUID, or up to 128 letters, digits and `_:.{}-`. @default a new GUID */
  sessionId?: string
  /** Lets the server send its messages over a connection that it makes to us. @default over the same connection */
  callBack?: ClientCallBackOptions | true
  /** How long logging in may take, once connected, in milliseconds. @default 30000 */
  loginTimeout?: number
  /** How long an answer may take, in milliseconds. @default 30000 */
  requestTimeout?: number
  /** After how long without a message the server is told that we are alive, in milliseconds; 0 for never. @default 30000 */
  heartbeatInterval?: number
  /** Whether to come back with the same session when the connection breaks, if the server waits for it. @default true */
  reconnect?: boolean
  /** Between attempts to come back, in milliseconds. @default 250 */
  reconnectDelay?: number
  /** Requests that may wait for their answers. @default 1000 */
  maxRequests?: number
  /** Messages that are kept for each iteration; then no more are read. @default 1000 */
  maxBuffered?: number
}

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

/** What a single request may have of its own. */
export interface SoapRequestOptions {
  /** How long the answer may take, in milliseconds. @default the client's requestTimeout */
  timeout?: number
}

const names = [
  'username',
  'password',
  'sessionId',
  'callBack',
  'loginTimeout',
  'requestTimeout',
  'heartbeatInterval',
  'reconnect',
  'reconnectDelay',
  'maxRequests',
  'maxBuffered',
  ...dialNames,
]

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
  readonly #options: SoapClientOptions
  readonly #times: Readonly<Record<'login' | 'request' | 'heartbeat' | 'reconnect', number>>
  readonly #maxRequests: number
  readonly #maxBuffered: number
  readonly #header: string
  readonly #exchanges: Exchanges
  readonly #queues = new Set<MessageQueue>()
  #link: SoapLink | undefined
  #peer: SoapPeer | undefined
  #receiver: SoapReceiver | undefined
  #key: Buffer | undefined
  #accepted: Accepted | undefined
  #beginning = false
  #heartbeat: Alarm | undefined
  #lastSent = 0
  #ready: (() => void)[] = []
  #wake: (() => void) | undefined

  constructor(address: string, options: SoapClientOptions) {
    super()
    knownOptions('client options', options, names)
    for (const name of ['username', 'password'] as const) {
      if (typeof options[name] !== 'string') throw invalidOption(name, undefined, 'text')
    }
    this.#target = new SoapTarget(address, options)
    this.#options = options
    this.sessionId = options.sessionId ?? randomUUID()
    if (!isSessionId(this.sessionId)) throw invalidOption('sessionId', this.sessionId, 'a GUID, or up to 128 letters')
    this.#times = {
      login: durationOption('loginTimeout', options.loginTimeout, 30_000),
      request: durationOption('requestTimeout', options.requestTimeout, 30_000),
      heartbeat: durationOption('heartbeatInterval', options.heartbeatInterval, 30_000, true),
      reconnect: durationOption('reconnectDelay', options.reconnectDelay, 250),
    }
    const many = { min: 1, max: 1_000_000 }
    this.#maxRequests = integerOption('maxRequests', options.maxRequests, 1_000, many)
    this.#maxBuffered = integerOption('maxBuffered', options.maxBuffered, 1_000, many)
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
      const { username, password } = this.#options
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
    const timeout = durationOption('timeout', options.timeout, this.#times.request)
    if (this.#exchanges.size >= this.#maxRequests) {
      throw new XpsError('XPS_BUSY', `${this.#maxRequests} requests wait already`)
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
    if (link.full && link.phase === 'open') {
      await Promise.race([new Promise<void>((resolve) => this.#ready.push(resolve)), link.closed])
    }
  }

  /** The messages of the server's that are no answers to requests, from now on. */
  [Symbol.asyncIterator](): AsyncIterableIterator<SoapMessage, undefined> {
    const owner = {
      queueReady: (): void => this.#readOn(),
      queueLeft: (queue: MessageQueue): void => void this.#queues.delete(queue),
    }
    const queue = new MessageQueue(owner, this.#maxBuffered)
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
    const { body: accepted } = await this.#exchanges.begin(messageId, action, this.#times.login)
    if (accepted?.is('Accepted', sessionNamespace) !== true) {
      throw new XpsError('XPS_PROTOCOL', 'the server answers the login with something else', { origin: 'upstream' })
    }
    this.#accepted = readAccepted(accepted)
  }

  /** The connection is gone: comes back, or ends. */
  #lost(link: SoapLink, error: XpsError | undefined): void {
    if (this.#link !== link) return
    const broken = error ?? new XpsError('XPS_RESET', 'the server ended the connection', { origin: 'upstream' })
    this.#exchanges.fail(broken)
    // During a login, or while it comes back, whoever waits for that deals with it.
    if (this.phase === 'opening' || this.#wake !== undefined) return
    const { reconnect = true } = this.#options
    if (this.phase === 'open' && reconnect && this.graceTime > 0) void this.#comeBack(error)
    else this.finish(broken)
  }

  async #comeBack(error: XpsError | undefined): Promise<void> {
    this.emit('lost', error)
    const { clock } = this.#target
    const until = clock.now() + this.graceTime
    let failure: unknown = error
    while (this.phase === 'open' && clock.now() < until) {
      await this.#sleep(this.#times.reconnect)
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
    const callBack = this.#wish()
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

  /** Tells the server now and then that we are alive. */
  #beat(): void {
    const interval = this.#times.heartbeat
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
    this.#peer?.resume()
  }

  // Being called back.

  async #listen(): Promise<CallBackWish | undefined> {
    const { callBack } = this.#options
    if (callBack === undefined) return undefined
    const options = callBack === true ? {} : callBack
    knownOptions('callBack', options, ['port', 'host', 'path'])
    const { port = 0, host = 'localhost', path = '/' } = options
    this.#key = randomBytes(32)
    const address = `soap.tcp://${host}:${port}${path}`
    const receiver = await SoapReceiver.open(address, (message, peer) => this.#called(message, peer), {
      clock: this.#target.clock,
      maxConnections: 4,
      idleTimeout: 0,
    })
    this.#receiver = receiver
    this.adopt(receiver)
    return this.#wish()
  }

  #wish(): CallBackWish | undefined {
    if (this.#receiver === undefined || this.#key === undefined) return undefined
    const { port, address } = this.#receiver
    return { port, path: readSoapAddress(address)?.path ?? '/', key: this.#key }
  }

  /** Only our server, which knows the key of the login, may call. */
  #called(message: SoapMessage, peer: SoapPeer): XmlElement | SoapOutgoing | undefined {
    if (peer === this.#peer) {
      if (!this.#received(message)) peer.pause()
      return undefined
    }
    const { body } = message
    const proof =
      message.action === sessionActions.challenge && body !== undefined && this.#key !== undefined
        ? answerChallenge(body, this.sessionId, this.#key)
        : undefined
    if (proof === undefined) {
      peer.abort()
      return undefined
    }
    this.#peer = peer
    return { action: sessionActions.proof, body: proof }
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
