import { bytesOption, integerOption } from '../options.ts'

/** The longest that a session may be unused, or be there, in milliseconds: a hundred years, which every file system can tell. */
export const longestLifetime: number = 100 * 365 * 86_400_000

/** How much shared sessions may hold; amounts are bytes, or text such as `'64 KiB'`. */
export interface StateLimitOptions {
  /** The longest key. @default 1024 */
  maxKeyLength?: number | string
  /** The longest value. @default 1048576 */
  maxValueLength?: number | string
  /** Keys of a shared session. @default 10000 */
  maxKeys?: number
  /** Keys and values of a shared session together. @default 4194304 */
  maxSessionSize?: number | string
}

/** Limits as they hold. */
export interface StateLimits {
  readonly keyLength: number
  readonly valueLength: number
  readonly keys: number
  readonly size: number
}

/** The names of the options, for checks of what is given. */
export const stateLimitNames: readonly string[] = ['maxKeyLength', 'maxValueLength', 'maxKeys', 'maxSessionSize']

/** Reads the options. Throws `XPS_INVALID_OPTION`. */
export function stateLimits(options: StateLimitOptions): StateLimits {
  return {
    keyLength: bytesOption('maxKeyLength', options.maxKeyLength ?? 1024),
    valueLength: bytesOption('maxValueLength', options.maxValueLength ?? 1024 ** 2),
    keys: integerOption('maxKeys', options.maxKeys, 10_000, { min: 1, max: 10_000_000 }),
    size: bytesOption('maxSessionSize', options.maxSessionSize ?? 4 * 1024 ** 2),
  }
}
