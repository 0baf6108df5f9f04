import { type ParseArgsConfig, parseArgs } from 'node:util'
import { UsageError } from './usage.ts'

type Parsed<T extends ParseArgsConfig> = ReturnType<typeof parseArgs<T>>

/** Reads arguments, strictly. Throws a {@link UsageError} of one line for one that is not among the options. */
export function parsed<T extends ParseArgsConfig>(config: T): Parsed<T> {
  try {
    return parseArgs(config)
  } catch (error) {
    // Node's message goes on with advice about '--' that does not help here.
    throw new UsageError((error as Error).message.split(/\.\s/)[0] ?? 'bad arguments')
  }
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
