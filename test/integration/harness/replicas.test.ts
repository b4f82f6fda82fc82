import { describe, expect, test } from 'vitest'
import { useReplicaSet } from '../../support/replicas.js'

describe('with sentinels', () => {
  const servers = useReplicaSet({ replicas: 2, sentinels: 3 })

  test('an operator has them fail over, and the old primary stays writable for a while', async () => {
    const before = await servers.set.primary()
    await before.command('SET', 'k', '1')
    const next = await servers.set.failover()
    expect(next).not.toBe(before)
    expect(await next.command('SET', 'k', '2')).toBe('OK')
    expect(await before.command('SET', 'k', '3')).toBe('OK')
  })

  test('a primary that is killed is replaced, and everything is whole and empty before the next test', async () => {
    const before = await servers.set.primary()
    await before.command('SET', 'k', '1')
    await before.kill()
    const next = await servers.set.whenPromoted(before)
    expect(await next.command('ROLE')).toContain('master')
    await servers.set.heal()
    expect(await servers.set.replicas()).toHaveLength(2)
    expect(await (await servers.set.primary()).command('DBSIZE')).toBe(0)
  })
})

describe('without sentinels', () => {
  const servers = useReplicaSet({ replicas: 2, password: 'secret' })

  test('an operator promotes a replica', async () => {
    const before = await servers.set.primary()
    const [next] = await servers.set.replicas()
    await servers.set.promote(next as NonNullable<typeof next>)
    await servers.set.whenLinked()
    expect(await servers.set.primary()).toBe(next)
    expect(await before.command('ROLE')).toContain('slave')
  })
})
