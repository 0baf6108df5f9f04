import { XpsError } from '../errors.ts'
import type { Lifetime } from '../lifetime/lifetime.ts'
import { Pipe, type PipeOptions } from '../pipe/pipe.ts'
import type { PipeSink } from '../pipe/sink.ts'
import type { PipeSource } from '../pipe/source.ts'
import { Connection, type ConnectionOwner } from './connection.ts'
import { Living } from './living.ts'

/** What happens to every kind of session. */
export interface ClientSessionEvents {
  /** Told once and last: with the reason if it did not end well. */
  close: [error: XpsError | undefined]
}

/** Makes the session of a connection that a listener has accepted. */
export type Protocol = (client: Connection) => ClientSession

let lastNumber = 0

/**
 * What every protocol turns a client's connection into.
 *
 * A kind overrides `onOpen`, and there joins the connection's source and sink with whatever it likes, best by
 * `pipe()`: when all its pipes are over, the session is. A kind that does without pipes calls `finish()` itself.
 */
export abstract class ClientSession<
    Events extends ClientSessionEvents & { [event in keyof Events]: unknown[] } = ClientSessionEvents,
  >
  extends Living<Events>
  implements ConnectionOwner
{
  readonly client: Connection
  readonly #number = ++lastNumber
  readonly #pipes: Pipe[] = []
  #pipeError: XpsError | undefined

  constructor(client: Connection) {
    super()
    this.client = client
    this.adopt(client)
  }

  /** Unique in the process. */
  get id(): string {
    return `session-${this.#number}`
  }

  /** The client's connection, and those that were dialled for it; only those that are still alive. */
  get connections(): Connection[] {
    return this.children().filter((child) => child instanceof Connection)
  }

  /** The pipes that are not over. */
  get pipes(): readonly Pipe[] {
    return this.#pipes
  }

  /** Starts it. A listener does so for the sessions of its protocol; do it yourself for one that you made by hand. */
  open(): this {
    if (!this.opened()) return this
    try {
      this.onOpen()
    } catch (error) {
      this.fault(error)
      this.abort(new XpsError('XPS_FAULT', 'the session failed to open', { cause: error }))
    }
    return this
  }

  /** The session is open: let bytes flow. */
  protected onOpen(): void {}

  /** Joins a source and a sink for as long as the session lasts; the session ends when its last pipe does. */
  protected pipe(source: PipeSource, sink: PipeSink, options: PipeOptions = {}): Pipe {
    // Counted before it flows, because it may be over by the time that it is made.
    let over = false
    const pipe = new Pipe(undefined, undefined, {
      ...options,
      onClose: (error, self) => {
        over = true
        options.onClose?.(error, self)
        this.#pipeOver(self, error)
      },
    })
    this.#pipes.push(pipe)
    pipe.attachSink(sink)
    if (!over) pipe.attachSource(source)
    return pipe
  }

  /** By default a session that is asked to close goes on until its pipes end. */
  protected override onDrain(): void {}

  protected override onAbort(error: XpsError): void {
    for (const pipe of this.#pipes.slice()) pipe.abort(error)
  }

  /** Without a client there is no session, once its pipes have delivered what they hold. */
  protected override onChildClosed(child: Lifetime): void {
    if (child === this.client && this.#pipes.length === 0) this.finish(child.error)
  }

  protected override onClosed(error: XpsError | undefined): void {
    this.emit('close', error)
  }

  #pipeOver(pipe: Pipe, error: XpsError | undefined): void {
    this.#pipeError ??= error
    const index = this.#pipes.indexOf(pipe)
    if (index >= 0) this.#pipes.splice(index, 1)
    if (this.#pipes.length === 0) this.finish(this.#pipeError)
  }
}
