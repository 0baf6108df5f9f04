import type { XpsError } from '../../src/errors.ts'
import { Lifetime, type Phase } from '../../src/lifetime/lifetime.ts'

/** What a kind of lifetime does when it is told to; everything else is the base's. */
export interface ThingVerbs {
  drain?: (thing: Thing) => void
  abort?: (error: XpsError, thing: Thing) => void
  closed?: (thing: Thing) => void
  childClosed?: (child: Lifetime, thing: Thing) => void
  /** Whether it deals with faults. @default false */
  takesFaults?: boolean
}

/**
 * The plainest kind of lifetime. Its verbs are in the test's hands, and what it is told goes into a log, which things
 * may share.
 */
export class Thing extends Lifetime {
  readonly name: string
  readonly log: string[]
  readonly faults: XpsError[] = []
  readonly phases: Phase[] = []
  /** How often its end was told. */
  ends = 0
  readonly #verbs: ThingVerbs

  constructor(name: string, verbs: ThingVerbs = {}, log: string[] = []) {
    super()
    this.name = name
    this.log = log
    this.#verbs = verbs
  }

  open(): boolean {
    return this.opened()
  }

  take(child: Lifetime): void {
    this.adopt(child)
  }

  done(error?: XpsError): void {
    this.finish(error)
  }

  doneWithChildren(): void {
    this.finishWithChildren()
  }

  wait(): void {
    this.hold()
  }

  go(): void {
    this.release()
  }

  complain(error: unknown): void {
    this.fault(error)
  }

  protected override onPhase(phase: Phase): void {
    this.phases.push(phase)
  }

  protected override onDrain(): void {
    if (this.#verbs.drain === undefined) super.onDrain()
    else this.#verbs.drain(this)
  }

  protected override onAbort(error: XpsError): void {
    this.log.push(`${this.name} aborts`)
    this.#verbs.abort?.(error, this)
  }

  protected override onClosed(error: XpsError | undefined): void {
    this.ends++
    this.log.push(`${this.name} closed${error === undefined ? '' : ` ${error.code}`}`)
    this.#verbs.closed?.(this)
  }

  protected override onChildOpen(child: Lifetime): void {
    this.log.push(`${this.name} sees ${(child as Thing).name} open`)
  }

  protected override onChildClosed(child: Lifetime): void {
    this.log.push(`${this.name} sees ${(child as Thing).name} close`)
    this.#verbs.childClosed?.(child, this)
  }

  protected override onFault(fault: XpsError): boolean {
    if (this.#verbs.takesFaults !== true) return false
    this.faults.push(fault)
    // An end that is told again and again is to fail a test, not to hang it.
    if (this.faults.length > 100) throw fault
    return true
  }
}

/** A drain that takes until the test says `done()`. */
export const busy: ThingVerbs = { drain: () => {} }
