/** What can be handed to a lifetime to go with it: a function, or anything that can be disposed of. */
export type Owned =
  | (() => unknown)
  | { dispose(): unknown }
  | { [Symbol.dispose](): unknown }
  | { [Symbol.asyncDispose](): PromiseLike<unknown> }

/** Disposes of one thing; what it returns is a promise if the disposal takes time. */
export function dispose(owned: Owned): unknown {
  // First, because a protocol is a function and may have something to dispose of all the same.
  if (Symbol.asyncDispose in owned) return owned[Symbol.asyncDispose]()
  if (Symbol.dispose in owned) return owned[Symbol.dispose]()
  return typeof owned === 'function' ? owned() : owned.dispose()
}

/** Tells whether a disposal, or any other call, left a promise to wait for. */
export function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
