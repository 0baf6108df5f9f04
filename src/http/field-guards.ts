import type { Fields } from './fields.ts'
import { Slot } from './slots.ts'
import type { Transaction } from './transaction.ts'

/** Takes away what nobody but its owner may say, of fields that are about to be passed on. */
export type FieldGuard = (fields: Fields, of: 'request' | 'response') => void

const slot = new Slot<readonly FieldGuard[]>('guards of fields')

/** Has a guard look at fields that no hook sees: trailers, and the heads of interim responses. For hooks before the request is sent. */
export function guardUnseen(transaction: Transaction, guard: FieldGuard): void {
  const before = transaction.get(slot)
  if (before === undefined) transaction.set(slot, [guard])
  else if (!before.includes(guard)) transaction.set(slot, [...before, guard])
}

/** Has them looked at. */
export function withoutGuarded(transaction: Transaction, fields: Fields, of: 'request' | 'response'): Fields {
  for (const guard of transaction.get(slot) ?? []) guard(fields, of)
  return fields
}
