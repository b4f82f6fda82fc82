import halocksmith, { createLocksmith, LockUnavailableError } from 'halocksmith'
import type { LockFunction, Release } from 'halocksmith'
import * as clients from 'halocksmith/clients'
import * as memory from 'halocksmith/memory'
import * as testing from 'halocksmith/testing'

const lock: LockFunction = halocksmith('127.0.0.1:6379')

export async function viaDefault(): Promise<Release> {
  return await lock('key')
}

export const locksmith: ReturnType<typeof createLocksmith> = halocksmith.createLocksmith()
export const code = (error: unknown): string => (error instanceof LockUnavailableError ? error.code : '')
export const paths = [typeof clients, typeof memory, typeof testing]
