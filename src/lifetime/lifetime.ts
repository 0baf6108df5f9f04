import { asXpsError, XpsError } from '../errors.ts'
import { dispose, isPromiseLike, type Owned } from './owned.ts'

/** Where a lifetime stands. It only ever moves to the right. */
export type Phase = 'opening' | 'open' | 'draining' | 'closed'

//   opening ──► open ──► draining ──► closed
//      │                  ▲   ▲          the only moves; a late event
//      └──────────────────┘   │          that asks for another is ignored
//        (an end before it    └─ close(): ends when the work is done
//         was ever open)         abort(): ends the work now
function mayMove(from: Phase, to: Phase): boolean {
  if (to === 'draining') return from === 'opening' || from === 'open'
  return to === 'open' ? from === 'opening' : to === 'closed' && from === 'draining'
}

/**
 * One life: a thing that opens, works, is drained and closes, with its children inside.
 *
 * - `close()` lets the work finish, `abort()` does not; both may be called at any time and any number of times.
 * - A lifetime is closed only after all its children are and what it {@link own}s is disposed of.
 * - Its end is told once and last: to its parent, to the kind itself (`onClosed`), then through {@link closed}.
 *
 * A kind supplies verbs: `onDrain` (finish the work, then call `finish()`), `onAbort` (let go now), `onClosed`.
 */
export abstract class Lifetime {
  #phase: Phase = 'opening'
  #error: XpsError | undefined
  #over = false
  #overWhenEmpty = false
  #aborted = false
  #holds = 0
  #settling = false
  #owned: Owned[] | undefined
  #closed: Promise<XpsError | undefined> | undefined
  #tell: ((error: XpsError | undefined) => void) | undefined

  // The tree. Siblings are a linked list, so that a lifetime without children costs no collection.
  #parent: Lifetime | undefined
  #first: Lifetime | undefined
  #previous: Lifetime | undefined
  #next: Lifetime | undefined
  #size = 0

  get phase(): Phase {
    return this.#phase
  }

  /** Why it ended: set as soon as the end is certain, undefined when it ended well. */
  get error(): XpsError | undefined {
    return this.#error
  }

  /** Resolves, when everything has ended, to the error or to undefined. Never rejects. */
  get closed(): Promise<XpsError | undefined> {
    if (this.#closed === undefined) {
      this.#closed =
        this.#phase === 'closed'
          ? Promise.resolve(this.#error)
          : new Promise((resolve) => {
              this.#tell = resolve
            })
    }
    return this.#closed
  }

  /** The lifetime that this one is a part of. */
  get parent(): Lifetime | undefined {
    return this.#parent
  }

  /** How many children are alive. */
  get size(): number {
    return this.#size
  }

  /** The children that are alive at the moment of the call, oldest first. */
  children(): Lifetime[] {
    const list = new Array<Lifetime>(this.#size)
    // The list is linked newest first, because that is where a child joins.
    let index = this.#size
    for (let child = this.#first; child !== undefined; child = child.#next) list[--index] = child
    return list
  }

  /** @internal For a look at the children that must cost nothing: newest first, each by the one before. */
  get firstChild(): Lifetime | undefined {
    return this.#first
  }

  /** @internal */
  get nextSibling(): Lifetime | undefined {
    return this.#next
  }

  /** Lets the work finish and resolves when it has, to the error or undefined. Never rejects. */
  close(): Promise<XpsError | undefined> {
    const closed = this.closed
    this.#drain()
    return closed
  }

  /** Ends the work now, and that of every child. What has not been delivered is lost. */
  abort(error?: unknown): void {
    if (this.#aborted || this.#phase === 'closed') return
    this.#aborted = true
    const reason = asXpsError(error ?? new XpsError('XPS_ABORTED', 'aborted'), 'XPS_ABORTED', 'aborted')
    if (!this.#over) this.#error = reason
    this.#over = true
    this.#enter('draining')
    this.hold()
    try {
      this.onAbort(reason)
    } catch (fault) {
      this.fault(fault)
    }
    for (const child of this.children()) child.abort(reason)
    this.release()
  }

  /**
   * Takes a thing that must not outlive this lifetime and returns it.
   *
   * Owned things are disposed of once, in reverse order, after the children have closed and before `close` is told.
   * A disposal that throws or rejects does not keep the others from theirs; it is reported as a fault.
   */
  own<T extends Owned>(owned: T): T {
    // Nothing waits for a disposal that comes too late, but its failure is heard all the same.
    if (this.#phase === 'closed') this.#dispose(owned)?.then(undefined, (error: unknown) => this.fault(error))
    else if (this.#owned === undefined) this.#owned = [owned]
    else this.#owned.push(owned)
    return owned
  }

  /** Takes an owned thing back; it will not be disposed of. */
  disown(owned: Owned): void {
    const index = this.#owned?.lastIndexOf(owned) ?? -1
    if (index >= 0) this.#owned?.splice(index, 1)
  }

  /** For `await using`: closes, and waits for it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Makes `child` a part of this lifetime; it leaves the parent it had. */
  protected adopt(child: Lifetime): void {
    if (child.#parent === this || child.#phase === 'closed') return
    const former = child.#parent
    if (former !== undefined) former.#remove(child)
    child.#parent = this
    child.#next = this.#first
    if (this.#first !== undefined) this.#first.#previous = child
    this.#first = child
    this.#size++
    // Whoever joins a life that is ending shares its end.
    if (this.#aborted) child.abort(this.#error)
    else if (this.#over || this.#overWhenEmpty) child.#drain()
    if (former !== undefined) former.#settle()
  }

  /** Moves from opening to open; false, and without effect, if an end came first. */
  protected opened(): boolean {
    if (!this.#enter('open')) return false
    this.#parent?.onChildOpen(this)
    return true
  }

  /** Says that the work is over: the children are closed, and when they are, so is this. */
  protected finish(error?: XpsError): void {
    if (this.#over) return
    this.#over = true
    this.#error = error
    this.#enter('draining')
    this.hold()
    if (this.#size > 0) for (const child of this.children()) child.#drain()
    this.release()
  }

  /** Closes the children; the work is over when the last of them has closed. */
  protected finishWithChildren(): void {
    this.#overWhenEmpty = true
    this.#enter('draining')
    this.hold()
    for (const child of this.children()) child.#drain()
    this.release()
  }

  /** Puts the closing off until {@link release} is called as often; for an end that is only told later, as a socket's. */
  protected hold(): void {
    this.#holds++
  }

  protected release(): void {
    this.#holds--
    this.#settle()
  }

  /** Reports an error in code of the host (a listener, a disposal) to the nearest lifetime above that takes it. */
  protected fault(error: unknown): void {
    const fault = asXpsError(error, 'XPS_FAULT', 'host code failed')
    for (let owner: Lifetime | undefined = this; owner !== undefined; owner = owner.#parent) {
      if (owner.onFault(fault, this)) return
    }
    process.emitWarning(fault)
  }

  /** The work should come to its end: call {@link finish} when it has. By default there is none but the children's. */
  protected onDrain(): void {
    this.finishWithChildren()
  }

  /** The work ends now: let go of everything. The children are aborted next. */
  protected onAbort(_error: XpsError): void {}

  /** All is over, told once. */
  protected onClosed(_error: XpsError | undefined): void {}

  /** The phase has changed, and nobody knows yet. */
  protected onPhase(_phase: Phase): void {}

  /** A child has opened. */
  protected onChildOpen(_child: Lifetime): void {}

  /** A child has closed and is no longer among the children. */
  protected onChildClosed(_child: Lifetime): void {}

  /** Returns true when it has dealt with a fault of its own or of a descendant. */
  protected onFault(_fault: XpsError, _origin: Lifetime): boolean {
    return false
  }

  /** The only place where the phase changes. */
  #enter(phase: Phase): boolean {
    if (!mayMove(this.#phase, phase)) return false
    this.#phase = phase
    this.onPhase(phase)
    return true
  }

  #drain(): void {
    if (!this.#enter('draining')) return
    try {
      this.onDrain()
    } catch (error) {
      this.abort(error)
    }
  }

  /** Closes if nothing is left to wait for: no work, no child, no hold, and nothing owned. */
  #settle(): void {
    // A disposal may do anything, also to this lifetime; whatever it changes is seen at the next turn of the loop.
    if (this.#settling) return
    this.#settling = true
    while (this.#size === 0 && this.#holds === 0 && this.#phase !== 'closed') {
      if (!this.#over && !this.#overWhenEmpty) break
      this.#over = true
      const owned = this.#owned?.pop()
      if (owned === undefined) this.#end()
      else this.#waitFor(this.#dispose(owned))
    }
    this.#settling = false
  }

  #end(): void {
    this.#enter('closed')
    const parent = this.#parent
    // The parent first, so that whoever is told finds its numbers as they are now; but it must not end before.
    if (parent !== undefined) {
      parent.#holds++
      parent.#remove(this)
      try {
        parent.onChildClosed(this)
      } catch (error) {
        parent.fault(error)
      }
    }
    try {
      this.onClosed(this.#error)
    } catch (error) {
      this.fault(error)
    }
    this.#tell?.(this.#error)
    parent?.release()
  }

  #waitFor(disposal: PromiseLike<unknown> | undefined): void {
    if (disposal === undefined) return
    this.hold()
    disposal.then(
      () => this.release(),
      (error: unknown) => {
        this.fault(error)
        this.release()
      },
    )
  }

  #dispose(owned: Owned): PromiseLike<unknown> | undefined {
    try {
      const pending = dispose(owned)
      return isPromiseLike(pending) ? pending : undefined
    } catch (error) {
      this.fault(error)
      return undefined
    }
  }

  #remove(child: Lifetime): void {
    if (child.#previous === undefined) this.#first = child.#next
    else child.#previous.#next = child.#next
    if (child.#next !== undefined) child.#next.#previous = child.#previous
    child.#previous = undefined
    child.#next = undefined
    this.#size--
  }
}
