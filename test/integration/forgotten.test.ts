import { expect, test } from 'vitest'
import { useLocksmiths } from '../support/locksmiths.js'
import { useWorkers } from '../support/processes.js'
import { useRedis } from '../support/redis.js'

const redis = useRedis()
const spawnWorker = useWorkers()
const makeLocksmith = useLocksmiths(redis)

test('a held lock that was dropped without release is renewed no more, and the process is warned once', async () => {
  const worker = spawnWorker('forgetful.cjs', {}, { execArgv: ['--expose-gc'], env: { REDIS_URL: redis.url } })
  const { held, warnings, kept } = await worker.next('done')
  expect(held).toEqual(['kept'])
  expect(kept).toBe('held')
  expect(warnings).toEqual([
    {
      name: 'HalocksmithWarning',
      code: 'HALOCKSMITH_FORGOTTEN',
      message: expect.stringMatching(/^the held lock "forgotten\/." was dropped without release\(\); it is not renewed any more/),
    },
  ])
  expect(await worker.exited).toEqual({ code: 0, signal: null })
  const names = ['kept', 'forgotten/0', 'forgotten/1', 'forgotten/2', 'forgotten/x', 'forgotten/y']
  expect(await makeLocksmith().tryAcquire(names)).not.toBeNull()
})
