import type { Core } from '../index.ts'

/** Closes a core and says how it goes; a further signal ends what is left. Resolves to the exit code. */
export async function drain(core: Core, deadline: number, again: Promise<void>): Promise<number> {
  let aborted = false
  void again.then(() => {
    aborted = true
    console.log(`aborting: ${sessions(core.sessions.length)} cut off`)
    core.abort()
  })
  let left = core.sessions.length
  if (left > 0) console.log(`draining: ${sessions(left)} left, for at most ${deadline} ms`)
  const progress = setInterval(() => {
    const now = core.sessions.length
    if (now !== left && !aborted) console.log(`draining: ${sessions(now)} left`)
    left = now
  }, 500)
  const error = await core.close({ deadline })
  clearInterval(progress)
  if (aborted) return 1
  if (error === undefined) {
    console.log('done')
    return 0
  }
  console.log(`not all finished: ${error.message}`)
  return 0
}

function sessions(count: number): string {
  return count === 1 ? '1 session' : `${count} sessions`
}
