import { createRequire } from 'node:module'
import { isXpsError } from '../index.ts'
import { help } from './help.ts'
import { nearest } from './nearest.ts'
import { serve } from './serve.ts'
import { state } from './state.ts'
import { meant, UsageError } from './usage.ts'

/** Runs one command to its end and resolves to its exit code; a failure is told on standard error. */
export async function command(args: string[]): Promise<number> {
  try {
    return await run(args)
  } catch (error) {
    if (error instanceof UsageError) console.error(`xps: ${error.message} (${helpOf(args[0])} says more)`)
    else if (isXpsError(error)) console.error(`xps: ${error.message}`)
    else console.error(error)
    return error instanceof UsageError ? 2 : 1
  }
}

async function run(args: string[]): Promise<number> {
  const [name, ...rest] = args
  if (name === undefined || name === 'help' || args.includes('--help') || args.includes('-h')) {
    console.log(help(name))
    return name === undefined ? 2 : 0
  }
  if (name === '--version' || name === '-v') {
    console.log(createRequire(import.meta.url)('xps/package.json').version)
    return 0
  }
  if (name === 'serve') return serve(rest)
  if (name === 'state') return state(rest)
  throw new UsageError(`unknown command '${name}'${meant(nearest(name, ['serve', 'state', 'help']))}`)
}

/** Where there is help about a command. */
function helpOf(name: string | undefined): string {
  return name === 'serve' || name === 'state' ? `xps ${name} --help` : 'xps --help'
}
