import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { EventEmitter } from 'eventemitter3'
import { hostFault } from '../pipe/host-fault.ts'
import type { ProxyError } from './proxy-error.ts'
import type { ProxyServerEvents } from './proxy-events.ts'
import type { ProxyTargetDetailed } from './target.ts'

/** What a {@link Call} asks of the proxy that it was made of. */
export interface CallOwner extends Pick<EventEmitter<ProxyServerEvents>, 'emit' | 'listenerCount'> {
  /** Calls code of the host program; what that throws is a warning, and harms no request. */
  tell(call: () => void): void
}

/** Is told, in place of listeners, that a call has failed. */
export type CallErrorCallback<Client> = (
  error: ProxyError,
  req: IncomingMessage,
  client: Client,
  target: URL | ProxyTargetDetailed | undefined,
) => void

/** One call of a proxy: whom to tell, and what was promised. The client is whatever its answer goes to. */
export abstract class Call<Client extends ServerResponse | Duplex> {
  readonly req: IncomingMessage
  readonly client: Client
  /** Fulfilled when all is over; rejected with the error of a call that nobody else is told of. */
  readonly promise: Promise<void>
  target: URL | ProxyTargetDetailed | undefined
  protected readonly owner: CallOwner
  protected readonly callback: CallErrorCallback<Client> | undefined
  #resolve: () => void = () => {}
  #reject: (error: ProxyError) => void = () => {}

  constructor(owner: CallOwner, req: IncomingMessage, client: Client, callback: CallErrorCallback<Client> | undefined) {
    this.owner = owner
    this.req = req
    this.client = client
    this.callback = callback
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  /** It cannot be answered, or not wholly. False if nobody was told: the promise is rejected then. */
  failed(error: ProxyError): boolean {
    const told = this.callback !== undefined || this.owner.listenerCount('error') > 0
    try {
      this.tellFailure(error)
    } catch (fault) {
      process.emitWarning(hostFault(fault))
    }
    if (told) return true
    // Whoever waits for the promise hears of it; whoever does not is not bothered.
    this.promise.catch(() => {})
    this.#reject(error)
    return false
  }

  /** Tells the callback, or else listeners; throws what they throw. */
  protected tellFailure(error: ProxyError): void {
    const { req, client, target, callback } = this
    if (callback !== undefined) callback(error, req, client, target)
    else this.owner.emit('error', error, req, client, target)
  }

  /** Nothing more comes. */
  protected fulfil(): void {
    this.#resolve()
  }
}
