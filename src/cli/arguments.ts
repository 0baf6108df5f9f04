import { type ParseArgsConfig, parseArgs } from 'node:util'
import { nearest } from './nearest.ts'
import { meant, UsageError } from './usage.ts'

type Parsed<T extends ParseArgsConfig> = ReturnType<typeof parseArgs<T>>

/**
 * Reads arguments, strictly. Throws a {@link UsageError} of one line for one that is not among the options; it names the option
 * that was most likely meant.
 */
export function parsed<T extends ParseArgsConfig>(config: T): Parsed<T> {
  try {
    return parseArgs(config)
  } catch (error) {
    // Node's message goes on with advice about '--' that does not help here.
    const message = (error as Error).message.split(/\.\s/)[0] ?? 'bad arguments'
    const [, given] = /^Unknown option '(.+)'$/.exec(message) ?? []
    if (given === undefined) throw new UsageError(message)
    throw new UsageError(unknown(given, config.args ?? [], Object.keys(config.options ?? {})))
  }
}

/** Node reads `-port` as several options of one letter each. */
function unknown(given: string, args: readonly string[], known: readonly string[]): string {
  const typed = given.startsWith('--') ? given : (args.find((arg) => arg.startsWith(given)) ?? given)
  const [, name = ''] = /^-+([^=]*)/.exec(typed) ?? []
  const found = nearest(name, known)
  return `Unknown option '${typed}'${meant(found === undefined ? undefined : `--${found}`)}`
}

/** A time of an option, from `least` to `most`; undefined if it was not given. */
export function milliseconds(
  option: string,
  text: string | undefined,
  least: number,
  most: number,
): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < least || value > most) {
    throw new UsageError(`${option} must be milliseconds from ${least} to ${most}, got '${text}'`)
  }
  return value
}
