import { XpsError } from './errors.ts'

/** The error for an option that cannot be: says its name, what was given and what is allowed. */
export function invalidOption(name: string, given: unknown, allowed: string): XpsError {
  return new XpsError('XPS_INVALID_OPTION', `${name} must be ${allowed}, got ${show(given)}`)
}

/** Returns the given integer if it lies in the range, the default if none was given; throws otherwise. */
export function integerOption(
  name: string,
  given: number | undefined,
  fallback: number,
  range: { min: number; max: number },
): number {
  if (given === undefined) return fallback
  if (!Number.isInteger(given) || given < range.min || given > range.max) {
    throw invalidOption(name, given, `an integer from ${range.min} to ${range.max}`)
  }
  return given
}

/** The longest time that a timer of Node's can wait, in milliseconds (about 24 days). */
export const longestTime: number = 2 ** 31 - 1

/** Returns the given duration in milliseconds, or the default; `0` is refused unless `zero` allows it. */
export function durationOption(name: string, given: number | undefined, fallback: number, zero = false): number {
  return integerOption(name, given, fallback, { min: zero ? 0 : 1, max: longestTime })
}

/** Reads an amount of bytes: a number, or text such as `'64 KB'` or `'1.5 MB'` (1 KB = 1,000 bytes, 1 KiB = 1,024). */
export function bytesOption(name: string, given: number | string): number {
  if (typeof given === 'number') return integerOption(name, given, 0, { min: 1, max: Number.MAX_SAFE_INTEGER })
  const match = /^\s*(\d+(?:\.\d+)?)\s*(B|[KMG]i?B)\s*$/i.exec(given)
  const unit = match?.[2]?.toUpperCase()
  const bytes = match && unit ? Math.round(Number(match[1]) * (units[unit] ?? Number.NaN)) : Number.NaN
  if (!Number.isSafeInteger(bytes) || bytes < 1) throw invalidOption(name, given, `bytes, such as 65536 or '64 KB'`)
  return bytes
}

const units: Record<string, number> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 1024,
  MIB: 1024 ** 2,
  GIB: 1024 ** 3,
}

/** Refuses names that an options object does not have, so that a slip of the pen is not silently ignored. */
export function knownOptions(name: string, given: object, allowed: readonly string[]): void {
  if (typeof given !== 'object' || given === null) throw invalidOption(name, given, 'an object')
  for (const key of Object.keys(given)) {
    if (!allowed.includes(key)) throw invalidOption(name, key, `made of ${allowed.join(', ')}`)
  }
}

function show(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  return String(value)
}
