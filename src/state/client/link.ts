import type { Alarm, Clock } from '../../clock.ts'
import type { Connection } from '../../core/connection.ts'
import { Input } from '../../core/input.ts'
import { Output } from '../../core/output.ts'
import type { Upstream } from '../../core/upstream.ts'
import { XpsError } from '../../errors.ts'
import { Lifetime } from '../../lifetime/lifetime.ts'
import { Pipe } from '../../pipe/pipe.ts'
import type { ByteString } from '../codec/byte-string.ts'
import { LineReader } from '../codec/line-reader.ts'
import { encodeWord } from '../codec/words.ts'
import { errorOf, faultOf } from '../faults.ts'

/** How a link is made and how long it waits. */
export interface LinkRules {
  readonly upstream: Upstream
  readonly connectTimeout: number | undefined
  readonly auth: ByteString | undefined
  readonly replyTimeout: number
  readonly maxReplyLength: number
  readonly clock: Clock
}

/** Whoever keeps links. */
export interface LinkOwner {
  linkClosed(link: StateLink, error: XpsError | undefined): void
}

interface Asked {
  readonly resolve: (text: ByteString) => void
  readonly reject: (error: XpsError) => void
  /** By when it must be answered, by the clock. */
  readonly deadline: number
}

/** Commands of one link that are not answered yet, at most. */
const mostAsked = 10_000

/** A connection to a state server: commands out, replies in, in order; what is said in one turn leaves together. */
export class StateLink extends Lifetime {
  /** Nothing of the client's own is under way on it. */
  idleSince = 0
  /** Told a line that nobody asked for. */
  onLine: ((line: ByteString) => void) | undefined
  readonly connection: Connection
  #held = false
  #ended = false
  readonly #rules: LinkRules
  readonly #owner: LinkOwner
  readonly #reader: LineReader
  readonly #input: Input
  readonly #output: Output
  readonly #asked: Asked[] = []
  #first = 0
  #alarm: Alarm | undefined
  #names: ReadonlySet<string> = new Set()
  readonly #ready: Promise<unknown>

  constructor(rules: LinkRules, owner: LinkOwner) {
    super()
    this.#rules = rules
    this.#owner = owner
    const { connectTimeout, clock } = rules
    this.#reader = new LineReader(rules.maxReplyLength)
    this.#input = new Input(this)
    this.#output = new Output(this)
    this.connection = rules.upstream.connect({ clock, ...(connectTimeout === undefined ? {} : { connectTimeout }) })
    this.adopt(this.connection)
    this.opened()
    new Pipe(this.#output, this.connection.sink)
    new Pipe(this.connection.source, this.#input)
    this.#ready = this.#greet()
    // Whoever waits for it is told; nobody has to.
    this.#ready.catch(() => {})
  }

  get address(): string {
    return this.#rules.upstream.address
  }

  /** Resolves when the server is known; rejects if it cannot be reached, or does not take our secret. */
  get ready(): Promise<unknown> {
    return this.#ready
  }

  /** Whether the server knows a command that is not one of the reference's. */
  knows(name: string): boolean {
    return this.#names.has(name)
  }

  /** Somebody has it for himself; while that is so it is not closed, only aborted. */
  get held(): boolean {
    return this.#held
  }

  set held(held: boolean) {
    this.#held = held
    if (this.phase === 'draining') this.onDrain()
  }

  /** Commands can be sent. */
  get usable(): boolean {
    return !this.#ended && (this.phase === 'open' || (this.phase === 'draining' && this.#held))
  }

  /** Commands that are not answered. */
  get pending(): number {
    return this.#asked.length - this.#first
  }

  /** Asks, and resolves to what follows `ok`. Rejects with what follows `err`, or with how the connection ended. */
  ask(line: ByteString, wait = 0): Promise<ByteString> {
    return new Promise((resolve, reject) => {
      if (!this.usable) {
        const gone = `${this.address}: the connection is closed`
        return reject(this.error ?? new XpsError('XPS_CLOSED', gone, { origin: 'upstream', retryable: true }))
      }
      if (this.pending >= mostAsked) {
        return reject(new XpsError('XPS_BUSY', `${this.address}: ${mostAsked} commands are not answered`))
      }
      const deadline = this.#rules.clock.now() + this.#rules.replyTimeout + wait
      this.#asked.push({ resolve, reject, deadline })
      this.#output.text(line)
      this.#output.text('\r\n')
      this.#output.schedule()
      this.#alarm ??= this.#watch()
    })
  }

  /** @internal */
  receive(chunk: Buffer): number {
    const reader = this.#reader
    reader.add(chunk)
    while (reader.next()) this.#line(reader.bytes.toString('latin1', reader.start, reader.end))
    reader.keep()
    if (reader.tooLong) this.#broken('a reply is too long')
    return chunk.length
  }

  /** @internal */
  received(error: XpsError | undefined): void {
    this.#over(error)
  }

  /** @internal */
  outputReady(): void {}

  /** @internal */
  outputOver(error: XpsError | undefined): void {
    this.#over(error)
  }

  /** Lets no more lines in for now, or lets them in again. */
  set listening(listening: boolean) {
    this.#input.ready = listening
  }

  protected override onDrain(): void {
    if (this.pending === 0 && !this.#held) this.finish()
  }

  protected override onAbort(error: XpsError): void {
    this.#ended = true
    this.#rejectAll(error)
  }

  protected override onChildClosed(): void {
    this.#over(this.connection.error)
  }

  protected override onClosed(error: XpsError | undefined): void {
    this.#alarm?.cancel()
    this.#rejectAll(error)
    this.#owner.linkClosed(this, error)
  }

  async #greet(): Promise<void> {
    const { auth } = this.#rules
    const [, names] = await Promise.all([
      auth === undefined ? undefined : this.ask(`auth ${encodeWord(auth)}`),
      // The reference does not know it, and has no more to tell.
      this.ask('help').catch((error: XpsError) => {
        if (error.code === 'XPS_BAD_REQUEST') return ''
        throw error
      }),
    ])
    const [version, ...words] = names.split(' ')
    if (version?.startsWith('xps/') === true) this.#names = new Set(words)
  }

  #line(line: ByteString): void {
    if (line.startsWith('* ')) return this.onLine?.(line.slice(2))
    const asked = this.#asked[this.#first]
    if (asked === undefined) return this.#broken('it says what nobody asked for')
    this.#first++
    if (this.#first === this.#asked.length || this.#first > 1_000) {
      this.#asked.splice(0, this.#first)
      this.#first = 0
    }
    if (line === 'ok' || line.startsWith('ok ')) asked.resolve(line.slice(3))
    else if (line.startsWith('err ')) {
      const fault = faultOf(line.slice(4))
      asked.reject(errorOf(fault, { address: this.address, cause: fault }))
    } else {
      asked.reject(this.#badReply('its reply begins with neither ok nor err'))
      this.#broken('its reply begins with neither ok nor err')
    }
    if (this.pending === 0) {
      this.#alarm?.cancel()
      this.#alarm = undefined
      if (this.phase === 'draining') this.onDrain()
    }
  }

  #badReply(what: string): XpsError {
    return new XpsError('XPS_BAD_RESPONSE', `${this.address} is no state server: ${what}`, { origin: 'upstream' })
  }

  #broken(what: string): void {
    this.abort(this.#badReply(what))
  }

  /** The connection has ended: what was asked last may have been done or not. */
  #over(error: XpsError | undefined): void {
    const lost = `${this.address} has closed the connection`
    const reason = error ?? (this.pending > 0 ? new XpsError('XPS_RESET', lost, { origin: 'upstream' }) : undefined)
    this.#ended = true
    this.#rejectAll(reason)
    this.finish(reason)
  }

  #rejectAll(error: XpsError | undefined): void {
    const left = this.#asked.splice(0).slice(this.#first)
    this.#first = 0
    const reason = error ?? new XpsError('XPS_CLOSED', `${this.address}: closed`, { origin: 'upstream' })
    for (const { reject } of left) reject(reason)
  }

  /** One alarm for all that is asked: the next that is due is the first, as all wait equally long, or one after it. */
  #watch(): Alarm | undefined {
    const { clock } = this.#rules
    const asked = this.#asked[this.#first]
    if (asked === undefined) return undefined
    return clock.after(Math.max(1, asked.deadline - clock.now()), () => {
      const late = this.#asked[this.#first]
      if (late !== undefined && late.deadline <= clock.now()) {
        const message = `${this.address} did not reply in time`
        return this.abort(new XpsError('XPS_TIMEOUT', message, { origin: 'upstream', reason: 'reply' }))
      }
      this.#alarm = this.#watch()
    })
  }
}
