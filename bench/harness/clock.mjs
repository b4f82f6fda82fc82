// @ts-check

/**
 * Milliseconds of the one clock that all processes of a host share, which `performance.now()` is not: it begins anew in each process.
 *
 * @returns {number}
 */
export function sharedNowMs() {
  return Number(process.hrtime.bigint()) / 1e6
}
