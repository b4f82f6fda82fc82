/** Listening to the caller's signals: one listener per signal however many wait on it, for Node warns of an eleventh. */

const waiting = new WeakMap<AbortSignal, Set<() => void>>()

/** Calls `abort` once when the signal aborts. The function that is returned takes it back; harmless afterwards. */
export function whenAborted(signal: AbortSignal, abort: () => void): () => void {
  const present = waiting.get(signal)
  if (present !== undefined) present.add(abort)
  else listen(signal, abort)
  return () => {
    const calls = waiting.get(signal)
    if (!calls?.delete(abort) || calls.size > 0) return
    waiting.delete(signal)
    signal.removeEventListener('abort', onAbort)
  }
}

function listen(signal: AbortSignal, abort: () => void): void {
  waiting.set(signal, new Set([abort]))
  signal.addEventListener('abort', onAbort, { once: true })
}

function onAbort(this: AbortSignal): void {
  const calls = waiting.get(this)
  waiting.delete(this)
  for (const call of calls ?? []) call()
}
