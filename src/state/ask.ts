import { isPromiseLike } from '../lifetime/owned.ts'
import type { Awaitable } from './container.ts'

/** Goes on with what a call gives, in the same turn if it is at hand; what it throws or rejects with goes to `failed`. */
export function ask<T, R>(
  call: () => Awaitable<T>,
  next: (value: T) => Awaitable<R>,
  failed: (error: unknown) => Awaitable<R>,
): Awaitable<R> {
  let value: Awaitable<T>
  try {
    value = call()
  } catch (error) {
    return failed(error)
  }
  // Made one of ours: who asked may ask whether it is a promise.
  return isPromiseLike(value) ? Promise.resolve(value).then(next, failed) : next(value)
}

/** Goes on with an outcome, in the same turn if it is at hand. */
export function after<T, R>(value: Awaitable<T>, next: (value: T) => Awaitable<R>): Awaitable<R> {
  return value instanceof Promise ? value.then(next) : next(value)
}
