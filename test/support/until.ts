import { setTimeout as delay } from 'node:timers/promises'

export interface UntilOptions {
  /** What is awaited, for the error: 'the lock is free'. */
  what?: string
  /** Default 5,000. */
  timeoutMs?: number
  /** How often the condition is looked at; default 5. */
  everyMs?: number
}

type Truthy<T> = Exclude<T, false | 0 | '' | null | undefined>

/**
 * Resolves to the condition's value as soon as that is truthy. For what no event tells; a fixed pause proves nothing.
 *
 * @throws Error when it is not within `timeoutMs`, with what was awaited and the last value; whatever the condition throws, at once
 */
export async function until<T>(condition: () => T | Promise<T>, options: UntilOptions = {}): Promise<Truthy<T>> {
  const { what = `${condition}`, timeoutMs = 5_000, everyMs = 5 } = options
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const value = await condition()
    if (value) return value as Truthy<T>
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}; it was ${show(value)} at last`)
    await delay(everyMs)
  }
}

/**
 * Resolves to what `assertion` returns as soon as it does not throw.
 *
 * @throws Error when it throws for longer than `timeoutMs`: the last error is its cause, and its text is in the message
 */
export async function eventually<T>(assertion: () => T | Promise<T>, options: UntilOptions = {}): Promise<T> {
  let lastError: unknown
  const outcome = await until(
    async () => {
      try {
        return { value: await assertion() }
      } catch (error) {
        lastError = error
        return null
      }
    },
    { what: 'no error', ...options },
  ).catch((timeout: Error) => {
    throw new Error(`${timeout.message.split('; it was')[0]}; at last: ${lastError instanceof Error ? lastError.message : lastError}`, {
      cause: lastError,
    })
  })
  return outcome.value
}

function show(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
