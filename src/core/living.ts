import { EventEmitter } from 'eventemitter3'
import { asXpsError } from '../errors.ts'
import { Lifetime } from '../lifetime/lifetime.ts'

type Listener = (...args: unknown[]) => void

/**
 * A lifetime that tells what happened to it. `Events` maps each event to the arguments of its listeners.
 *
 * Events are past facts: they are told after the state has changed. A listener that throws does not harm the lifetime;
 * its error is reported as a `fault` of the core, and listeners that were added after it miss that event.
 * An event that nobody listens to costs nothing.
 */
export abstract class Living<Events extends { [event in keyof Events]: unknown[] }> extends Lifetime {
  #events: EventEmitter | undefined

  on<E extends keyof Events & string>(event: E, listener: (...args: Events[E]) => void): this {
    this.#events ??= new EventEmitter()
    this.#events.on(event, listener as Listener)
    return this
  }

  once<E extends keyof Events & string>(event: E, listener: (...args: Events[E]) => void): this {
    this.#events ??= new EventEmitter()
    this.#events.once(event, listener as Listener)
    return this
  }

  off<E extends keyof Events & string>(event: E, listener: (...args: Events[E]) => void): this {
    this.#events?.off(event, listener as Listener)
    return this
  }

  protected emit(event: keyof Events & string, ...args: unknown[]): boolean {
    if (this.#events === undefined) return false
    try {
      return this.#events.emit(event, ...args)
    } catch (error) {
      const fault = asXpsError(error, 'XPS_FAULT', `a listener of '${event}' failed`)
      // Whoever listens to faults cannot be told of their own.
      if (event === 'fault') process.emitWarning(fault)
      else this.fault(fault)
      return true
    }
  }
}
