import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { EXCLUSIVE, makeMutex, makeSemaphore } from '../../src/primitives/recipe.js'
import { makeClaims, TTL_MS } from '../support/claims.js'
import { refused, turn, unreachable } from '../support/fake-store.js'
import { expectNoTimer } from '../support/timers.js'

let { clock, store, claims, granted, serve } = makeClaims()

beforeEach(() => {
  ;({ clock, store, claims, granted, serve } = makeClaims())
})

/** The names and kinds of the requests that were made while `work` ran. */
async function requestsOf(work: () => unknown): Promise<string[]> {
  const log: string[] = []
  const spies = [
    vi.spyOn(store, 'acquire').mockImplementation(async ({ name }) => {
      log.push(`acquire ${name}`)
      return granted()
    }),
    vi.spyOn(store, 'release').mockImplementation(async (name) => {
      log.push(`release ${name}`)
      return { status: 'released' }
    }),
  ]
  await work()
  for (const spy of spies) spy.mockRestore()
  return log
}

describe('a claim', () => {
  test('begins to listen before it asks, once for all', async () => {
    const listen = vi.spyOn(store, 'listen')
    serve()
    await Promise.all([claims.acquire(['a'], EXCLUSIVE, {}), claims.acquire(['b'], EXCLUSIVE, {})])
    await claims.acquire(['c'], EXCLUSIVE, {})
    expect(listen).toHaveBeenCalledTimes(1)
    expect(store.session).toMatch(/^[\w-]{22}$/)
  })

  test('listens again at the next attempt when that failed', async () => {
    const listen = vi.spyOn(store, 'listen').mockRejectedValueOnce(unreachable())
    serve()
    await expect(claims.tryAcquire(['a'], EXCLUSIVE, {})).rejects.toMatchObject({ code: 'LOCK_UNAVAILABLE' })
    await claims.tryAcquire(['a'], EXCLUSIVE, {})
    expect(listen).toHaveBeenCalledTimes(2)
  })

  test('asks for no longer a lease than it may be held', async () => {
    void claims.acquire(['a'], EXCLUSIVE, { maxHoldMs: 500 })
    await turn()
    expect(store.take('acquire').args[0].ttlMs).toBe(500)
  })

  test('has its metadata told', async () => {
    void claims.acquire(['a'], EXCLUSIVE, { metadata: { job: 'x' } })
    await turn()
    expect(store.take('acquire').args[0].info).toBe('["h",1,null,{"job":"x"}]')
  })

  test('on a busy lock says for how long it waited, or is null', async () => {
    store.answer('acquire', () => ({ status: 'busy' }))
    await expect(claims.acquire(['a'], EXCLUSIVE, { waitMs: 0 })).rejects.toMatchObject({
      code: 'LOCK_TIMEOUT',
      key: 'a',
      message: 'the lock "a" was busy for 0 ms',
    })
    await expect(claims.tryAcquire(['a'], EXCLUSIVE, { waitMs: 5_000 })).resolves.toBeNull()
  })

  test('that was granted is told of, with the time that it waited', async () => {
    const messages: unknown[] = []
    const listener = (message: unknown) => messages.push(message)
    subscribe('halocksmith:granted', listener)
    void claims.acquire(['a'], EXCLUSIVE, {})
    await turn()
    await clock.advance(40)
    await store.take('acquire').reply(granted())
    unsubscribe('halocksmith:granted', listener)
    expect(messages).toEqual([{ name: 'a', id: `${store.session}.1`, fencingToken: 7, waitedMs: 40 }])
  })
})

describe('using', () => {
  beforeEach(() => serve())

  test('gives the lock, the result, and lets go', async () => {
    const log = await requestsOf(async () => {
      await expect(claims.using(['a'], EXCLUSIVE, undefined, async (lock) => lock.name)).resolves.toBe('a')
      await expect(claims.using(['a'], EXCLUSIVE, undefined, () => 5)).resolves.toBe(5)
    })
    expect(log).toEqual(['acquire a', 'release a', 'acquire a', 'release a'])
  })

  test('of something that is no function is refused before any request', async () => {
    const log = await requestsOf(async () => {
      await expect(claims.using(['a'], EXCLUSIVE, undefined, undefined as never)).rejects.toMatchObject({
        code: 'LOCK_OPTION',
        option: 'fn',
      })
      await expect(makeMutex(claims, 'a', EXCLUSIVE).using({} as never)).rejects.toMatchObject({ code: 'LOCK_OPTION', option: 'fn' })
    })
    expect(log).toEqual([])
  })

  const frozen = Object.freeze(new Error('frozen'))
  const sealed = Object.defineProperty(new Error('sealed'), 'releaseError', { value: 'theirs', configurable: false })
  const hostile = new Proxy(new Error('hostile'), {
    isExtensible: () => {
      throw new Error('masked')
    },
    defineProperty: () => {
      throw new Error('masked')
    },
  })

  test.each([new Error('x'), 'text', undefined, null, 5, Symbol.for('s'), () => 5, frozen, sealed, hostile])(
    'lets out what the function throws, whatever becomes of the release: %#',
    async (thrown) => {
      vi.spyOn(store, 'release').mockRejectedValue(refused())
      const fail = () => {
        throw thrown
      }
      const outcome = await claims.using(['a'], EXCLUSIVE, undefined, fail).then(
        () => 'resolved',
        (error) => ({ error }),
      )
      expect((outcome as { error: unknown }).error === thrown).toBe(true)
    },
  )

  test('puts the problem of the release beside the error', async () => {
    vi.spyOn(store, 'release').mockRejectedValue(refused())
    const thrown = new Error('x')
    await expect(claims.using(['a'], EXCLUSIVE, undefined, () => Promise.reject(thrown))).rejects.toBe(thrown)
    expect(thrown).toMatchObject({ releaseError: { code: 'LOCK_UNAVAILABLE', key: 'a' } })
    expect(Object.keys(thrown)).toEqual([])
  })

  test('puts a loss beside the error', async () => {
    store.answer('release', () => ({ status: 'absent' }))
    const thrown: { releaseError?: unknown } = {}
    await expect(claims.using(['a'], EXCLUSIVE, undefined, () => Promise.reject(thrown))).rejects.toBe(thrown)
    expect(thrown.releaseError).toMatchObject({ code: 'LOCK_LOST', key: 'a' })
  })

  test('puts nothing beside it when the release went well, or was made inside', async () => {
    const thrown = new Error('x')
    await expect(
      claims.using(['a'], EXCLUSIVE, undefined, async (lock) => {
        await lock.release()
        throw thrown
      }),
    ).rejects.toBe(thrown)
    expect(thrown).not.toHaveProperty('releaseError')
  })

  test('gives the result although the release has a problem, and warns', async () => {
    const warnings: unknown[] = []
    const listener = (message: unknown) => warnings.push(message)
    subscribe('halocksmith:warning', listener)
    store.answer('release', () => ({ status: 'absent' }))
    await expect(claims.using(['a'], EXCLUSIVE, undefined, () => 5)).resolves.toBe(5)
    unsubscribe('halocksmith:warning', listener)
    expect(warnings).toEqual([{ name: 'a', code: 'LOCK_LOST', message: 'the lock "a" had been lost when it was released' }])
  })
})

describe('several names', () => {
  test('are asked for in one order, each once, and let go the last first', async () => {
    const log = await requestsOf(async () => {
      const lock = await claims.acquire(['b', 'a', 'b'], EXCLUSIVE, {})
      expect(lock.names).toEqual(['a', 'b'])
      await lock.release()
    })
    expect(log).toEqual(['acquire a', 'acquire b', 'release b', 'release a'])
  })

  test('are given back when a later one is busy', async () => {
    const acquiring = claims.tryAcquire(['a', 'b', 'c'], EXCLUSIVE, {})
    await turn()
    await store.take('acquire').reply(granted())
    await store.take('acquire').reply({ status: 'busy' })
    const release = store.take('release')
    expect(release.args[0]).toBe('a')
    await release.reply({ status: 'released' })
    await expect(acquiring).resolves.toBeNull()
    await expectNoTimer(clock)
    expect(store.open).toEqual([])
  })

  test('are given back at once, however long they were to be held at the least', async () => {
    const acquiring = claims.tryAcquire(['a', 'b'], EXCLUSIVE, { minHoldMs: 10_000 })
    await turn()
    await store.take('acquire').reply(granted())
    await store.take('acquire').reply({ status: 'busy' })
    const release = store.take('release')
    expect(release.args).toEqual(['a', expect.any(String), undefined])
    await release.reply({ status: 'released' })
    await expect(acquiring).resolves.toBeNull()
  })

  test('are given back when a later one fails', async () => {
    const acquiring = expect(claims.acquire(['a', 'b'], EXCLUSIVE, {})).rejects.toMatchObject({ code: 'LOCK_CONFLICT', key: 'b' })
    await turn()
    await store.take('acquire').reply(granted())
    await store.take('acquire').reply({ status: 'conflict', limit: 3 })
    await store.take('release').reply({ status: 'released' })
    await acquiring
  })

  test('share one wait', async () => {
    const acquiring = expect(claims.acquire(['a', 'b'], EXCLUSIVE, { waitMs: 1_000 })).rejects.toMatchObject({
      code: 'LOCK_TIMEOUT',
      key: 'a, b',
    })
    await turn()
    const waiting = { status: 'waiting' as const, ticket: 1, nextEndMs: clock.now() + TTL_MS }
    await store.take('acquire').reply(waiting)
    await clock.advance(700)
    store.listener?.granted(`${store.session}.1`, { fencingToken: 8, validUntilMs: clock.now() + 5_000 })
    await turn()
    await store.take('acquire').reply(waiting)
    store.answer('renew', () => ({ status: 'held', validUntilMs: clock.now() + TTL_MS }))
    store.answer('release', () => ({ status: 'released' }))
    await clock.advance(300)
    await acquiring
  })

  test('leave the queue when the signal aborts, and what was granted is given back', async () => {
    const controller = new AbortController()
    const acquiring = expect(claims.acquire(['a', 'b'], EXCLUSIVE, { signal: controller.signal })).rejects.toBe('reason')
    await turn()
    await store.take('acquire').reply(granted())
    await store.take('acquire').reply({ status: 'waiting', ticket: 1, nextEndMs: clock.now() + TTL_MS })
    controller.abort('reason')
    await turn()
    const releases = [store.take('release'), store.take('release')]
    expect(releases.map(({ args }) => args[0]).sort()).toEqual(['a', 'b'])
    for (const release of releases) await release.reply({ status: 'released' })
    await acquiring
    await expectNoTimer(clock)
  })
})

describe('what is heard', () => {
  test('a grant that comes twice is no news', async () => {
    const acquiring = claims.acquire(['a'], EXCLUSIVE, {})
    await turn()
    await store.take('acquire').reply({ status: 'waiting', ticket: 1, nextEndMs: clock.now() + TTL_MS })
    const grant = { fencingToken: 8, validUntilMs: clock.now() + 5_000 }
    store.listener?.granted(`${store.session}.1`, grant)
    const lock = await acquiring
    store.listener?.granted(`${store.session}.1`, grant)
    expect([lock.state, store.open]).toEqual(['held', []])
  })

  test('a hint about a held lock is asked about', async () => {
    store.answer('acquire', granted)
    const lock = await claims.acquire(['a'], EXCLUSIVE, {})
    store.listener?.changed(`${store.session}.1`)
    await store.take('renew').reply({ status: 'lost' })
    expect(lock.state).toBe('lost')
  })

  test('a warning is published and emitted', async () => {
    const emitted = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    serve()
    await claims.acquire(['a'], EXCLUSIVE, {})
    store.listener?.warning('EVICTION', 'may evict')
    expect(emitted).toHaveBeenCalledWith('may evict', { type: 'HalocksmithWarning', code: 'HALOCKSMITH_EVICTION' })
    emitted.mockRestore()
  })

  test('a lost connection is why a wait failed', async () => {
    const acquiring = expect(claims.acquire(['a'], EXCLUSIVE, { waitMs: 100 })).rejects.toMatchObject({ code: 'LOCK_UNAVAILABLE' })
    await turn()
    await store.take('acquire').reply({ status: 'waiting', ticket: 1, nextEndMs: clock.now() + TTL_MS })
    store.listener?.disconnected(new Error('reset'))
    await clock.advance(100)
    await acquiring
  })
})

test('recipes take their own options first, and change neither', async () => {
  const defaults = Object.freeze({ ttlMs: 1_000, priority: 3 })
  const own = Object.freeze({ priority: 5, permits: 2 })
  void makeSemaphore(claims, 'a', 5, defaults).acquire(own)
  await turn()
  expect(store.take('acquire').args[0]).toMatchObject({ mode: 'counted', permits: 2, limit: 5, ttlMs: 1_000, priority: 5 })
})
