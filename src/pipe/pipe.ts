import { asXpsError, XpsError } from '../errors.ts'
import { bytesOption, knownOptions } from '../options.ts'
import { ByteQueue } from './byte-queue.ts'
import { hostFault } from './host-fault.ts'
import type { PipeSink } from './sink.ts'
import type { PipeSource } from './source.ts'
import { openStage, type Stage } from './stage.ts'

/** Options of a {@link Pipe}. */
export interface PipeOptions {
  /**
   * The most bytes that may be inside: queued, or with a sink that is not ready for more. A hard bound.
   * A number, or text such as `'64 KiB'`.
   * @default 65536
   */
  limit?: number | string
  /** Stages that the bytes pass, in order: functions, Node or web transform streams, or a {@link Stage} of the library. */
  through?: readonly Stage[]
  /** Whether the end of the source ends the sink too; if not, the sink is only detached. @default true */
  end?: boolean
  /** Told once, when the pipe is over: the error says what went wrong or was cut short. */
  onClose?: (error: XpsError | undefined, pipe: Pipe) => void
  /** Where it is added up what many pipes hold together. */
  account?: PipeAccount
}

/** What pipes hold together, in bytes. */
export interface PipeAccount {
  held: number
}

/** The bound of a pipe that was given none, in bytes: as much as one read of a socket brings. */
export const defaultPipeLimit: number = 64 * 1024

/**
 * Moves bytes from a source to a sink, and never holds more than its limit.
 *
 * ```
 *  source.write ──►[ queue ≤ limit ]──► sink.write
 *  source.pull  ◄── empty again ◄────── sink.ready = true
 *  source.end   ──► after the last byte ──► sink.end        one direction at a time
 *  source.close ◄── the sink is gone ◄──── sink.close
 *               pipe.abort: both are told, now              both directions
 * ```
 *
 * While the sink is ready a chunk goes straight through, uncopied, in the same call. It flows as soon as both ends
 * are attached.
 */
export class Pipe {
  readonly limit: number
  #source: PipeSource | undefined
  #sink: PipeSink | undefined
  #queue: ByteQueue | undefined
  #bytes = 0
  #inFlight = 0
  #busy = false
  #asked = false
  #ending = false
  #over = false
  #error: XpsError | undefined
  #stages: Pipe[] | undefined
  #entered = 0
  readonly #account: PipeAccount | undefined
  readonly #passEnd: boolean
  #onClose: PipeOptions['onClose']
  #closed: Promise<XpsError | undefined> | undefined
  #tell: ((error: XpsError | undefined) => void) | undefined

  constructor(source?: PipeSource, sink?: PipeSink, options: PipeOptions = noOptions) {
    if (options !== noOptions) knownOptions('pipe options', options, optionNames)
    this.limit = options.limit === undefined ? defaultPipeLimit : bytesOption('pipe.limit', options.limit)
    this.#passEnd = options.end ?? true
    this.#onClose = options.onClose
    this.#account = options.account
    if (source?.active === true || sink?.active === true) throw new XpsError('XPS_CLOSED', 'already attached')
    const through = options.through
    const staged = through !== undefined && through.length > 0
    const first = staged ? this.#chain(through, sink) : sink
    // The source comes first: a sink that is closed already has somebody to tell.
    if (source !== undefined) this.attachSource(source)
    if (first !== undefined) this.#attach(first)
  }

  /** Bytes that have left the pipe towards the sink. */
  get bytes(): number {
    return this.#stages === undefined ? this.#bytes : (this.#stages.at(-1)?.bytes ?? 0)
  }

  /** Bytes that are inside now, stages not counted. */
  get buffered(): number {
    return this.#inFlight + (this.#queue?.length ?? 0)
  }

  /** Bytes that it would take now. */
  get room(): number {
    // While the sink is being given bytes nothing more is taken, so that their order is plain. Who wanted to write then
    // is asked again.
    if (this.#busy) this.#asked = true
    return this.#over || this.#ending || this.#busy ? 0 : this.limit - this.#inFlight - (this.#queue?.length ?? 0)
  }

  /** Nothing is inside. */
  get flushed(): boolean {
    return this.#inFlight === 0 && (this.#queue === undefined || this.#queue.length === 0)
  }

  /** Resolves, when the pipe and its stages are over, to the error or to undefined. Never rejects. */
  get closed(): Promise<XpsError | undefined> {
    if (this.#closed === undefined) {
      this.#closed = this.#finished
        ? Promise.resolve(this.#error)
        : new Promise((resolve) => {
            this.#tell = resolve
          })
    }
    return this.#closed
  }

  /** Gives a pipe that has no source one; bytes flow at once if there is a sink. */
  attachSource(source: PipeSource): void {
    if (this.#over || this.#ending) throw new XpsError('XPS_CLOSED', 'the pipe is over')
    if (this.#source !== undefined || source.active) throw new XpsError('XPS_CLOSED', 'already attached')
    source.mustBeFree()
    this.#source = source
    source.attach(this)
    this.#flow()
  }

  /**
   * Lets go of the source, which may then be attached to another pipe; what it wrote is still delivered.
   * Undefined, and without effect, while the sink is still busy with bytes that are in the source's memory.
   */
  detachSource(): PipeSource | undefined {
    if (this.#inFlight > 0 || this.#busy) return undefined
    const source = this.#source
    source?.detach()
    this.#source = undefined
    return source
  }

  /** Gives a pipe that has no sink one. */
  attachSink(sink: PipeSink): void {
    const last = this.#stages?.at(-1)
    if (last !== undefined) return last.attachSink(sink)
    this.#attach(sink)
  }

  #attach(sink: PipeSink): void {
    if (this.#over) throw new XpsError('XPS_CLOSED', 'the pipe is over')
    if (this.#sink !== undefined || sink.active) throw new XpsError('XPS_CLOSED', 'already attached')
    this.#sink = sink
    sink.attach(this)
    this.#flow()
  }

  /**
   * Lets go of the sink, which may then be attached to another pipe; queued bytes wait for the next one.
   * Undefined, and without effect, while the sink is still busy with bytes that it was given.
   */
  detachSink(): PipeSink | undefined {
    const last = this.#stages?.at(-1)
    if (last !== undefined) return last.detachSink()
    if (this.#inFlight > 0 || this.#busy) return undefined
    const sink = this.#sink
    sink?.detach()
    this.#sink = undefined
    return sink
  }

  /** Ends it now: what is inside is dropped, source and sink are told. */
  abort(error?: unknown): void {
    const reason = asXpsError(error ?? new XpsError('XPS_ABORTED', 'pipe aborted'), 'XPS_ABORTED', 'pipe aborted')
    if (!this.#over) {
      const { sink, source } = this.#end(reason)
      sink?.aborted(reason)
      source?.over(reason)
      this.#close()
    }
    if (this.#stages !== undefined) for (const stage of this.#stages) stage.abort(reason)
  }

  // The two sides that `ends.ts` names. They are no part of the public declarations, hence no `implements`.

  /** @internal The source's side: takes what there is room for and returns how much that was. */
  write(chunk: Uint8Array): number {
    if (this.#over || this.#ending) return 0
    if (this.#busy) {
      // The sink, while it was given bytes, made the source write: these come after, when the source is asked again.
      this.#asked = true
      return 0
    }
    const sink = this.#sink
    if (sink === undefined || !sink.ready || (this.#queue !== undefined && this.#queue.length > 0)) {
      return this.#enqueue(chunk)
    }
    const taken = chunk.length <= this.limit ? this.#give(sink, chunk) : this.#giveSlices(sink, chunk)
    if (taken === chunk.length || this.#over) return taken
    return taken + this.#enqueue(chunk.subarray(taken))
  }

  /** @internal The straight way through for two chunks at once, or not at all. */
  writeBoth(head: Uint8Array, chunk: Uint8Array): boolean {
    const sink = this.#sink
    const length = head.length + chunk.length
    if (this.#over || this.#ending || this.#busy || sink === undefined || !sink.ready || length > this.limit)
      return false
    if (this.#queue !== undefined && this.#queue.length > 0) return false
    this.#busy = true
    const taken = sink.takeBoth(head, chunk)
    this.#busy = false
    if (taken) this.#gave(sink, length)
    else if (this.#asked || this.#ending) this.#afterBusy()
    return taken
  }

  /** @internal */
  sourceEnded(error: XpsError | undefined): void {
    if (this.#over) return
    this.#ending = true
    this.#error = error
    if (!this.#busy && this.flushed && this.#sink !== undefined) this.#finish()
  }

  /** @internal */
  sinkReady(): void {
    this.#inFlight = 0
    this.#enter()
    if (!this.#busy) this.#flow()
  }

  /** @internal */
  sinkClosed(error: XpsError | undefined): void {
    if (this.#over) return
    const lost = this.#queue?.length ?? 0
    const reason =
      error ??
      (lost > 0 ? new XpsError('XPS_TRUNCATED', `the sink closed, ${lost} bytes were not delivered`) : undefined)
    const { source } = this.#end(reason)
    source?.over(reason)
    this.#close()
  }

  /** Hands one chunk to a sink that is ready; the only place where bytes leave. */
  #give(sink: PipeSink, chunk: Uint8Array): number {
    this.#busy = true
    const taken = sink.take(chunk)
    this.#busy = false
    this.#gave(sink, taken)
    return taken
  }

  #gave(sink: PipeSink, taken: number): void {
    this.#bytes += taken
    if (!sink.ready && !this.#over) {
      this.#inFlight = taken
      this.#enter()
    }
    if (this.#asked || this.#ending) this.#afterBusy()
  }

  #giveSlices(sink: PipeSink, chunk: Uint8Array): number {
    let taken = 0
    while (taken < chunk.length && sink.ready && !this.#over) {
      taken += this.#give(sink, chunk.subarray(taken, taken + this.limit))
    }
    return taken
  }

  #enqueue(chunk: Uint8Array): number {
    const room = this.room
    if (room <= 0) return 0
    this.#queue ??= new ByteQueue()
    const part = chunk.length <= room ? chunk : chunk.subarray(0, room)
    this.#queue.push(part)
    this.#enter()
    return part.length
  }

  #flow(): void {
    if (this.#busy) {
      this.#asked = true
      return
    }
    const sink = this.#sink
    const queue = this.#queue
    if (sink === undefined || this.#over) return
    while (queue !== undefined && queue.length > 0 && sink.ready && !this.#over) {
      queue.drop(this.#give(sink, queue.peek(this.limit)))
      this.#enter()
    }
    if (this.#over || !sink.ready || !this.flushed) return
    if (this.#ending) this.#finish()
    else this.#source?.pulled()
  }

  /** Enters into the account what is inside now. Never on the straight way through, where nothing is. */
  #enter(): void {
    if (this.#account === undefined) return
    const inside = this.#inFlight + (this.#queue?.length ?? 0)
    this.#account.held += inside - this.#entered
    this.#entered = inside
  }

  #afterBusy(): void {
    const asked = this.#asked
    this.#asked = false
    if (this.#ending && !this.#over && this.flushed) this.#finish()
    else if (asked) queueMicrotask(() => this.#flow())
  }

  #finish(): void {
    const { sink, source } = this.#end(this.#error)
    // `end: false` is about the last sink; a stage in between always learns of the end.
    if (this.#passEnd || this.#stages !== undefined) sink?.sourceEnded(this.#error)
    else sink?.detach()
    source?.over(undefined)
    this.#close()
  }

  /** The end, for whichever reason: after this nothing can enter or leave. */
  #end(error: XpsError | undefined): { source: PipeSource | undefined; sink: PipeSink | undefined } {
    const ends = { source: this.#source, sink: this.#sink }
    this.#over = true
    this.#error = error
    this.#queue = undefined
    this.#inFlight = 0
    this.#enter()
    this.#source = undefined
    this.#sink = undefined
    return ends
  }

  get #finished(): boolean {
    return this.#over && (this.#stages === undefined || this.#stages.every((stage) => stage.#finished))
  }

  #close(): void {
    if (!this.#finished) return
    const onClose = this.#onClose
    this.#onClose = undefined
    try {
      onClose?.(this.#error, this)
    } catch (error) {
      process.emitWarning(hostFault(error))
    }
    this.#tell?.(this.#error)
    this.#tell = undefined
  }

  /**
   * Builds the pipes behind the first one, so that: this → stage → pipe → stage → pipe → sink.
   * Returns the sink of the first stage, which is where this pipe goes.
   */
  #chain(through: readonly Stage[], sink: PipeSink | undefined): PipeSink | undefined {
    const stages = through.map(openStage)
    this.#stages = stages.map((stage, index) => {
      const last = index === stages.length - 1
      return new Pipe(stage.source, last ? sink : stages[index + 1]?.sink, {
        limit: this.limit,
        end: last ? this.#passEnd : true,
        ...(this.#account === undefined ? {} : { account: this.#account }),
        onClose: (error) => {
          this.#error ??= error
          this.#close()
        },
      })
    })
    return stages[0]?.sink
  }
}

const noOptions: PipeOptions = {}
const optionNames = ['limit', 'through', 'end', 'onClose', 'account']
