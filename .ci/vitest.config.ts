import { defineConfig } from 'vitest/config'

// Run from the root of the repository: `vitest run --config .ci/vitest.config.ts --root .`
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    reporters: ['default'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
    // Files share a process, since starting one and loading everything in it is a third of the time; the tests clean up.
    isolate: false,
    // Errors that nobody caught and runs without tests are failures, and are said here because we rely on it.
    dangerouslyIgnoreUnhandledErrors: false,
    passWithNoTests: false,
    // Used only with `--coverage`.
    coverage: {
      provider: 'v8',
      include: ['src/**'],
      reporter: ['text-summary'],
      thresholds: { lines: 95 },
    },
  },
})
