/**
 * The processor time, in milliseconds, that some work takes which nobody else shares the process with: unlike the time
 * on the wall it is the same on a busy machine.
 */
export function busy(work: () => void): number {
  const start = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1_000
}
