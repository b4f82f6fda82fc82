/** One case of a conformance suite, for whatever test runner there is: `test(one.name, () => one.run())`. */
export interface ConformanceCase {
  /** A sentence that says what holds. */
  readonly name: string
  /** Why it can't be run on what is tested; tell it, and don't call `run`. */
  readonly skip?: string
  /** Resolves when it does hold; rejects with an AssertionError when it does not. */
  run(): Promise<void>
}
