/** ⌊n/2⌋ + 1: more than half of so many. Any two majorities of the same have a member in common. */
export function majorityOf(count: number): number {
  return Math.floor(count / 2) + 1
}
