import type { Clock } from '../clock.ts'
import type { XpsError } from '../errors.ts'
import type { ByteString } from './codec/byte-string.ts'
import type { Lifetimes } from './container.ts'
import type { StateLimits } from './limits.ts'

/** How shared sessions are kept. */
export interface TableRules {
  readonly limits: StateLimits
  readonly lifetimes: Lifetimes
  readonly lockTimeout: number
  readonly lease: number
  readonly maxWaiters: number
  readonly grace: number
  readonly strict: boolean
  readonly clock: Clock
  /** Milliseconds since 1970. */
  readonly time: () => number
}

/** Whom a table tells what happened, and who waits for what it has begun. */
export interface TableOwner {
  readonly running: boolean
  tell(event: 'committed' | 'destroyed' | 'expired', id: string): void
  regenerated(id: string, before: string): void
  failed(error: XpsError): void
  /** Is not to close before this is over. */
  waitFor(work: Promise<unknown>): void
}

/** Something that may take its time, and that may be called off meanwhile. */
export interface Call {
  cancel?: (() => void) | undefined
}

/** Keys and what becomes of them; undefined for those that go. */
export type Entries = readonly (readonly [ByteString, ByteString | undefined])[]

/** What {@link SessionTable.patch} does besides. */
export interface PatchRules {
  readonly create?: boolean | undefined
  readonly version?: string | undefined
  readonly idle?: number | undefined
  readonly wait?: number | undefined
}
