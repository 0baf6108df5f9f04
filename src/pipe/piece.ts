/** What was asked for last. */
let chunk: Buffer | undefined
let start = 0
let stop = 0
let piece: Buffer | undefined

/**
 * A piece of a chunk, in its memory. Many answers of an upstream come as the same piece of the same chunk ({@link Prefixes}),
 * and to make an object for it costs more than a look whether it is the one of the last call.
 */
export function pieceOf(of: Buffer, from: number, to: number): Buffer {
  if (piece !== undefined && of === chunk && from === start && to === stop) return piece
  chunk = of
  start = from
  stop = to
  piece = of.subarray(from, to)
  return piece
}
