import { Prefixes } from './prefixes.ts'

/**
 * Memory that many sockets read into, one after the other.
 *
 * A socket that reads into a buffer of ours names the buffer before the read, so sockets that wait for bytes all
 * *point* at a slab, and one slab serves them all: a read and the call that brings its bytes are one step of the event
 * loop, with no other read or write in between. The bytes are borrowed for the length of that call.
 *
 * Sometimes they are needed longer: the kernel took only a part of a write and the rest is *lent* to it. Then no other
 * socket is given this slab, but those that point at it already may still read into it. Hence a lent slab keeps a copy,
 * and whoever reads into it moves its bytes away and puts the copy back (`rescue`), before the loop gets to a write.
 */
export class Slab {
  readonly bytes: Buffer
  readonly #prefixes: Prefixes
  /** How many sockets will read into this slab next. */
  pointers = 0
  /** Kept by a pool for later. */
  spare = false
  #lent = false
  #saved: Saved | undefined

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafeSlow(size)
    this.#prefixes = new Prefixes(this.bytes)
  }

  /** The first so many bytes. */
  first(count: number): Buffer {
    return this.#prefixes.first(count)
  }

  get lent(): boolean {
    return this.#lent
  }

  /** Keeps the first bytes as they are until {@link giveBack}. */
  lend(count: number): void {
    this.#lent = true
    // The borrower itself is one of the pointers, and moves on to another slab before it reads again.
    if (this.pointers > 1) this.#saved = keep(this.bytes.subarray(0, count))
  }

  giveBack(): void {
    this.#lent = false
    this.forget()
  }

  /** Nobody can read over the lent bytes any more. */
  forget(): void {
    if (this.#saved !== undefined && idleCopies.length < spareCopies) idleCopies.push(this.#saved.memory)
    this.#saved = undefined
  }

  /** Moves bytes that were read over lent ones out of the way, into other memory, and puts the lent ones back. */
  rescue(count: number, into: Buffer = Buffer.allocUnsafeSlow(count)): Buffer {
    const read = into.subarray(0, count)
    read.set(this.bytes.subarray(0, count))
    if (this.#saved !== undefined) this.bytes.set(this.#saved.bytes.subarray(0, count))
    return read
  }
}

/** A copy of lent bytes, and the memory that it is in. */
interface Saved {
  memory: Buffer
  bytes: Buffer
}

// A copy is needed for a moment only, until the others have moved on; so a few are used again and again, where garbage
// would wait for its collector.
const idleCopies: Buffer[] = []
const spareCopies = 4

function keep(bytes: Buffer): Saved {
  const spare = idleCopies.pop()
  const memory =
    spare !== undefined && spare.length >= bytes.length
      ? spare
      : Buffer.allocUnsafeSlow(Math.max(slabSize, bytes.length))
  memory.set(bytes)
  return { memory, bytes: memory.subarray(0, bytes.length) }
}

/** Bytes of one read: what a socket brings at most in one step. */
export const slabSize: number = 64 * 1024

const spares = 16

/** Gives out the slab that sockets read into, and keeps a few for when it is lent. */
export class SlabPool {
  #current: Slab | undefined
  #free: Slab[] = []

  /** The slab to point a socket at. Never a lent one. */
  point(): Slab {
    if (this.#current === undefined || this.#current.lent) this.#current = this.#spare() ?? new Slab(slabSize)
    this.#current.pointers++
    return this.#current
  }

  /** The socket will read elsewhere, or nowhere. */
  leave(slab: Slab): void {
    slab.pointers--
    if (slab.pointers === 0) slab.forget()
  }

  /** The bytes of a lent slab are no longer needed. */
  giveBack(slab: Slab): void {
    slab.giveBack()
    if (slab === this.#current || slab.spare || this.#free.length >= spares) return
    slab.spare = true
    this.#free.push(slab)
  }

  /** A spare one, but not one that was lent again meanwhile, by a socket that still pointed at it. */
  #spare(): Slab | undefined {
    for (let slab = this.#free.pop(); slab !== undefined; slab = this.#free.pop()) {
      slab.spare = false
      if (!slab.lent) return slab
    }
    return undefined
  }
}

/** The slabs of the process: sockets of all cores share them, as they share its one event loop. */
export const slabs: SlabPool = new SlabPool()
