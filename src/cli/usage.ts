import { isXpsError } from '../index.ts'

/** A mistake in what was typed: one line, and exit code 2. */
export class UsageError extends Error {}

/** Runs what refuses options that cannot be; such a refusal is a mistake in what was typed. */
export function usage<T>(make: () => T): T {
  try {
    return make()
  } catch (error) {
    if (isXpsError(error, 'XPS_INVALID_OPTION')) throw new UsageError(error.message)
    throw error
  }
}

/** What is told behind a mistake, if it is known what was meant. */
export function meant(text: string | undefined): string {
  return text === undefined ? '' : `: did you mean ${text}?`
}
