#!/usr/bin/env node
import { createRequire } from 'node:module'
import { isXpsError } from '../index.ts'
import { help } from './help.ts'
import { nearest } from './nearest.ts'
import { serve } from './serve.ts'
import { state } from './state.ts'
import { meant, UsageError } from './usage.ts'

/** Runs one command and resolves to the exit code. */
async function main(args: string[]): Promise<number> {
  const [command, ...rest] = args
  if (command === undefined || command === 'help' || args.includes('--help') || args.includes('-h')) {
    console.log(help(command))
    return command === undefined ? 2 : 0
  }
  if (command === '--version' || command === '-v') {
    console.log(createRequire(import.meta.url)('xps/package.json').version)
    return 0
  }
  if (command === 'serve') return serve(rest)
  if (command === 'state') return state(rest)
  throw new UsageError(`unknown command '${command}'${meant(nearest(command, ['serve', 'state', 'help']))}`)
}

/** Where there is help about a command. */
function helpOf(command: string | undefined): string {
  return command === 'serve' || command === 'state' ? `xps ${command} --help` : 'xps --help'
}

// Whoever reads what we print may stop to, which is no reason to stop serving.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    if (error instanceof UsageError) console.error(`xps: ${error.message} (${helpOf(process.argv[2])} says more)`)
    else if (isXpsError(error)) console.error(`xps: ${error.message}`)
    else console.error(error)
    process.exit(error instanceof UsageError ? 2 : 1)
  },
)
