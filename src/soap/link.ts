import type { Connection } from '../core/connection.ts'
import { Living } from '../core/living.ts'
import { XpsError } from '../errors.ts'
import type { Lifetime } from '../lifetime/lifetime.ts'
import { Pipe } from '../pipe/pipe.ts'
import type { Attachment } from './framing/framing.ts'
import type { Refused } from './incoming.ts'
import type { SoapLimits } from './limits.ts'
import type { SoapMessage } from './message.ts'
import type { SoapVersion } from './names.ts'
import type { Rejection } from './rejection.ts'
import type { Transport } from './session.ts'
import { Wire, type WireOwner, type WireSide } from './wire.ts'

/** What happens to a {@link SoapLink}. */
export interface SoapLinkEvents {
  /** It can be sent to. */
  open: []
  close: [error: XpsError | undefined]
}

/** Who has a link. */
export interface LinkOwner {
  /** A message has come; false holds the next ones up. */
  linkReceived(message: SoapMessage): boolean
  /** More can be sent again. */
  linkReady(): void
}

const outputLimit = 512 * 1024

/** A connection that we have dialled and that speaks SOAP. */
export class SoapLink extends Living<SoapLinkEvents> implements WireOwner, Transport {
  readonly understands: undefined
  readonly roles: undefined
  readonly connection: Connection
  readonly #wire: Wire
  readonly #owner: LinkOwner
  readonly #pipes: Pipe[] = []
  #ending: XpsError | undefined

  constructor(connection: Connection, side: WireSide, limits: SoapLimits, owner: LinkOwner) {
    super()
    this.connection = connection
    this.#owner = owner
    this.adopt(connection)
    this.#wire = new Wire(this, limits, ['dime', 'nmf'])
    const begin = (): void => this.#wire.begin(side)
    if (connection.phase === 'open') queueMicrotask(begin)
    else connection.on('open', begin)
    const onClose = (error: XpsError | undefined, pipe: Pipe): void => this.#pipeOver(pipe, error)
    this.#pipes.push(
      new Pipe(undefined, undefined, { onClose }),
      new Pipe(undefined, undefined, { onClose, limit: outputLimit }),
    )
    const [input, output] = this.#pipes as [Pipe, Pipe]
    input.attachSource(connection.source)
    input.attachSink(this.#wire.input)
    output.attachSource(this.#wire.outbox)
    output.attachSink(connection.sink)
  }

  /** Nothing waits for the peer. */
  get idle(): boolean {
    return this.#wire.idle && this.#wire.outbox.empty
  }

  get full(): boolean {
    return this.#wire.outbox.full
  }

  send(version: SoapVersion, envelope: string, attachments?: readonly Attachment[]): boolean {
    return this.#wire.send(version, envelope, attachments)
  }

  /** Goes on to read, after its owner held it up. */
  resume(): void {
    this.#wire.resume()
  }

  time(): number {
    return this.connection.time()
  }

  received(message: SoapMessage): boolean {
    return this.#owner.linkReceived(message)
  }

  /** What a peer sends and we cannot read is not answered: it would be an answer to an answer. */
  refused({ rejection }: Refused): boolean {
    this.broken(rejection)
    return false
  }

  broken(rejection: Rejection): void {
    const code = rejection.reason === 'too-large' ? 'XPS_TOO_LARGE' : 'XPS_PROTOCOL'
    const { side, address } = this.connection
    this.abort(new XpsError(code, `${address}: ${rejection.message}`, { origin: side, address, cause: rejection }))
  }

  checkVia(): void {}

  wireOpened(): void {
    if (this.opened()) this.emit('open')
  }

  wireEnded(error: XpsError | undefined): void {
    this.#ending ??= error
    this.#wire.end()
  }

  wireReady(): void {
    this.#owner.linkReady()
  }

  wireOverflowed(): void {
    const { side } = this.connection
    this.abort(new XpsError('XPS_BUSY', `${this.connection.address} takes less than it is sent`, { origin: side }))
  }

  wireOver(error: XpsError | undefined): void {
    this.#ending ??= error
  }

  protected override onDrain(): void {
    // Before the connection is there, there is nothing to finish.
    if (this.connection.phase === 'opening') return this.finish()
    this.#wire.end()
    this.#wire.input.close()
  }

  protected override onAbort(error: XpsError): void {
    for (const pipe of this.#pipes.slice()) pipe.abort(error)
  }

  protected override onChildClosed(child: Lifetime): void {
    this.finish(this.#ending ?? child.error)
  }

  protected override onClosed(error: XpsError | undefined): void {
    this.emit('close', error)
  }

  #pipeOver(pipe: Pipe, error: XpsError | undefined): void {
    this.#ending ??= error
    const index = this.#pipes.indexOf(pipe)
    if (index >= 0) this.#pipes.splice(index, 1)
    if (this.#pipes.length === 0) this.finish(this.#ending)
  }
}
