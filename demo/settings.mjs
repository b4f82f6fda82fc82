// @ts-check
/** What the person who starts the demo may choose. */

/**
 * @typedef {object} Settings
 * @property {number} increments how often each worker adds one
 * @property {boolean} memory use the memory store, and look for no Redis
 * @property {string | undefined} url the Redis to use; default: one that is started for the demo
 */

const USAGE = `npm run demo [-- --memory]

  --memory                      no Redis, all in one process (also: DEMO_STORE=memory)
  REDIS_URL=redis://host:port   use that Redis instead of starting one
  DEMO_INCREMENTS=50            how often each worker adds one`

/**
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env
 * @returns {Settings}
 * @throws Error when something can't be understood; the message is for people
 */
export function readSettings(args, env) {
  const unknown = args.find((arg) => arg !== '--memory')
  if (unknown !== undefined) throw new Error(`${unknown} is not an option of the demo\n\n${USAGE}`)
  const store = env.DEMO_STORE || undefined
  if (store !== undefined && store !== 'memory') throw new Error(`DEMO_STORE can only be "memory", not "${store}"`)
  const increments = Number(env.DEMO_INCREMENTS || 50)
  if (!Number.isInteger(increments) || increments < 2 || increments > 9_999) {
    throw new Error(`DEMO_INCREMENTS must be a whole number from 2 to 9999, not "${env.DEMO_INCREMENTS}"`)
  }
  return { increments, memory: args.length > 0 || store === 'memory', url: env.REDIS_URL || undefined }
}
