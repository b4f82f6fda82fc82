/** What the cases of a port have in common: the scene they play in, and how they wait. */

import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { type ChannelListener, ClientError, type RedisClient } from '../../clients/index.js'

/** A port, and what its owner would see and do. */
export interface ClientUnderTest {
  readonly client: RedisClient
  /** A command by the owner of the library's client, without the port; absent where the port owns the connection. */
  ownerPing?(): Promise<unknown>
  /** How many listeners the library's client has, of all events that the port may listen to. */
  countListeners?(): number
  /** Closes everything. */
  dispose(): Promise<void>
}

export interface Scene extends ClientUnderTest {
  readonly silent: boolean
  readonly keepsOrder: boolean
  /** Of this case alone: on a Cluster, messages of an earlier one may still be under way. */
  readonly channel: string
  /** What was heard. On a Cluster, who moves to another node may hear there what it has heard before. */
  heardBy(recorder: Recorder): string[]
  command(...args: string[]): Promise<unknown>
  /** Ends every connection of the server but the harness's own. */
  cutAll(): Promise<void>
}

export type Run = (scene: Scene) => Promise<void>

/** By their names. */
export type Cases = Readonly<Record<string, Run>>

const PATIENCE_MS = 5_000

/** Ends every connection; where the library is silent, while one of its commands waits for a reply. */
export async function cutWithACommandUnderWay(scene: Scene): Promise<void> {
  if (scene.silent) await blocked(scene)
  await scene.cutAll()
}

/** A command that the server does not answer. */
export async function blocked({ client, command }: Scene): Promise<{ reply: Promise<unknown> }> {
  const reply = client.command(['BLPOP', 'list', '0'], 'list')
  reply.catch(() => {})
  await until('the command waits', async () => /cmd=blpop/.test(String(await command('CLIENT', 'LIST'))))
  // In an object, because a promise would be waited for.
  return { reply }
}

export class Recorder implements ChannelListener {
  readonly heard: string[] = []
  restorals = 0

  message(payload: string): void {
    this.heard.push(payload)
  }

  restored(): void {
    this.restorals++
  }
}

export const silent: ChannelListener = { message: () => {}, restored: () => {} }

export async function failsWith(promise: Promise<unknown>, code: string, replyCode = ''): Promise<ClientError> {
  const error = await within('the rejection', promise).then(
    (value) => assert.fail(`resolved to ${inspect(value)}`),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof ClientError, `not a ClientError: ${inspect(error)}`)
  assert.deepEqual([error.code, error.replyCode], [code, replyCode], error.message)
  return error
}

/** Up, with a command answered; for a library that sends commands again, only up, because what blocks comes first. */
export async function untilAnswers(client: RedisClient, onlyUp = false): Promise<void> {
  await until('the client answers again', async () => {
    if (!client.isUp) return false
    return onlyUp || client.command(['PING']).then(Boolean, () => false)
  })
}

export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS
  while (!(await condition())) {
    assert.ok(performance.now() < endMs, `waited ${PATIENCE_MS} ms in vain until ${what}`)
    await pause(5)
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

export async function within<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new assert.AssertionError({ message: `waited ${PATIENCE_MS} ms in vain for ${what}` })), PATIENCE_MS)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
