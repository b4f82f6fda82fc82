import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/{unit,conformance,integration,faults,model,tidy}/**/*.test.ts'],
    // Makes sure that there is a redis-server.
    globalSetup: './test/support/global-setup.ts',
    // A test file is a process: it can be killed, paused and searched for leaks without touching another.
    pool: 'forks',
    // Most tests wait for something most of the time: more of them at once than there are cores.
    maxWorkers: 5,
    testTimeout: 20_000,
    hookTimeout: 30_000,
    // A test that passes at the second attempt has shown a fault, not passed.
    retry: 0,
    reporters: ['default', './test/support/summary-reporter.ts'],
    coverage: {
      include: ['src/**/*.ts'],
      exclude: ['src/**/*.generated.ts'],
      reporter: ['text', 'html'],
      thresholds: { lines: 90, branches: 85 },
    },
  },
})
