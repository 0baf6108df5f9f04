import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Those that start programs take longest, whatever their size says: they come first, so that none is alone at the end. */
const long = /\/test\/(examples|docs|cli\/|package\/|peers\/|state\/stores\/|http\/e2e\/clients|core\/chaos)/

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const isLong = ({ moduleId }: TestSpecification): boolean => long.test(moduleId)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

// Run from the root of the repository: `vitest run --config .ci/vitest.config.ts --root .`
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    reporters: ['default'],
    // What a machine may need that is busy with other things, and not what a test takes.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // One more than the processors of most machines of a CI: there is always one that waits.
    maxWorkers: 3,
    // Files share a process, since starting one and loading everything in it is a third of the time; the tests clean up.
    isolate: false,
    sequence: { sequencer: LongestFirst },
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
