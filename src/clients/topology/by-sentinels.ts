/** Finds the primary by asking the sentinels that watch over it, and hears from them when it changes. */

import type { RedisTarget } from '../../redis-options.js'
import type { Clock, Timer } from '../../util/clock.js'
import { majorityOf } from '../../util/majority.js'
import { ClientError } from '../client.js'
import { toClientError } from '../library-errors.js'
import type { NamedNode } from './ask.js'
import type { Finder } from './lookout.js'
import { within } from './within.js'

/** A sentinel that does not answer in this time is passed over. */
const LOOK_MS = 1_000
/** The others are waited for this long when a majority has answered. */
const GRACE_MS = 100
/** Sentinels tell each other of a failover every two seconds. When a majority does not know of one for so long, they were set up anew. */
const FORGET_MS = 10_000
/** What sentinels publish when a replica has been promoted, and when the failover is over; the words in them are not needed. */
const CHANNELS = ['+promoted-slave', '+switch-master'] as const

/** What a sentinel said: where the primary is, and how many failovers it knows of. */
interface Word {
  readonly host: string
  readonly port: number
  readonly epoch: number
}

export interface SentinelSet {
  readonly sentinels: readonly NamedNode[]
  /** What the sentinels call the primary. */
  readonly name: string
  /** How to connect to the primary at an address. */
  targetAt(host: string, port: number): RedisTarget
}

export class BySentinels implements Finder {
  private readonly ends: (() => void)[] = []
  /** The word of the latest failover that was heard of. */
  private newest: Word | undefined
  /** Since when no sentinel knows of it. */
  private behindSinceMs: number | undefined
  private closed = false

  constructor(
    private readonly set: SentinelSet,
    private readonly clock: Clock,
  ) {}

  async find(): Promise<RedisTarget> {
    const words = await this.askAll()
    const known = words.filter((word): word is Word => !(word instanceof ClientError))
    if (known.length === 0) {
      const errors = words.map((word, i) => describeError(this.set.sentinels[i] as NamedNode, word as ClientError))
      throw new ClientError('CONNECTION', `no sentinel tells where the primary ${JSON.stringify(this.set.name)} is: ${errors.join('; ')}`)
    }
    const { host, port } = this.believe(known)
    return this.set.targetAt(host, port)
  }

  /** The one that leads a failover knows of it before the others, and one that was away after them: there is no way back, but for new sentinels. */
  private believe(known: readonly Word[]): Word {
    const word = known.reduce((best, one) => (one.epoch > best.epoch ? one : best))
    if (this.newest === undefined || word.epoch >= this.newest.epoch) {
      this.newest = word
      this.behindSinceMs = undefined
      return word
    }
    const nowMs = this.clock.now()
    this.behindSinceMs ??= nowMs
    const isMajority = known.length >= majorityOf(this.set.sentinels.length)
    if (!isMajority || nowMs - this.behindSinceMs < FORGET_MS) return this.newest
    this.newest = word
    this.behindSinceMs = undefined
    return word
  }

  listen(news: () => void): void {
    for (const { client } of this.set.sentinels) {
      for (const channel of CHANNELS) this.subscribe(client, channel, news)
      // What was told while the connection was away is asked for.
      this.ends.push(client.watch({ up: news, down: () => {} }))
    }
  }

  async close(): Promise<void> {
    this.closed = true
    for (const end of this.ends.splice(0)) end()
    await Promise.all(this.set.sentinels.map(({ client }) => client.close()))
  }

  /** Subscribes when there is a connection; from then on the client renews it by itself. */
  private subscribe(client: NamedNode['client'], channel: string, news: () => void): void {
    client.subscribe(channel, { message: news, restored: news }).catch(() => {
      if (this.closed) return
      const unwatch = client.watch({
        up: () => {
          unwatch()
          this.subscribe(client, channel, news)
        },
        down: () => {},
      })
      this.ends.push(unwatch)
    })
  }

  /** Resolves when all have answered or failed or are late; when a majority has answered, the others are late soon. */
  private askAll(): Promise<(Word | ClientError)[]> {
    const { sentinels } = this.set
    const words: (Word | ClientError)[] = sentinels.map(() => new ClientError('CONNECTION', 'no answer yet'))
    return new Promise((resolve) => {
      let open = sentinels.length
      let grace: Timer | undefined
      const finish = () => {
        grace?.cancel()
        resolve([...words])
      }
      sentinels.forEach((sentinel, i) => {
        void this.ask(sentinel).then((word) => {
          words[i] = word
          open -= 1
          const answers = words.filter((one) => !(one instanceof ClientError)).length
          if (open === 0) finish()
          else if (answers >= majorityOf(words.length)) grace ??= this.clock.after(GRACE_MS, finish)
        })
      })
    })
  }

  private ask({ client }: NamedNode): Promise<Word | ClientError> {
    return within(LOOK_MS, this.clock, this.wordOf(client), () => client.reconnect()).catch((error) => toClientError(error))
  }

  private async wordOf(client: NamedNode['client']): Promise<Word | ClientError> {
    const { name } = this.set
    await client.opened()
    // In a failover, the first names the new primary sooner than the second; only the second has the number.
    const [address, details] = await Promise.all([
      client.command(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name]),
      client.command(['SENTINEL', 'MASTER', name]),
    ])
    if (!Array.isArray(address)) return new ClientError('REPLY', `it watches no primary with the name ${JSON.stringify(name)}`)
    return { host: String(address[0]), port: Number(address[1]), epoch: Number(fieldOf(details, 'config-epoch') ?? 0) }
  }
}

/** RESP3 has an object, RESP2 a flat list. */
function fieldOf(map: unknown, name: string): unknown {
  if (Array.isArray(map)) return map[map.indexOf(name) + 1]
  return typeof map === 'object' && map !== null ? (map as Record<string, unknown>)[name] : undefined
}

function describeError({ describe }: NamedNode, { message }: ClientError): string {
  return message.includes(describe) ? message : `${describe}: ${message}`
}
