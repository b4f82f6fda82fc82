import type { Reporter, SerializedError, TestCase, TestModule, TestSuite } from 'vitest/node'

/**
 * Says at the very end, on a line alone and without colours, `N passed, N failed, N skipped`, and before it why what was skipped was.
 * Whatever makes the run fail counts as failed, be it a file that does not load or an error that no test caught.
 */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()])
    const inState = (state: 'passed' | 'failed' | 'skipped') => tests.filter((test) => test.result().state === state)
    const brokenSuites = modules.flatMap((module) => [module, ...module.children.allSuites()]).filter((suite) => suite.errors().length > 0)
    const failed = inState('failed').length + brokenSuites.length + unhandledErrors.length

    const lines = inState('skipped').map((test) => `skipped: ${test.fullName} (${reason(test)})`)
    process.stdout.write(
      ['', ...lines, `${inState('passed').length} passed, ${failed} failed, ${inState('skipped').length} skipped`, ''].join('\n'),
    )
  }
}

/** The note given to `context.skip(note)`; a suite that is skipped as a whole says why in its name. */
function reason(test: TestCase): string {
  const result = test.result()
  return (result.state === 'skipped' && result.note) || (skippedSuite(test.parent) ? 'with its suite' : 'no reason given')
}

function skippedSuite(parent: TestSuite | TestModule): boolean {
  if (parent.type === 'module') return false
  return parent.options.mode === 'skip' || skippedSuite(parent.parent)
}
