import type { ServerHttp2Stream } from 'node:http2'

/** How much of a long body `node:http2` is given at a time; it takes no new streams when it holds too much. */
const piece = 64 * 1024
/** Shorter ones may be in memory that is somebody else's when the call returns. */
const mostCopied = 8 * 1024

/** Sends a body that is at hand, and the end of the stream with it. A long one is not copied, and must not change. */
export function sendWhole(stream: ServerHttp2Stream, body: Uint8Array): void {
  sendLasting(stream, body.length <= mostCopied ? Buffer.from(body) : body)
}

/** The same for a body that never changes. */
export function sendLasting(stream: ServerHttp2Stream, body: Uint8Array): void {
  if (body.length <= piece) stream.end(body)
  else sendFrom(stream, body, 0)
}

function sendFrom(stream: ServerHttp2Stream, body: Uint8Array, at: number): void {
  if (at + piece >= body.length) {
    stream.end(body.subarray(at))
    return
  }
  stream.write(body.subarray(at, at + piece), (error) => {
    if (!error && !stream.destroyed) sendFrom(stream, body, at + piece)
  })
}
