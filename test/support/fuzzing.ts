import type fc from 'fast-check'

/** How long to go on: so many runs, or as many seconds as `XPS_FUZZ_SECONDS` says. */
export function fuzzing(runs: number): { parameters: fc.Parameters<unknown>; timeout: number; seed: number } {
  const seconds = Number(process.env['XPS_FUZZ_SECONDS'] ?? 0)
  const seed = Number(process.env['SEED'] ?? Date.now() & 0xffffff)
  const parameters: fc.Parameters<unknown> =
    seconds > 0
      ? {
          seed,
          numRuns: Number.MAX_SAFE_INTEGER,
          interruptAfterTimeLimit: seconds * 1_000,
          markInterruptAsFailure: false,
        }
      : { seed, numRuns: runs }
  return { parameters, timeout: 60_000 + seconds * 2_000, seed }
}
