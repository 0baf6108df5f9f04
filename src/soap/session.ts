import { Living } from '../core/living.ts'
import type { XpsError } from '../errors.ts'
import { invalidOption } from '../options.ts'
import type { Attachment } from './framing/framing.ts'
import { keptText } from './kept-text.ts'
import { isProof, newToken } from './login/login-messages.ts'
import { actionOf, type SoapOutgoing } from './message.ts'
import type { SoapVersion } from './names.ts'
import { newMessageId, type Voice, writeMessage } from './outgoing.ts'
import { XmlElement } from './xml/element.ts'

/** What happens to a {@link SoapSession}. */
export interface SoapSessionEvents {
  /** Its client takes messages again, or is there again, after `send` had returned false. */
  drain: []
  /** Its client is gone; it may come back within the grace time. */
  lost: []
  /** Its client has come back, on another connection. */
  resumed: []
  /** Told once and last, when all that it owned is disposed of. */
  close: [error: XpsError | undefined]
}

/** Where the messages for a client go. */
export interface Transport {
  send(version: SoapVersion, envelope: string, attachments?: readonly Attachment[]): boolean
  readonly full: boolean
}

/**
 * What a login makes, and what lasts until its client leaves, is gone or is silent for too long.
 *
 * Whatever must end with it is given to {@link own}: it is disposed of once, in reverse order, and what fails there
 * harms nothing else.
 */
export class SoapSession extends Living<SoapSessionEvents> {
  /** What the client calls it: a name to tell messages by, and no secret. */
  readonly id: string
  readonly username: string
  /** The address that the client logged in from; undefined for a Unix-domain or in-process socket. */
  readonly remoteAddress: string | undefined
  /** @internal What its client is spoken to in. */
  readonly voice: Voice
  /** When it began, by the clock of its listener. */
  readonly since: number
  /** @internal When its client last sent a message. */
  lastTime: number
  #token = newToken()
  /** The one that the client is known to have, which holds until it is known to have the new one. */
  #formerToken: string | undefined
  #transport: Transport | undefined
  #to: string | undefined
  #lost = false
  #waiting: (() => void)[] = []
  readonly #seen = new Set<string>()
  readonly #window: number

  /** @internal */
  constructor(about: {
    id: string
    username: string
    remoteAddress: string | undefined
    voice: Voice
    since: number
    window: number
  }) {
    super()
    this.id = about.id
    this.username = about.username
    this.remoteAddress = about.remoteAddress
    this.voice = about.voice
    this.since = about.since
    this.lastTime = about.since
    this.#window = about.window
    this.opened()
  }

  /** When its client last sent a message, by the clock of its listener. */
  get lastMessage(): number {
    return this.lastTime
  }

  /** Whether its client is there. */
  get connected(): boolean {
    return this.#transport !== undefined
  }

  /** Whether so much waits for the client that nothing should be sent before `drain`. */
  get full(): boolean {
    return this.#transport?.full === true
  }

  /**
   * Sends its client a message. False says that it should be the last one before `drain`, or that it was not sent because
   * there is no client now. Throws `XPS_INVALID_OPTION` for a message without an action or that cannot be written.
   */
  send(message: SoapOutgoing | XmlElement): boolean {
    const outgoing = message instanceof XmlElement ? { body: message } : message
    const action = actionOf(outgoing)
    if (action === undefined) throw invalidOption('action', undefined, 'given, for a message without a body')
    const transport = this.#transport
    if (transport === undefined || this.phase === 'closed') return false
    const envelope = writeMessage(this.voice, outgoing, { action, messageId: newMessageId(), to: this.#to })
    return transport.send(this.voice.version, envelope, outgoing.attachments)
  }

  /** Resolves when messages can be sent again, or never will be. */
  async drained(): Promise<void> {
    if (this.full && this.phase !== 'closed') await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  /** @internal The client is there, or there again. */
  attach(transport: Transport, to: string | undefined): void {
    this.#transport = transport
    this.#to = to
    if (!this.#lost) return
    this.#lost = false
    this.emit('resumed')
    // Whoever was told to wait while nobody was there.
    this.emit('drain')
  }

  /** @internal The client is gone. */
  detach(): void {
    if (this.#transport === undefined) return
    this.#transport = undefined
    this.#lost = true
    this.#wake()
    if (this.phase === 'open') this.emit('lost')
  }

  /** @internal */
  get transport(): Transport | undefined {
    return this.#transport
  }

  /** @internal */
  ready(): void {
    this.#wake()
    this.emit('drain')
  }

  /** @internal The secret by which its client comes back. */
  get token(): string {
    return this.#token
  }

  /** @internal Whether it is its client that comes back. */
  isOwnedBy(token: string): boolean {
    // Both are compared, so that it cannot be told by the time which of them it was.
    const former = isProof(token, this.#formerToken ?? newToken())
    return isProof(token, this.#token) || former
  }

  /** @internal Its client has come back, and is to have another secret. */
  renewToken(): void {
    this.#formerToken ??= this.#token
    this.#token = newToken()
  }

  /** @internal Its client has sent a message: it is there, and has been told all that it must know. */
  heard(time: number): void {
    this.lastTime = time
    this.#formerToken = undefined
  }

  /** @internal Remembers the id of a message; false if it is remembered already. */
  isNew(messageId: string): boolean {
    const seen = this.#seen
    if (seen.has(messageId)) return false
    seen.add(keptText(messageId))
    if (seen.size > this.#window) seen.delete(seen.values().next().value as string)
    return true
  }

  /** @internal It is over. */
  end(error: XpsError | undefined): void {
    this.finish(error)
  }

  protected override onDrain(): void {
    this.finish()
  }

  protected override onClosed(error: XpsError | undefined): void {
    this.#transport = undefined
    this.#wake()
    this.emit('close', error)
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}
