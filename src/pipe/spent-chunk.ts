import { MessageChannel, type MessagePort } from 'node:worker_threads'

/** Bytes of a chunk whose memory is worth giving back. */
export const worthwhile: number = 16 * 1024

/** ES2024, hence Node 21. */
type Transferable = ArrayBuffer & { transfer?: (length: number) => ArrayBuffer }

/** The memory that was written to sockets last, and how much of it the kernel took at once. */
let memory: ArrayBufferLike | undefined
let taken = 0

/** The memory that code was given last which may be a host's, and whether it was given other memory before, since the last {@link giveUp}. */
let shown: ArrayBufferLike | undefined
let more = false

/** A port that leads nowhere. What is sent to it is gone, and with it the memory that was to be transferred. */
let nowhere: MessagePort | undefined

/** Of a chunk that was written to a socket: whether the kernel took all of it during the call. */
export function noteWritten(chunk: Uint8Array, whole: boolean): void {
  if (chunk.buffer !== memory) {
    memory = chunk.buffer
    taken = 0
  }
  taken += whole ? chunk.length : Number.NEGATIVE_INFINITY
}

/** A chunk was given to code that may be a host's: whatever becomes of it, its memory is left to the garbage collector. */
export function noteShown(chunk: Uint8Array): void {
  if (chunk.length < worthwhile || chunk.buffer === shown) return
  // Whatever else is written before it goes on must not make us forget it.
  if (shown !== undefined) more = true
  shown = chunk.buffer
}

/**
 * Gives the memory of a chunk back that has just been handed on, if all of it went to sockets whose kernel took it at once, and
 * nowhere else: then nobody has any use for it. Only our own code has seen such a chunk: memory that a program's native
 * call might still read from must not be given back.
 *
 * Node reads an accepted socket into new memory each time. The garbage collector does not look at such memory before there
 * are 32 MB of it, all of which the processor's caches have to take in. Given back at once, the next read gets the same.
 */
export function giveUp(chunk: Uint8Array): void {
  const host = shown
  const hosts = more
  shown = undefined
  more = false
  // To ask a chunk for its buffer is dear, and most often nothing that is worthwhile was written.
  if (memory === undefined) return
  const { buffer } = chunk
  if (memory !== buffer) return
  const all = host !== buffer && !hosts && taken === buffer.byteLength && buffer.byteLength === chunk.length
  memory = undefined
  if (!all || !(buffer instanceof ArrayBuffer)) return
  const { transfer } = buffer as Transferable
  if (transfer !== undefined) transfer.call(buffer, 0)
  else {
    nowhere ??= closedPort()
    nowhere.postMessage(undefined, [buffer])
  }
}

function closedPort(): MessagePort {
  const { port1 } = new MessageChannel()
  port1.close()
  return port1
}
