// @ts-check
/** A process that starts a server and then ends in whichever way the test wants it to. */
import { startRedis } from '../../../scripts/redis-server.mjs'
import { args, onMessage, send } from './channel.mjs'

const server = await startRedis(args)
onMessage(({ type }) => {
  if (type === 'exit') process.exit(0)
  if (type === 'throw') throw new Error('nobody catches this')
})
send({ type: 'started', pid: server.pid, folder: server.folder })
