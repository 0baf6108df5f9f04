import { EventEmitter } from 'eventemitter3'
import type { XpsError } from '../errors.ts'
import type { Transaction } from '../http/transaction.ts'
import { hostFault } from '../pipe/host-fault.ts'
import type { ProxyError } from './proxy-error.ts'

/** What a {@link ProxySocket} tells. */
export interface ProxySocketEvents {
  /** Bytes from the target, a copy; seen by listeners that were added within `open`. */
  data: [chunk: Buffer]
  /** The tunnel broke off. */
  error: [error: ProxyError]
  /** The tunnel is over: told once and last. */
  close: []
}

/**
 * The connection to a target that was upgraded, as listeners to `open` and `close` get it: a part of what Node's `Socket`
 * has. Its bytes go to the client by themselves.
 */
export class ProxySocket extends EventEmitter<ProxySocketEvents> {
  readonly #transaction: Transaction
  #destroyed = false

  /** @internal */
  constructor(transaction: Transaction) {
    super()
    this.#transaction = transaction
  }

  /** Bytes that came from the target. */
  get bytesRead(): number {
    return this.#transaction.bytes
  }

  /** Bytes that went to the target. */
  get bytesWritten(): number {
    return this.#transaction.bytesIn
  }

  get destroyed(): boolean {
    return this.#destroyed
  }

  /** Ends the tunnel now, on both sides. */
  destroy(error?: Error): this {
    this.#transaction.abort(error)
    return this
  }

  /** @internal Tells a listener, whose faults harm nobody else. */
  tell(event: 'data' | 'error' | 'close', given?: Buffer | ProxyError): void {
    try {
      this.emit(event as 'data', given as Buffer)
    } catch (error) {
      process.emitWarning(hostFault(error))
    }
  }

  /** @internal */
  over(error: ProxyError | undefined): void {
    this.#destroyed = true
    if (error !== undefined) this.tell('error', error)
    this.tell('close')
  }
}

/** Whether a tunnel broke off, and not by its client or by us. */
export function isTargets(error: XpsError | undefined): error is XpsError {
  return error !== undefined && error.origin !== 'client' && error.code !== 'XPS_CLOSED' && error.code !== 'XPS_ABORTED'
}
