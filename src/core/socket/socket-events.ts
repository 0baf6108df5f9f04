import type { Duplex } from 'node:stream'

/** Whom a socket tells what happens to it. */
export interface SocketHolder {
  /** Bytes came. */
  socketRead(chunk: Buffer): void
  /** The peer has ended its direction. */
  socketEnded(): void
  /** It has taken all that it was given. */
  socketDrained(): void
  /** It is going to close. */
  socketFailed(cause: unknown): void
  /** It has closed; it may be one that was given up for another. */
  socketClosed(socket: Duplex): void
}

/** Where a socket has its holder, so that all can share their listeners: there may be many thousands. */
const holder = Symbol('xps holder')
type Held = Duplex & { [holder]?: SocketHolder }

/** Has the holder told of all that happens to the socket but of its bytes. */
export function tellEvents(socket: Duplex, told: SocketHolder): void {
  ;(socket as Held)[holder] = told
  socket.on('end', onEnd)
  socket.on('drain', onDrain)
  socket.on('error', onError)
  socket.on('close', onClose)
}

/** Has the holder told of its bytes as well, where the socket does not read into memory of ours. */
export function tellBytes(socket: Duplex): void {
  socket.on('data', onData)
}

function onData(this: Duplex, chunk: Buffer): void {
  ;(this as Held)[holder]?.socketRead(chunk)
}

function onEnd(this: Duplex): void {
  ;(this as Held)[holder]?.socketEnded()
}

function onDrain(this: Duplex): void {
  ;(this as Held)[holder]?.socketDrained()
}

function onError(this: Duplex, cause: unknown): void {
  ;(this as Held)[holder]?.socketFailed(cause)
}

function onClose(this: Duplex): void {
  ;(this as Held)[holder]?.socketClosed(this)
}
