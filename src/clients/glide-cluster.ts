/**
 * The port to a caller's Valkey GLIDE client of a Cluster. GLIDE finds the node of a key by itself, follows redirections and failovers, and
 * tells nothing of it: after a command that failed, the node of its key is asked until it answers, and then claims are asked for again.
 */

import { type ChannelListener, ClientError, type NodeCommand } from './client.js'
import { ownersIn } from './cluster-slots.js'
import { asText, BYTES, GlidePort, type Question } from './glide.js'
import { glideError } from './glide-wire.js'

const ANY = 'randomNode'

export class GlideClusterPort extends GlidePort {
  override readonly library = 'glide cluster'
  readonly isCluster = true

  override command(args: readonly string[], key?: string): Promise<unknown> {
    const options = { decoder: BYTES, route: routeTo(key) }
    return this.send(args, options, (error) => {
      throw this.explain(error, questionTo(key))
    })
  }

  /** As the Cluster says: GLIDE keeps its own list to itself. */
  async primaries(): Promise<readonly NodeCommand[]> {
    const owners = ownersIn(await this.command(['CLUSTER', 'SLOTS']), this.seed)
    const addresses = new Set(owners?.filter((owner) => owner !== undefined))
    return Array.from(addresses, (address) => {
      const [host, port] = [address.slice(0, address.lastIndexOf(':')), Number(address.slice(address.lastIndexOf(':') + 1))]
      const options = { decoder: BYTES, route: { type: 'routeByAddress', host, port } }
      return (args) => this.client.customCommand(args, options).then(asText, (error) => Promise.reject(glideError(error)))
    })
  }

  async subscribeSharded(channel: string, listener: ChannelListener): Promise<() => Promise<void>> {
    if (this.wake === 'none') throw new ClientError('CONNECTION', 'this GLIDE client can not be made a second time, to hear messages with')
    if (!this.isUp) throw this.reason
    return this.inbox.subscribe('sharded', channel, listener)
  }

  override reconnect(key?: string): void {
    this.suspect(questionTo(key))
  }

  /** One node's loss is not the Cluster's, and GLIDE goes on with the others. */
  protected override suspect(question: Question = questionTo()): void {
    super.suspect(question)
  }

  /** The others may be up. */
  protected override unanswered(error: ClientError): void {
    this.client.customCommand(['PING'], { route: ANY }).then(
      () => {},
      (alike) => (glideError(alike).code === 'REPLY' ? undefined : this.goDown(error)),
    )
  }

  /** Whoever waits at that node was not told what happened there. */
  protected override goUp(): void {
    super.goUp(true)
  }

  private get seed(): string {
    const [first] = (this.client.config?.addresses ?? []) as { readonly host?: string }[]
    return first?.host ?? ''
  }
}

/** With a key in it: only at such a command does GLIDE hear who has the place of a node that is gone. */
function questionTo(key?: string): Question {
  return { args: key === undefined ? ['PING'] : ['TYPE', key], options: { route: routeTo(key) } }
}

function routeTo(key: string | undefined): unknown {
  return key === undefined ? ANY : { type: 'primarySlotKey', key }
}
