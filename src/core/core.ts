import type { Clock } from '../clock.ts'
import { XpsError } from '../errors.ts'
import type { Lifetime } from '../lifetime/lifetime.ts'
import { invalidOption, knownOptions } from '../options.ts'
import type { ClientSession, Protocol } from './client-session.ts'
import { type CloseOptions, closeBy } from './close-by.ts'
import { type ListenAddress, Listener, type ListenerOptions } from './listener.ts'
import { Living } from './living.ts'
import type { Route, Router } from './router.ts'
import { relay } from './session.ts'

/** Options of a {@link Core}. */
export interface CoreOptions {
  /** Chooses the route of each client, for listeners that have neither a route nor a protocol of their own. */
  router?: Router
  /** The bound of every pipe of a relay, in bytes. @default 65536 */
  pipeLimit?: number | string
  /** @default the machine's */
  clock?: Clock
}

/** What a listener of a core may be given. */
export interface ListenOptions extends Omit<ListenerOptions, 'protocol' | 'clock'> {
  /** What makes the sessions. @default the relay, with the core's router */
  protocol?: Protocol
  /** The route of all clients of this listener; in place of a protocol. */
  route?: Route | Router
}

/** What happens in a {@link Core}. */
export interface CoreEvents {
  /** A listener listens. */
  listener: [listener: Listener]
  /** A connection was accepted, on any listener, and is a session now. */
  session: [session: ClientSession, listener: Listener]
  /** Code of the host (a listener of an event, a protocol, a disposal) failed; `XPS_FAULT` with the cause. */
  fault: [error: XpsError]
  /** Told once and last, when nothing of it is left. */
  close: [error: XpsError | undefined]
}

/**
 * Listeners and all that lives on them.
 *
 * A process may have several, also one after the other. Once closed, no handle, timer or listener of it is left.
 */
export class Core extends Living<CoreEvents> {
  readonly #options: CoreOptions
  readonly #relay: Protocol

  constructor(options: CoreOptions = {}) {
    super()
    knownOptions('core options', options, ['router', 'pipeLimit', 'clock'])
    if (options.router !== undefined && typeof options.router !== 'function') {
      throw invalidOption('router', options.router, 'a function')
    }
    this.#options = options
    this.#relay = this.#relayTo(options.router ?? (() => undefined))
    this.opened()
  }

  /** The listeners that are alive. */
  get listeners(): Listener[] {
    return this.children().filter((child) => child instanceof Listener)
  }

  /** The sessions that are alive, on all listeners. */
  get sessions(): ClientSession[] {
    return this.listeners.flatMap((listener) => listener.sessions)
  }

  /** Starts to listen; resolves to the listener when it does, rejects with `XPS_LISTEN` when it cannot. */
  async listen(where: ListenWhere, options?: ListenOptions): Promise<Listener> {
    if (this.phase !== 'open') throw new XpsError('XPS_CLOSED', 'the core is closed')
    const listener = new Listener(...this.#listenerArguments(where, options))
    this.adopt(listener)
    return listener.open()
  }

  /** Stops to listen and resolves when the last session has closed; after the deadline they are aborted. */
  override close(options: CloseOptions = {}): Promise<XpsError | undefined> {
    return closeBy(this, () => super.close(), options, this.#options.clock)
  }

  protected override onChildOpen(child: Lifetime): void {
    const listener = child as Listener
    listener.on('session', (session) => this.emit('session', session, listener))
    this.emit('listener', listener)
  }

  protected override onFault(fault: XpsError): boolean {
    return this.emit('fault', fault)
  }

  protected override onClosed(error: XpsError | undefined): void {
    this.emit('close', error)
  }

  #listenerArguments(where: ListenWhere, given: ListenOptions | undefined): [ListenAddress, ListenerOptions] {
    const address = typeof where === 'number' ? { port: where } : where
    if (typeof address !== 'object' || address === null) throw invalidOption('listen', where, 'a port or an address')
    const { port, host, path, ...inline } = address as { port?: number; host?: string; path?: string } & ListenOptions
    const { protocol, route, ...options } = { ...inline, ...given }
    if (protocol !== undefined && route !== undefined) {
      throw invalidOption('listen', 'both', 'given a protocol or a route, not both')
    }
    const { clock } = this.#options
    return [
      path === undefined ? { port: port as number, ...(host === undefined ? {} : { host }) } : { path },
      {
        ...options,
        ...(clock === undefined ? {} : { clock }),
        protocol: protocol ?? (route === undefined ? this.#relay : this.#relayTo(route)),
      },
    ]
  }

  #relayTo(route: Route | Router): Protocol {
    const { pipeLimit } = this.#options
    return relay({ route, ...(pipeLimit === undefined ? {} : { pipeLimit }) })
  }
}

/** Where to listen, with the options in the same object if that reads better. */
export type ListenWhere = number | ((({ port: number; host?: string } | { path: string }) & ListenOptions))
