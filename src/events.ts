/**
 * What can be observed without touching a lock: channels of node:diagnostics_channel. Publishing costs nothing while nobody
 * subscribes. Every message has the lock's `name`; subscribers must not change it.
 */

import { type Channel, channel } from 'node:diagnostics_channel'

/** The channels and what their messages hold beside `name`. */
export interface LockEvents {
  /** A claim did not get its lock at once and waits. */
  'halocksmith:waiting': { name: string; id: string }
  /** A lock was granted after `waitedMs`. */
  'halocksmith:granted': { name: string; id: string; fencingToken: number; waitedMs: number }
  /** A lock was released, or its release found that it was no longer held (`released: false`). */
  'halocksmith:released': { name: string; id: string; fencingToken: number; released: boolean }
  /** It is not certain any more that the lock will be kept: a renewal failed. */
  'halocksmith:unknown': { name: string; id: string; fencingToken: number; error: Error }
  /** A renewal succeeded again. */
  'halocksmith:held': { name: string; id: string; fencingToken: number }
  /** The lock was lost while it was held. */
  'halocksmith:lost': { name: string; id: string; fencingToken: number; error: Error }
  /** Something an operator should know; `name` is empty where it concerns no single lock. */
  'halocksmith:warning': { name: string; code: string; message: string }
}

export type LockEventName = keyof LockEvents

const channels: { [K in LockEventName]: Channel } = {
  'halocksmith:waiting': channel('halocksmith:waiting'),
  'halocksmith:granted': channel('halocksmith:granted'),
  'halocksmith:released': channel('halocksmith:released'),
  'halocksmith:unknown': channel('halocksmith:unknown'),
  'halocksmith:held': channel('halocksmith:held'),
  'halocksmith:lost': channel('halocksmith:lost'),
  'halocksmith:warning': channel('halocksmith:warning'),
}

/** Whether anybody listens: lets a hot path skip making the message. */
export function isObserved(event: LockEventName): boolean {
  return channels[event].hasSubscribers
}

export function publish<K extends LockEventName>(event: K, message: LockEvents[K]): void {
  if (channels[event].hasSubscribers) channels[event].publish(message)
}
