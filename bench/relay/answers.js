// What the upstream of the benchmarks answers: every byte depends on its place, so that a check sees bytes that are
// lost, doubled or in the wrong order.

/** How long a request is, whatever it asks for. */
export const requestSize = 100

/** A request is made of one letter, and the letter tells which answer it wants. */
export const answers = { s: noise(130), l: noise(100_000) }

/** A request for one of the answers. */
export function request(kind) {
  return Buffer.alloc(requestSize, kind)
}

/** Bytes without a pattern, always the same. */
export function noise(size) {
  const bytes = Buffer.allocUnsafeSlow(size)
  let state = size
  for (let place = 0; place < size; place++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    bytes[place] = state >>> 16
  }
  return bytes
}
