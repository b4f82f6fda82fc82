import type {
  ClaimReply,
  ClaimRequest,
  HolderRecord,
  LockStore,
  ReleaseOptions,
  ReleaseReply,
  RenewReply,
  SessionListener,
  Successor,
  WaiterRecord,
} from '../../src/store/store.js'
import { StoreFailure } from '../../src/store/store.js'

/** The operations that a test answers, with their arguments and replies. */
interface Operations {
  acquire: { args: [request: ClaimRequest]; reply: ClaimReply }
  renew: { args: [name: string, id: string, ttlMs: number, holder?: Successor]; reply: RenewReply }
  release: { args: [name: string, id: string, options?: ReleaseOptions]; reply: ReleaseReply }
}

type Method = keyof Operations

/** A request that reached the store, to be answered by the test when and how it likes. */
export interface Asked<M extends Method = Method> {
  readonly method: M
  readonly args: Operations[M]['args']
  /** Resolves when everything that the answer sets in motion at once has happened. */
  reply(reply: Operations[M]['reply']): Promise<void>
  fail(error: unknown): Promise<void>
}

/** An engine whose every answer the test gives by hand. Nothing is answered by itself, unless {@link FakeStore.answer} says how. */
export class FakeStore implements LockStore {
  claimWindowMs = 5_000
  checkEveryMs = 2_000
  hasAnswered = true
  listener: SessionListener | undefined
  session: string | undefined
  left = 0
  closed = 0
  private readonly asked: Asked[] = []
  private readonly answers: { [M in Method]?: (...args: Operations[M]['args']) => Operations[M]['reply'] } = {}

  /** The requests that the test has not taken yet. */
  get open(): readonly Method[] {
    return this.asked.map(({ method }) => method)
  }

  /** Takes the oldest open request, which must be a call of this method. */
  take<M extends Method>(method: M): Asked<M> {
    const next = this.asked.shift()
    if (next?.method !== method) throw new Error(`expected a call of ${method}(), there was ${next ? `one of ${next.method}()` : 'none'}`)
    return next as unknown as Asked<M>
  }

  /** From now on such requests are answered at once, and can't be taken. */
  answer<M extends Method>(method: M, reply: (...args: Operations[M]['args']) => Operations[M]['reply']): void {
    Object.assign(this.answers, { [method]: reply })
  }

  async listen(session: string, listener: SessionListener): Promise<() => Promise<void>> {
    this.session = session
    this.listener = listener
    return async () => {
      this.left += 1
    }
  }

  acquire(...args: Operations['acquire']['args']): Promise<ClaimReply> {
    return this.ask('acquire', args)
  }

  renew(...args: Operations['renew']['args']): Promise<RenewReply> {
    return this.ask('renew', args)
  }

  release(...args: Operations['release']['args']): Promise<ReleaseReply> {
    return this.ask('release', args)
  }

  async query(): Promise<{ held: HolderRecord[]; pending: WaiterRecord[] }> {
    return { held: [], pending: [] }
  }

  async forceRelease(): Promise<number> {
    return 0
  }

  async close(): Promise<void> {
    this.closed += 1
  }

  private async ask<M extends Method>(method: M, args: Operations[M]['args']): Promise<Operations[M]['reply']> {
    const answer = this.answers[method] as ((...args: Operations[M]['args']) => Operations[M]['reply']) | undefined
    if (answer !== undefined) return answer(...args)
    return new Promise((resolve, reject) => {
      const asked: Asked<M> = { method, args, reply: (reply) => settle(() => resolve(reply)), fail: (error) => settle(() => reject(error)) }
      this.asked.push(asked as unknown as Asked)
    })
  }
}

export const unreachable = (message = 'no connection'): StoreFailure => new StoreFailure('unreachable', message)
export const refused = (message = 'NOPERM no rights'): StoreFailure => new StoreFailure('refused', message)

function settle(decide: () => void): Promise<void> {
  decide()
  return turn()
}

/** Every microtask that is due has run when this resolves. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
