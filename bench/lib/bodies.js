// What benchmarks send and check. Every byte depends on its place, so that a check sees bytes that are lost, doubled or
// in the wrong order.

const longestBlock = 1_000_000
const pieceSize = 250_000

/**
 * A body of so many bytes.
 * @typedef {{ length: number, block: Buffer }} Body The block comes over and over until it is long enough.
 * @returns {Body}
 */
export function bodyOf(length) {
  return { length, block: noise(Math.min(length, longestBlock)) }
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

/** Whether the bytes from `start` to `end` are those of the body from a place on. */
export function matches(bytes, start, end, { length, block }, place) {
  if (place + end - start > length) return false
  let from = start
  let at = place % block.length
  while (from < end) {
    const size = Math.min(end - from, block.length - at)
    if (block.compare(bytes, from, from + size, at, at + size) !== 0) return false
    from += size
    at = 0
  }
  return true
}

/** Sends a body as fast as the stream takes it, and its end. */
export function send(stream, { length, block }) {
  let sent = 0
  const more = () => {
    for (let room = true; room && sent < length; sent += pieceSize) {
      const place = sent % block.length
      room = stream.write(block.subarray(place, place + pieceSize))
    }
    if (sent >= length && !stream.writableEnded) stream.end()
  }
  stream.on('drain', more)
  more()
}
