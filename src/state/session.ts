import { ClientSession, type ClientSessionEvents } from '../core/client-session.ts'
import type { Connection } from '../core/connection.ts'
import { Input } from '../core/input.ts'
import { Output } from '../core/output.ts'
import { asXpsError, type XpsError } from '../errors.ts'
import { type ByteString, toBytes, toText } from './codec/byte-string.ts'
import { LineReader } from './codec/line-reader.ts'
import { type Answer, commands, moreCommands } from './commands.ts'
import type { Awaitable } from './container.ts'
import { faults } from './faults.ts'
import { Listing } from './listing.ts'
import type { ServerScope } from './server-scope.ts'
import type { SessionTable } from './session-table.ts'
import type { SharedSession } from './shared-session.ts'
import type { SharedSessions } from './shared-sessions.ts'
import type { Call } from './table-rules.ts'

/** The bound of what is on its way to the client. */
const outputLimit = 512 * 1024
/** How many bytes of commands are kept that came while another one waits. */
const mostAhead = 64 * 1024
/** A longer value is not joined with what surrounds it, but written by itself. */
const shortText = 512
/** Answers that are no longer wait for that of a commit. */
const mostEarly = 1024
/** After so many wrong secrets a client is not heard any more. */
const mostWrong = 10

const get = Buffer.from('get ').readUInt32LE()
const put = Buffer.from('put ').readUInt32LE()
const open = Buffer.from('open').readUInt32LE()
const clos = Buffer.from('clos').readUInt32LE()
const runGet = commands.get('get') as NonNullable<ReturnType<typeof commands.get>>
const runPut = commands.get('put') as NonNullable<ReturnType<typeof commands.get>>

/**
 * A connection that speaks the session server's protocol: a line is a command, and is answered by a line.
 *
 * ```
 *  client.source ─► pipe ─► Input ─► LineReader ─► command ─► SharedSession
 *  client.sink  ◄── pipe ◄── Output ◄── ok, err ◄────┘          one write for all commands of one read
 * ```
 *
 * Commands are answered in order. While one waits (for a lock, for a container) those after it are kept, up to a bound.
 * When the client has gone, what it had open is rolled back and unlocked.
 */
export class StateSession extends ClientSession<ClientSessionEvents> {
  /** @internal */
  readonly call: Call = {}
  #shared: SharedSession | undefined
  readonly #scope: ServerScope
  readonly #sessions: SharedSessions
  readonly #reader: LineReader
  readonly #input: Input
  readonly #output: Output
  #authenticated: boolean
  #wrong = 0
  /** A command is under way. */
  #busy = false
  /** What is under way is a commit: it ends soon, and what was answered before it is sent with its answer. */
  #committing = false
  /** That. */
  #early = ''
  #inputEnded = false
  /** Nothing is answered any more. */
  #over = false
  #listing: Listing | undefined
  #stopWatching: (() => void) | undefined
  #unseen = 0

  /** @internal Made by the protocol of a `stateServer`. */
  constructor(client: Connection, scope: ServerScope, sessions: SharedSessions) {
    super(client)
    this.#scope = scope
    this.#sessions = sessions
    this.#authenticated = scope.auth === undefined
    this.#reader = new LineReader(scope.maxLineLength)
    this.#input = new Input(this)
    this.#output = new Output(this)
  }

  /** The shared session that this client has open. */
  get shared(): SharedSession | undefined {
    return this.#shared
  }

  /** @internal */
  set shared(session: SharedSession | undefined) {
    this.#shared = session
  }

  /** Nothing is open, nothing under way, and nothing unanswered. */
  override get idle(): boolean {
    return this.#shared === undefined && !this.#busy && this.#reader.left === 0 && this.#output.empty
  }

  // The desk.

  /** @internal */
  get table(): SessionTable {
    return this.#sessions.table
  }

  /** @internal */
  get admin(): boolean {
    return this.#scope.admin
  }

  /** @internal */
  get names(): readonly string[] {
    return this.#scope.names
  }

  /** @internal */
  stats(): string {
    return JSON.stringify(this.#scope.stats())
  }

  /** @internal */
  authenticate(secret: string): Awaitable<Answer> {
    const { auth } = this.#scope
    if (auth === undefined) return undefined
    const checked = (right: boolean): Answer => {
      this.#authenticated = right
      if (right) return undefined
      if (++this.#wrong > mostWrong) this.#over = true
      return faults.secret
    }
    const right = auth(secret)
    return typeof right === 'boolean' ? checked(right) : Promise.resolve(right).then(checked)
  }

  /** @internal */
  async list(limit: number): Promise<Answer> {
    this.#listing ??= new Listing(this.#sessions.list())
    const { words, done } = await this.#listing.next(limit)
    if (done) this.#listing = undefined
    return [done ? 'end' : 'more', ...words].join(' ')
  }

  /** @internal */
  watch(): void {
    this.#stopWatching ??= this.#scope.watch(this.#sessions, (line) => this.#tell(line))
  }

  /** @internal Reports an error that is nobody's fault here. */
  report(error: XpsError): void {
    this.fault(error)
  }

  protected override onOpen(): void | Promise<void> {
    this.#scope.join(this)
    this.own(() => this.#letGo())
    const ready = this.#sessions.ready()
    if (ready === undefined) this.#listen()
    else return ready.then(() => this.#listen())
  }

  protected override onAbort(error: XpsError): void {
    super.onAbort(error)
    this.#letGo()
  }

  #listen(): void {
    if (this.phase !== 'open') return this.finish()
    this.pipe(this.#output, this.client.sink, { limit: outputLimit })
    this.pipe(this.client.source, this.#input)
  }

  // What the client sends.

  /** @internal */
  receive(chunk: Buffer): number {
    const reader = this.#reader
    reader.add(chunk)
    if (!this.#busy) this.#run()
    reader.keep()
    // While a command waits, more is read, within limits: otherwise nobody would see that the client has gone.
    if ((this.#busy || this.#output.full) && reader.left >= mostAhead) this.#input.ready = false
    return chunk.length
  }

  /** @internal The client's direction has ended, and all that came has been taken. */
  received(error: XpsError | undefined): void {
    this.#inputEnded = true
    if (error !== undefined) this.#letGo()
    else if (!this.#busy) this.#run()
  }

  /** @internal */
  outputReady(): void {
    if (this.#busy || this.#over) return
    this.#run()
    this.#goOn()
  }

  /** @internal */
  outputOver(): void {
    this.#letGo()
  }

  /** Runs what has come, as far as it goes at once, and sends the answers together. */
  #run(): void {
    const reader = this.#reader
    const output = this.#output
    this.#shared?.heard()
    while (!this.#busy && !this.#over && !output.full && reader.next()) this.#command()
    if (reader.tooLong && !this.#busy && !this.#over) {
      this.#answer(faults.line)
      this.#over = true
    }
    if (this.#inputEnded && !this.#busy && !this.#over && !output.full) {
      // As in the reference, the last line needs no end.
      if (reader.last()) this.#command()
      if (!this.#busy) this.#over = true
    }
    if (this.#over) return this.#end()
    if (this.#busy && this.#committing) this.#early += output.takeBack(mostEarly)
    else output.flush()
    if (this.phase === 'draining' && this.idle) this.finish()
  }

  /** A command has been answered that took its time: those that came meanwhile are next. */
  #goOn(): void {
    this.#reader.keep()
    if (this.#reader.left < mostAhead) this.#input.ready = true
  }

  #command(): void {
    const { bytes, start, end } = this.#reader
    this.#scope.commands++
    let at = start
    while (at < end && bytes[at] !== 32) at++
    let [first, rest] = ['', '']
    if (at < end) {
      let next = at + 1
      while (next < end && bytes[next] !== 32) next++
      first = bytes.toString('latin1', at + 1, next)
      if (next < end) rest = bytes.toString('latin1', next + 1, end)
      // What is asked most, without a look at any table.
      if (at - start === 3 && this.#authenticated) {
        const name = bytes.readUInt32LE(start)
        if (name === get) return this.#settle(runGet(this, first, rest))
        if (name === put) return this.#settle(runPut(this, first, rest))
      }
    }
    let answer: Awaitable<Answer>
    try {
      answer = this.#dispatch(nameOf(bytes, start, at), first, rest)
    } catch (error) {
      answer = this.#failed(error)
    }
    this.#settle(answer)
  }

  #dispatch(name: string, first: ByteString, rest: ByteString): Awaitable<Answer> {
    const { own } = this.#scope
    if (!this.#authenticated && name !== 'auth' && name !== 'help') {
      return commands.has(name) || moreCommands.has(name) || own.has(name) ? faults.auth : faults.unknown
    }
    this.#committing = name === 'close' || name === 'commit'
    const run = commands.get(name) ?? moreCommands.get(name)
    if (run !== undefined) return run(this, first, rest)
    const hosts = own.get(name)
    if (hosts === undefined) return faults.unknown
    const words = rest !== '' ? [toText(first), toText(rest)] : first !== '' ? [toText(first)] : []
    const reply = hosts(words, this.#shared)
    return typeof reply === 'object' && reply !== null
      ? Promise.resolve(reply).then((text) => this.#replyOf(text))
      : this.#replyOf(reply as string | undefined)
  }

  /** A reply of the host's, which must be one line. */
  #replyOf(text: string | undefined): Answer {
    if (text === undefined) return undefined
    if (typeof text !== 'string') return this.#failed(new TypeError('a command must return a text or undefined'))
    return /[\r\n]/.test(text) ? faults.lines : toBytes(text)
  }

  #settle(answer: Awaitable<Answer>): void {
    if (!(answer instanceof Promise)) {
      if (answer === faults.open) return this.#unknownId()
      return this.#answer(answer)
    }
    this.#busy = true
    answer.then(
      (given) => (given === faults.open ? this.#unknownId() : this.#settled(given)),
      (error: unknown) => this.#settled(this.#failed(error)),
    )
  }

  /** Who has asked for many ids that nobody has, from wherever it is, is answered late. */
  #unknownId(): void {
    const { clock } = this.table.rules
    const delay = this.#over ? 0 : this.#scope.guesses.failed(this.client.remoteAddress ?? '', clock.now())
    if (delay === 0) return this.#busy ? this.#settled(faults.open) : this.#answer(faults.open)
    this.#busy = true
    const alarm = clock.after(delay, () => {
      this.call.cancel = undefined
      this.#settled(faults.open)
    })
    this.call.cancel = () => alarm.cancel()
  }

  #settled(answer: Answer): void {
    this.#busy = false
    // The client has gone meanwhile; what was opened for it is nobody's.
    if (this.#over || this.phase === 'closed') return this.#letGo()
    this.#sayEarly()
    this.#answer(answer)
    this.#run()
    this.#goOn()
  }

  #sayEarly(): void {
    if (this.#early === '') return
    this.#output.text(this.#early)
    this.#early = ''
  }

  #answer(answer: Answer): void {
    const output = this.#output
    if (answer === undefined) output.text('ok\r\n')
    else if (typeof answer !== 'string') {
      this.#scope.errors++
      output.text(`err ${answer.text}\r\n`)
    } else if (answer.length <= shortText) output.text(`ok ${answer}\r\n`)
    else {
      output.text('ok ')
      output.text(answer)
      output.text('\r\n')
    }
  }

  /** Code of the host's has failed. What it says is for the host. */
  #failed(error: unknown): Answer {
    this.fault(asXpsError(error, 'XPS_FAULT', 'a command failed'))
    return faults.failed
  }

  /** A line that nobody asked for. Who does not read them misses some. */
  #tell(line: string): void {
    if (this.#over) return
    if (this.#output.full) {
      this.#unseen++
      return
    }
    this.#sayEarly()
    if (this.#unseen > 0) this.#output.text(`* missed ${this.#unseen}\r\n`)
    this.#unseen = 0
    this.#output.text(`* ${line}\r\n`)
    this.#output.schedule()
  }

  /** The last answer has been given. */
  #end(): void {
    this.#letGo()
    this.#output.end()
    // What still comes is not read.
    this.#input.close()
  }

  /** Rolls back and unlocks what is open, and waits for nothing any more. */
  #letGo(): void {
    this.#over = true
    const { cancel } = this.call
    this.call.cancel = undefined
    cancel?.()
    this.#shared?.abandon()
    this.#shared = undefined
    this.#stopWatching?.()
    this.#stopWatching = undefined
    this.#listing?.end()
    this.#listing = undefined
    this.#scope.leave(this)
  }
}

/** The name of a command, in small letters. What opens and closes each session needs no new text. */
function nameOf(bytes: Buffer, start: number, end: number): string {
  const length = end - start
  if (length === 4 && bytes.readUInt32LE(start) === open) return 'open'
  if (length === 5 && bytes.readUInt32LE(start) === clos && bytes[start + 4] === 0x65) return 'close'
  return bytes.toString('latin1', start, end).toLowerCase()
}
