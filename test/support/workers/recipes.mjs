// @ts-check
/** The kinds of locks that a test can name. */

/**
 * @typedef {object} Recipe
 * @property {'mutex' | 'semaphore' | 'read' | 'write'} kind
 * @property {number} [limit] of a semaphore
 * @property {number} [permits] that a claim on a semaphore asks for; default 1
 */

/**
 * What `name` is acquired from. Without a recipe it is the locksmith itself, which also takes several names.
 *
 * @param {any} locksmith
 * @param {string | string[]} name
 * @param {Recipe} [recipe]
 * @returns {{ acquire(options: object): Promise<any>, tryAcquire(options: object): Promise<any> }}
 */
export function recipeFor(locksmith, name, recipe) {
  switch (recipe?.kind) {
    case 'mutex':
      return locksmith.mutex(name)
    case 'semaphore':
      return locksmith.semaphore(name, recipe.limit)
    case 'read':
      return locksmith.readWriteLock(name).read
    case 'write':
      return locksmith.readWriteLock(name).write
    default:
      return {
        acquire: (options) => locksmith.acquire(name, options),
        tryAcquire: (options) => locksmith.tryAcquire(name, options),
      }
  }
}

/**
 * @param {ReturnType<typeof recipeFor>} lock
 * @param {'acquire' | 'tryAcquire'} method
 * @param {Recipe | undefined} recipe
 * @param {object} options
 */
export function acquireFrom(lock, method, recipe, options) {
  return lock[method](recipe?.permits === undefined ? options : { ...options, permits: recipe.permits })
}

/**
 * What the witness is told of a claim.
 *
 * @param {Recipe | undefined} recipe
 */
export function weightOf(recipe) {
  const exclusive = recipe?.kind !== 'semaphore' && recipe?.kind !== 'read'
  return { exclusive, permits: recipe?.permits ?? 1 }
}
