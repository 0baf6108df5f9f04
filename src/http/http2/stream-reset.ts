import { nameOfCode } from './codes.ts'

/** Why a stream of HTTP/2 was reset, as the `cause` of an error: RFC 9113, 7. */
export class StreamReset extends Error {
  override readonly name = 'StreamReset'
  readonly code: number

  constructor(code: number) {
    super(nameOfCode(code))
    this.code = code
  }
}

/** The code by which a peer reset the stream that the error is about; undefined if it is about something else. */
export function resetCodeOf(error: unknown): number | undefined {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    if (at instanceof StreamReset) return at.code
  }
  return undefined
}
