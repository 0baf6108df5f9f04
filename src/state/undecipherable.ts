import { XpsError } from '../errors.ts'

/** Why what a container keeps of a session cannot be decrypted: the cause of an `XPS_READ`. */
export class Undecipherable extends Error {
  /** When the session expires, in milliseconds since 1970: that can be read still. */
  readonly expires: number

  constructor(reason: string, expires: number) {
    super(reason)
    this.expires = expires
  }
}

/** Finds out whether a container has failed of that, and not in general. */
export function undecipherable(error: unknown): Undecipherable | undefined {
  return error instanceof XpsError && error.cause instanceof Undecipherable ? error.cause : undefined
}
