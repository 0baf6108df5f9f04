import type { Duplex } from 'node:stream'
import { straightPush } from './straight-push.ts'

/** Whom a socket tells what happens to it. */
export interface SocketHolder {
  /** Bytes came. */
  socketRead(chunk: Buffer): void
  /** The same before they are in the socket's stream; false if they have to wait there. */
  socketPushed(chunk: Buffer): boolean
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

/**
 * Has the holder told of its bytes as well, where the socket does not read into memory of ours. `straight` says that nobody
 * else listens to the socket.
 */
export function tellBytes(socket: Duplex, straight = false): void {
  socket.on('data', onData)
  if (straight) socket.push = push
}

/** The bytes are somebody else's from now on, and the socket as it was. */
export function leaveBytes(socket: Duplex): void {
  socket.removeAllListeners('data')
  if (socket.push === push) Reflect.deleteProperty(socket, 'push')
}

const push = straightPush((socket, chunk) => (socket as Held)[holder]?.socketPushed(chunk) === true)

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
