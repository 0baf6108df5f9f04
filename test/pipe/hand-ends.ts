import type { XpsError } from '../../src/errors.ts'
import type { SinkEnd, SourceEnd } from '../../src/pipe/ends.ts'
import { PipeSink } from '../../src/pipe/sink.ts'
import { PipeSource } from '../../src/pipe/source.ts'

/** A source in the test's hands: it counts how often it is asked, and keeps what it is told. */
export class HandSource {
  readonly source: PipeSource
  pulls = 0
  /** What `close` was told, one entry for each time. */
  readonly closes: (XpsError | undefined)[] = []

  constructor(pull: (source: SourceEnd) => void = () => {}) {
    this.source = new PipeSource({
      pull: (source) => {
        this.pulls++
        pull(source)
      },
      close: (error) => void this.closes.push(error),
    })
  }

  /** A source that writes these bytes in chunks as the pipe takes them, and then ends. */
  static of(bytes: Uint8Array, options: { chunk?: number; error?: XpsError } = {}): HandSource {
    const chunk = options.chunk ?? bytes.length
    let position = 0
    return new HandSource((source) => {
      while (source.ready && position < bytes.length) {
        position += source.write(bytes.subarray(position, Math.min(position + chunk, bytes.length)))
      }
      if (position === bytes.length) source.end(options.error)
    })
  }
}

/** A sink in the test's hands: it keeps what it is given and what it is told. */
export class HandSink {
  readonly sink: PipeSink
  /** The chunks as they were given: the memory of whoever wrote it. */
  readonly chunks: Uint8Array[] = []
  readonly ends: (XpsError | undefined)[] = []
  readonly aborts: XpsError[] = []
  /** While true, each write answers that the sink is busy with it. */
  busy = false
  readonly #copies: Buffer[] = []
  #lent: Uint8Array | undefined

  constructor(write: (chunk: Uint8Array, sink: SinkEnd) => boolean | undefined = () => undefined) {
    this.sink = new PipeSink({
      write: (chunk, sink) => {
        this.chunks.push(chunk)
        this.#copies.push(Buffer.from(chunk))
        const free = write(chunk, sink) ?? !this.busy
        this.#lent = free ? undefined : chunk
        return free
      },
      end: (error) => void this.ends.push(error),
      abort: (error) => void this.aborts.push(error),
    })
  }

  /** All that it was given, in order. */
  get bytes(): Buffer {
    return Buffer.concat(this.#copies)
  }

  get text(): string {
    return this.bytes.toString()
  }

  /** How many bytes it is busy with. */
  get lent(): number {
    return this.#lent?.length ?? 0
  }

  /** Is done with the chunk it has, which nobody may have changed meanwhile, and takes the next. */
  next(): void {
    const lent = this.#lent
    this.#lent = undefined
    if (lent !== undefined && !Buffer.from(lent).equals(this.#copies.at(-1) as Buffer)) {
      throw new Error('the memory of a chunk was changed while the sink was busy with it')
    }
    this.sink.ready = true
  }
}

/** Bytes of which no part looks like its neighbours. */
export function pattern(size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size)
  for (let index = 0; index < size; index++) bytes[index] = (index * 31 + (index >> 8) * 17 + (index >> 16) * 7) & 255
  return bytes
}

/** Lets everything go on that can without waiting for time to pass. */
export async function turns(count = 3): Promise<void> {
  for (; count > 0; count--) await new Promise<void>((resolve) => setImmediate(resolve))
}

/** What a promise resolves to within a few turns of the event loop; undefined if it is still pending, or rejected. */
export async function soon<T>(promise: Promise<T>): Promise<{ value: T } | undefined> {
  let outcome: { value: T } | undefined
  promise.then(
    (value) => {
      outcome = { value }
    },
    () => {},
  )
  for (let look = 0; look < 20 && outcome === undefined; look++) await turns(1)
  return outcome
}
