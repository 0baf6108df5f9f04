// What the clients of the relay benchmarks ask for, and what the upstream answers.
import { noise } from '../lib/bodies.js'

/** How long a request is, whatever it asks for. */
export const requestSize = 100

/** A request is made of one letter, and the letter tells which answer it wants. */
export const answers = { s: noise(130), l: noise(100_000) }

/** A request for one of the answers. */
export function request(kind) {
  return Buffer.alloc(requestSize, kind)
}
