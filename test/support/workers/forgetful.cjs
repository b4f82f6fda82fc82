// @ts-check
/**
 * Takes locks and forgets them. Run with --expose-gc; its environment says where Redis is. Tells the warnings of the process, and when
 * each lock is gone from the server's view.
 */
const halocksmith = require('halocksmith')

/** @type {object[]} */
const warnings = []
process.on('warning', ({ name, message, ...rest }) => warnings.push({ name, message, code: /** @type {any} */ (rest).code }))

async function main() {
  const locksmith = halocksmith.createLocksmith({ url: process.env.REDIS_URL })
  const kept = await locksmith.acquire('kept', { ttlMs: 700 })
  await takeAndForget(locksmith)
  // Each is renewed at least once, and only then watched; the collector runs until nothing but the lease's end is left to wait for.
  const deadline = performance.now() + 8_000
  while (performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    globalThis.gc?.()
    const { held } = await locksmith.query({ prefix: 'forgotten/' })
    if (held.length === 0) break
  }
  const { held } = await locksmith.query()
  process.send?.({ type: 'done', held: held.map(({ name }) => name), warnings, kept: kept.state })
  await locksmith.close()
  process.disconnect()
}

/**
 * In a function of its own, so that no variable of the caller's frame refers to the locks.
 *
 * @param {import('halocksmith').Locksmith} locksmith
 */
async function takeAndForget(locksmith) {
  for (let i = 0; i < 3; i++) await locksmith.acquire(`forgotten/${i}`, { ttlMs: 700 })
  await locksmith.acquire(['forgotten/x', 'forgotten/y'], { ttlMs: 700 })
}

void main()
