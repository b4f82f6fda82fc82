// @ts-check
/**
 * Takes a lock and lets it go, again and again, and tells of each: `{ type: 'cycle', token }`; of a claim that failed `{ type: 'failed', code }`,
 * and of what an operator is told `{ type: 'warning', code, message }`. Ends when the test is done with it.
 */

import { setTimeout as delay } from 'node:timers/promises'
import { createLocksmith } from 'halocksmith'
import { inMode } from '../mode.mjs'
import { args, send } from './channel.mjs'

process.on('warning', (warning) => {
  const { code, message } = /** @type {Error & { code?: string }} */ (warning)
  if (code?.startsWith('HALOCKSMITH_')) send({ type: 'warning', code, message })
})

const locksmith = createLocksmith(inMode(args.locksmith))
for (;;) {
  try {
    const lock = await locksmith.acquire(args.name, { waitMs: 2_000 })
    send({ type: 'cycle', token: lock.fencingToken })
    await lock.release()
  } catch (error) {
    send({ type: 'failed', code: /** @type {any} */ (error).code })
  }
  await delay(20)
}
