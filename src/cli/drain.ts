import type { Core } from '../index.ts'
import { ProgressLine } from './progress-line.ts'

/** Closes a core and says how it goes; a further signal ends what is left. Resolves to the exit code. */
export async function drain(core: Core, deadline: number, again: Promise<void>): Promise<number> {
  const line = new ProgressLine(process.stdout)
  let aborted = false
  core.on('progress', (left, of) => {
    if (!aborted) line.show(`draining: ${sessions(left)} left of ${of}, for at most ${deadline} ms`)
  })
  void again.then(() => {
    aborted = true
    line.end(`aborting: ${sessions(core.sessions.length)} cut off`)
    core.abort()
  })
  const error = await core.close({ deadline })
  if (aborted) return 1
  line.end(error === undefined ? 'done' : `cut off what was left: ${error.message}`)
  return 0
}

function sessions(count: number): string {
  return count === 1 ? '1 session' : `${count} sessions`
}
