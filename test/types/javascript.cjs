const halocksmith = require('halocksmith')
const lock = halocksmith({ timeout: 120 })

lock('key', (err, release) => {
  if (err) return console.error(err)
  release?.()
})

/** @type {import('halocksmith').HeldLock | undefined} */
let held
halocksmith
  .createLocksmith()
  .acquire('key')
  .then((lock) => {
    held = lock
    console.log(held.fencingToken.toFixed())
  })

// @ts-expect-error keys are text
lock(1)
