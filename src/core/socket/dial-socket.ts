import { connect, type Socket, type TcpNetConnectOpts } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls, type ConnectionOptions as NodeTlsOptions, type TLSSocket } from 'node:tls'
import { TlsState } from '../tls/tls-state.ts'
import type { TlsDialler } from '../tls/upstream-tls.ts'
import type { DialPlan, DialTarget } from './dial-plan.ts'
import { tellBytes } from './socket-events.ts'
import type { OnRead } from './socket-source.ts'

/** For whom sockets are dialled. */
export interface SocketDialler {
  /** By which the next socket reads into memory that is shared. */
  onread(): OnRead
  /** Here is a socket, not connected yet. It takes the place of the one before, if there was one. */
  holdSocket(socket: Duplex): void
  /** The handshake is done. */
  secured(tls: TlsState): void
  /** It can be used. */
  connected(): void
}

// Sockets that we dial can read into memory of ours; that it can be shared rests on how libuv reads on POSIX systems
// (see slab.ts). On Windows a read is started with its buffer long before it ends.
const sharesSlabs = process.platform !== 'win32'

/** Whoever offers what to speak takes the socket over, and then it must be an ordinary one. */
function readsIntoSlabs(plan: DialPlan): boolean {
  return sharesSlabs && plan.alpn === undefined
}

/**
 * Dials one target as the plan says: in plain text or encrypted, and with what is said before all else. Whether and how it
 * fails is told by the socket.
 */
export function dialSocket(target: DialTarget, plan: DialPlan, dialler: SocketDialler): void {
  if (plan.encryption !== undefined) return dialSecurely(target, plan, plan.encryption, dialler)
  const socket = plainSocket(target, plan, dialler)
  dialler.holdSocket(socket)
  if (typeof target === 'function' || !readsIntoSlabs(plan)) tellBytes(socket)
  onceConnected(socket, () => {
    if (!socket.destroyed) introduce(socket, plan)
    dialler.connected()
  })
}

function dialSecurely(target: DialTarget, plan: DialPlan, tls: TlsDialler, dialler: SocketDialler): void {
  if (plan.introduce === undefined) {
    const where = typeof target === 'function' ? { socket: target() } : placeOf(target, plan, dialler)
    return encrypt(where, target, plan, tls, dialler)
  }
  const plain = plainSocket(target, plan, undefined)
  dialler.holdSocket(plain)
  onceConnected(plain, () => {
    if (plain.destroyed) return
    introduce(plain, plan)
    encrypt({ socket: plain }, target, plan, tls, dialler)
  })
}

function encrypt(where: object, target: DialTarget, plan: DialPlan, tls: TlsDialler, dialler: SocketDialler): void {
  const host = typeof target !== 'function' && 'host' in target ? target.host : 'localhost'
  const { options, key } = tls.options(host, plan.alpn)
  // With a socket of ours, Node does not know otherwise whose name the certificate must have.
  const socket = connectTls({ ...where, host, ...options } as NodeTlsOptions)
  socket.setNoDelay(plan.noDelay)
  dialler.holdSocket(socket)
  if ('socket' in where || !readsIntoSlabs(plan)) tellBytes(socket)
  socket.on('session', (session) => tls.remember(key, session))
  socket.once('secureConnect', () => {
    dialler.secured(new TlsState(socket as TLSSocket))
    dialler.connected()
  })
}

/** Without a reader its bytes are read by whoever encrypts on it. */
function plainSocket(target: DialTarget, plan: DialPlan, reader: SocketDialler | undefined): Duplex {
  return typeof target === 'function' ? target() : connect(placeOf(target, plan, reader) as TcpNetConnectOpts)
}

function placeOf(target: object, plan: DialPlan, reader: SocketDialler | undefined): object {
  return {
    // One of the two must not be there at all.
    ...target,
    allowHalfOpen: true,
    noDelay: plan.noDelay,
    onread: reader !== undefined && readsIntoSlabs(plan) ? reader.onread() : undefined,
  }
}

/** Says for whom we have come, before anything else. */
function introduce(socket: Duplex, plan: DialPlan): void {
  if (plan.introduce !== undefined) socket.write(plan.introduce(socket))
}

function onceConnected(socket: Duplex, then: () => void): void {
  if ((socket as Partial<Socket>).connecting === true) socket.once('connect', then)
  else process.nextTick(then)
}
