/** Where to connect: turns addresses, URLs and the options of old clients into what node-redis' `createClient` takes. A leaf. */

import { HIDDEN, LockOptionError } from './errors.js'
import { checkObject, checkWhole, type NodeAddress } from './options.js'

/** Options for `createClient`, and where they lead, without credentials, for messages. */
export interface RedisTarget {
  readonly options: Record<string, unknown>
  readonly describe: string
}

const DEFAULT_HOST = '127.0.0.1'
const DEFAULT_PORT = 6379

/**
 * One node and options that go to the client as they are. Options of the node win; where it names no address, one in node-redis' own
 * places (`url`, `socket.host`, `socket.port`, `socket.path`) counts.
 */
export function targetOfNode(node: NodeAddress, redis: Readonly<Record<string, unknown>> = {}): RedisTarget {
  if (isUrl(node)) return targetOfUrl(node, redis)
  const { host: nodeHost, port: nodePort, ...rest } = parseNode(node)
  const { url, socket = {}, ...options } = modernOptions({ ...redis, ...rest })
  if (url !== undefined) {
    if (nodeHost === undefined && nodePort === undefined) return targetOfUrl(url, { ...redis, ...rest })
    throw new LockOptionError('url', typeof url === 'string' ? HIDDEN : url, "can't be given together with another address: choose one")
  }
  checkObject('socket', socket)
  const host = checkHost(nodeHost ?? socket.host ?? DEFAULT_HOST)
  const port = checkPort(nodePort ?? socket.port ?? DEFAULT_PORT)
  const describe = typeof socket.path === 'string' ? socket.path : address(host, port)
  return { options: { ...options, socket: { ...socket, host, port } }, describe }
}

export function targetOfUrl(url: unknown, redis: Readonly<Record<string, unknown>> = {}): RedisTarget {
  const plain = isUrl(url) && URL.canParse(url) ? new URL(url) : undefined
  // The text may hold a password, so that it is not shown.
  if (plain === undefined)
    throw new LockOptionError('url', typeof url === 'string' ? HIDDEN : url, 'must be a URL such as redis://user:password@host:6379/0')
  return {
    options: { ...modernOptions(redis), url },
    describe: address(plain.hostname.replace(/[[\]]/g, '') || DEFAULT_HOST, Number(plain.port || DEFAULT_PORT)),
  }
}

/**
 * The nodes of a list, each with the options that all share.
 *
 * @throws LockOptionError for an empty list, and for a node that is in it twice
 */
export function targetsOfNodes(nodes: unknown, option: string, redis: Readonly<Record<string, unknown>> = {}): RedisTarget[] {
  if (!Array.isArray(nodes)) throw new LockOptionError(option, nodes, 'must be an array of addresses')
  if (nodes.length === 0) throw new LockOptionError(option, nodes, 'must name at least one node')
  const targets = nodes.map((node: NodeAddress) => targetOfNode(node, redis))
  const addresses = targets.map(({ describe }) => describe)
  const twice = addresses.find((address, i) => addresses.indexOf(address) < i)
  if (twice !== undefined) throw new LockOptionError(option, nodes, `must name each node once, and has ${twice} twice`)
  return targets
}

/** Another server that is connected to in the same way. */
export function targetAt(target: RedisTarget, host: string, port: number): RedisTarget {
  const { socket, ...others } = withoutAddress(target)
  return { options: { ...others, socket: { ...socket, host, port } }, describe: address(host, port) }
}

/** How a server is connected to, but for where it is: with what a URL says of the user, the password and TLS. */
export function withoutAddress({ options }: RedisTarget): Record<string, unknown> & { socket: Record<string, unknown> } {
  const { url, socket, ...others } = options
  const { host: _, port: __, path: ___, ...rest } = (socket ?? {}) as Record<string, unknown>
  if (typeof url !== 'string') return { ...others, socket: rest }
  const { username, password, protocol } = new URL(url)
  const login = { ...(username && { username: decodeURIComponent(username) }), ...(password && { password: decodeURIComponent(password) }) }
  return { ...others, ...login, socket: { ...rest, ...(protocol === 'rediss:' && { tls: true }) } }
}

/** The parts of an address as targets have it in `describe`; undefined for a path. */
export function hostAndPort(describe: string): { host: string; port: number } | undefined {
  const [, host, port] = /^\[?(.+?)\]?:(\d+)$/.exec(describe) ?? []
  return host === undefined ? undefined : { host, port: Number(port) }
}

/** A node in parts; what it does not say is undefined. */
function parseNode(node: unknown): { host?: unknown; port?: unknown; [option: string]: unknown } {
  if (typeof node === 'number') return { host: DEFAULT_HOST, port: node }
  if (typeof node === 'string') return parseAddress(node)
  checkObject('node', node)
  return node
}

/** `host:port`, `host`, `:port`, `[ipv6]:port`, a bare IPv6 address, or a port as text. */
function parseAddress(text: string): { host: string; port: unknown } {
  if (/^\d+$/.test(text)) return { host: DEFAULT_HOST, port: text }
  const bare = /^[^[\]:@\s]+$|^[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*$/i.test(text) ? text : undefined
  if (bare !== undefined) return { host: bare, port: DEFAULT_PORT }
  const found = /^(?:\[([0-9a-f:.]+)\]|([^[\]:@\s]*))(?::(\d+))?$/i.exec(text)
  // Whoever wrote a URL's user and password here finds them neither in an error nor in a log.
  if (found === null)
    throw new LockOptionError('node', text.replace(/^.*@/s, '***@'), "must be 'host:port', 'host', a port or { host, port }")
  return { host: found[1] || found[2] || DEFAULT_HOST, port: found[3] ?? DEFAULT_PORT }
}

function isUrl(value: unknown): value is string {
  return typeof value === 'string' && /^rediss?:\/\//.test(value)
}

function checkHost(host: unknown): string {
  if (typeof host !== 'string' || host === '') throw new LockOptionError('node.host', host, 'must be a host name or an address')
  return host
}

function checkPort(port: unknown): number {
  return checkWhole('port', typeof port === 'string' && /^\d+$/.test(port) ? Number(port) : port, 1, 65_535)
}

/** Options that old clients had by other names. */
function modernOptions(given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { auth_pass, db, password = auth_pass, database = db, ...rest } = given
  return {
    ...rest,
    ...(password !== undefined && password !== null && { password: String(password) }),
    ...(database !== undefined && { database: checkWhole('db', database, 0, 2 ** 31 - 1) }),
  }
}

function address(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
