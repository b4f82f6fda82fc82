import { expect, test } from 'vitest'
import { createLocksmith } from '../../src/index.js'
import { useCluster } from '../support/cluster.js'
import { inMode } from '../support/mode.mjs'

const cluster = useCluster()

test('a Cluster is found out from one of its nodes, and from all of them', async () => {
  const addresses = cluster.seeds.map(({ host, port }) => `${host}:${port}`)
  const names = await cluster.namesApart()
  for (const nodes of [addresses, addresses.slice(0, 1), addresses.slice(-1)]) {
    const locksmith = createLocksmith(inMode({ nodes }))
    try {
      const locks = await Promise.all(names.map((name) => locksmith.acquire(name)))
      for (const [i, lock] of locks.entries()) {
        const owner = await cluster.ownerOf(names[i] as string)
        expect(await owner.command('HGET', `__halocksmith:{${names[i]}}`, 'used')).not.toBeNull()
        expect(await lock.release()).toEqual({ released: true })
      }
    } finally {
      await locksmith.close()
    }
  }
})
