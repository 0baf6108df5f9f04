import { type Duplex, Readable } from 'node:stream'

/**
 * A `push` for sockets that have one reader, who takes most of what they read in the same call. What `take` takes has no
 * need to go through the stream, which asks itself after each read whether there should be another, in a tick of its own.
 *
 * What it does not take, all that comes while something waits in the stream, and the end go the ordinary way, so the
 * reader listens to `data` as well.
 */
export function straightPush(take: (socket: Duplex, chunk: Buffer) => boolean): Readable['push'] {
  return function push(this: Readable, chunk: unknown, encoding?: BufferEncoding): boolean {
    const socket = this as Duplex
    if (chunk !== null && socket.readableLength === 0 && take(socket, chunk as Buffer)) return true
    return ordinaryPush.call(this, chunk, encoding)
  }
}

const ordinaryPush = Readable.prototype.push
