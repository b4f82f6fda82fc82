/** Cases: what happens when connections are lost, and when the port is closed. */

import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { ClientError } from '../../clients/index.js'
import { blocked, type Cases, cutWithACommandUnderWay, failsWith, pause, silent, until, untilAnswers, within } from './scene.js'

export const lossCases: Cases = {
  'a lost connection comes back, and both are told': async (scene) => {
    const { client } = scene
    const heard: string[] = []
    const stop = client.watch({
      up: () => heard.push(`up ${client.isUp}`),
      down: (error) => heard.push(`down ${client.isUp} ${error instanceof ClientError}`),
    })
    await cutWithACommandUnderWay(scene)
    await until('the client is up again', () => heard.includes('up true'))
    assert.equal(heard[0], 'down false true')
    assert.equal(await client.command(['PING']), 'PONG')
    stop()
    const before = heard.length
    await scene.cutAll()
    await untilAnswers(client)
    assert.equal(heard.length, before, 'who stopped watching hears nothing')
  },

  'while the connection is down a command rejects at once': async (scene) => {
    const { client } = scene
    const rejected = new Promise<unknown>((resolve) => {
      client.watch({ up: () => {}, down: () => resolve(client.command(['SET', 'late', '1'], 'late').catch((error: unknown) => error)) })
    })
    await cutWithACommandUnderWay(scene)
    const error = await within('the rejection', rejected)
    assert.ok(error instanceof ClientError && error.code === 'CONNECTION', String(error))
    await untilAnswers(client)
    assert.equal(await client.command(['GET', 'late'], 'late'), null, 'it must not be carried out later')
  },
}

export const connectionCases = (resends: boolean): Cases => ({
  ...lossCases,

  [resends ? 'a command whose reply was lost is sent again' : 'a command whose reply was lost rejects']: async (scene) => {
    const { client } = scene
    // The reply is lost because it does not come before the connection ends.
    const { reply } = await blocked(scene)
    await scene.cutAll()
    if (!resends) await failsWith(reply, 'CONNECTION')
    await untilAnswers(client, resends)
    await scene.command('RPUSH', 'list', 'item')
    if (resends) assert.deepEqual(await within('the reply', reply), ['list', 'item'])
    else assert.equal(await scene.command('LLEN', 'list'), 1)
  },

  'after close() commands reject, and the owner goes on': async ({ client, ownerPing, countListeners }) => {
    const heard: string[] = []
    client.watch({ up: () => heard.push('up'), down: () => heard.push('down') })
    await client.close()
    await client.close()
    assert.equal(client.isUp, false)
    await failsWith(client.command(['PING']), 'CLOSED')
    await failsWith(client.subscribe('channel', silent), client.wake === 'none' ? 'CONNECTION' : 'CLOSED')
    if (ownerPing) assert.equal(await ownerPing(), 'PONG')
    if (countListeners) assert.equal(countListeners(), 0)
    assert.deepEqual(heard, [])
  },

  'nothing is printed and nothing is left unhandled': async (scene) => {
    const { client } = scene
    const noises = await noisesOf(async () => {
      if (client.wake !== 'none') await client.subscribe('channel', silent)
      await client.command(['NO-SUCH-COMMAND']).catch(() => {})
      client.keepProcessAlive(true)
      await scene.cutAll()
      await untilAnswers(client)
      client.keepProcessAlive(false)
      await client.close()
      // For what comes late.
      await pause(50)
    })
    assert.deepEqual(noises, [])
  },
})

/** What is printed, and what nobody handles, while a piece of work is done. */
async function noisesOf(work: () => Promise<void>): Promise<string[]> {
  const noises: string[] = []
  const writes = [process.stdout.write, process.stderr.write] as const
  const record = (chunk: unknown): boolean => noises.push(String(chunk)) > 0
  const onUnhandled = (reason: unknown): void => void noises.push(`unhandled: ${inspect(reason)}`)
  process.stdout.write = record
  process.stderr.write = record
  process.on('unhandledRejection', onUnhandled)
  try {
    await work()
  } finally {
    process.stdout.write = writes[0]
    process.stderr.write = writes[1]
    process.off('unhandledRejection', onUnhandled)
  }
  return noises
}
