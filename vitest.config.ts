// How the tests run: two workers, because the machines have two cores; long limits, because programs run under an interpreter.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/breathe.ts'],
    pool: 'forks',
    poolOptions: { forks: { minForks: 1, maxForks: 2 } },
    testTimeout: 60_000,
    maxConcurrency: 2,
    hookTimeout: 120_000,
    // vitest 3's default reporter hides passing tests of a file; a line a file is what a log needs.
    reporters: ['default'],
  },
});
