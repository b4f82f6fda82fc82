import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { processState } from '../../../scripts/processes.mjs'
import { processesOf } from '../../support/global-setup.js'
import { killWorkers, useWorkers } from '../../support/processes.js'

const spawnWorker = useWorkers()

describe('messages', () => {
  test('arguments and messages arrive as they are, which JSON would not do', async () => {
    const value = { big: 2n ** 63n, infinite: Number.POSITIVE_INFINITY, none: undefined, when: new Date(0), map: new Map([[1, 'a']]) }
    const worker = spawnWorker('echo.mjs', value)
    expect((await worker.next('args')).args).toEqual(value)
    worker.send({ type: 'echo', value })
    expect(await worker.next('echo')).toEqual({ type: 'echo', value })
  })

  test('wait until they are asked for, each type by itself', async () => {
    const worker = spawnWorker('echo.mjs')
    for (const [type, n] of [
      ['a', 1],
      ['b', 2],
      ['a', 3],
    ] as const)
      worker.send({ type, n })
    expect(await worker.next('b')).toEqual({ type: 'b', n: 2 })
    expect(await worker.next('a')).toEqual({ type: 'a', n: 1 })
    const third = worker.next('a')
    const fourth = worker.next('a')
    worker.send({ type: 'a', n: 4 })
    expect([await third, await fourth].map(({ n }) => n)).toEqual([3, 4])
    expect(worker.messages.map(({ type, n }) => n ?? type)).toEqual(['args', 1, 2, 3, 4])
  })

  test('one that does not come is an error, with what the process printed', async () => {
    const worker = spawnWorker('echo.mjs')
    worker.send({ type: 'print', text: 'a hint' })
    await worker.next('print')
    await expect(worker.next('never', 20)).rejects.toThrow(/sent no message 'never' within 20 ms; it printed:\na hint/)
  })

  test('nor does one come from a process that has ended', async () => {
    const worker = spawnWorker('echo.mjs')
    const waiting = worker.next('never')
    worker.send({ type: 'exit', code: 3 })
    await expect(waiting).rejects.toThrow(/ended \(3\) without a message 'never'/)
    await expect(worker.next('never')).rejects.toThrow(/has ended without/)
    expect(await worker.exited).toEqual({ code: 3, signal: null })
    worker.send({ type: 'ignored' })
  })
})

describe('processes', () => {
  test('stand still, go on, and are killed even when they stand still', async () => {
    const worker = spawnWorker('echo.mjs')
    await worker.next('args')
    await worker.pause()
    expect(processState(worker.pid)).toBe('stopped')
    worker.send({ type: 'echo' })
    await expect(worker.next('echo', 50)).rejects.toThrow(/sent no message/)
    worker.resume()
    await worker.next('echo')
    await worker.pause()
    expect(await worker.kill()).toEqual({ code: null, signal: 'SIGKILL' })
    expect(processState(worker.pid)).toBe('gone')
    expect(await worker.kill()).toEqual({ code: null, signal: 'SIGKILL' })
  })

  test('may leave, and then end by themselves', async () => {
    const worker = spawnWorker('echo.mjs')
    worker.send({ type: 'leave' })
    expect(await worker.exited).toEqual({ code: 0, signal: null })
  })

  test('end with the test', async () => {
    const workers = [spawnWorker('echo.mjs'), spawnWorker('echo.mjs')]
    await Promise.all(workers.map((worker) => worker.next('args')))
    await killWorkers()
    expect(workers.map(({ pid }) => processState(pid))).toEqual(['gone', 'gone'])
  })
})

describe('the end of the run', () => {
  test('finds what is left over, and only that', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'halocksmith-test-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const worker = spawnWorker('echo.mjs')
    writeFileSync(join(folder, 'here.pid'), `${worker.pid}\n`)
    writeFileSync(join(folder, 'empty.pid'), '')
    expect(processesOf(folder)).toEqual([{ pid: worker.pid, file: 'here.pid' }])
    await worker.kill()
    expect(processesOf(folder)).toEqual([])
  })

  test('knows the processes of this run', async () => {
    const worker = spawnWorker('echo.mjs')
    const folder = process.env.HALOCKSMITH_RUN_FOLDER ?? ''
    expect(processesOf(folder)).toContainEqual({ pid: worker.pid, file: `worker-${worker.pid}.pid` })
    await worker.kill()
    expect(processesOf(folder).map(({ pid }) => pid)).not.toContain(worker.pid)
  })
})
