// @ts-check
/** A process that is kept busy by the very section that the lock is for: nothing else of it runs between its entry and the section's end. */

import { createLocksmith } from 'halocksmith'
import { BareRedis } from '../../../scripts/bare-redis.mjs'
import { inMode } from '../mode.mjs'
import { args, describeError, onMessage, send } from './channel.mjs'
import { fencedWrite } from './witness.mjs'

/** @typedef {{ locksmith: object, port: number, name: string, options: object, busyMs: number, resource: string }} BusyArgs */

const { locksmith, port, name, options, busyMs, resource } = /** @type {BusyArgs} */ (args)
const smith = createLocksmith(/** @type {any} */ (inMode(locksmith)))
const resourceServer = await BareRedis.connect({ port })

/** @param {any} lock */
function look(lock) {
  let error
  try {
    lock.assertHeld()
  } catch (reason) {
    error = describeError(reason)
  }
  return { state: lock.state, aborted: lock.signal.aborted, held: error === undefined, error, atNs: process.hrtime.bigint() }
}

onMessage(async ({ type }) => {
  if (type !== 'enter') return
  const lock = await smith.acquire(name, options)
  const end = performance.now() + busyMs
  send({ type: 'entered', fencingToken: lock.fencingToken, atNs: process.hrtime.bigint() })
  while (performance.now() < end);
  // Nothing has run in between: this is what the section finds when it looks before it acts, and when it does not look.
  const looked = look(lock)
  const accepted = await fencedWrite(resourceServer, resource, lock.fencingToken, 'late')
  send({ type: 'acted', looked, accepted })
  onMessage(async (message) => {
    if (message.type === 'look') send({ type: 'looked', looked: look(lock) })
    if (message.type === 'release') send({ type: 'released', outcome: await lock.release() })
  })
})
send({ type: 'ready' })
