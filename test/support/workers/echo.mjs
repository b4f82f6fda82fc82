// @ts-check
/** A process that answers every message with the same message, and otherwise does as it is told: for the tests of `processes.ts`. */
import { args, leave, onMessage, send } from './channel.mjs'

send({ type: 'args', args })
onMessage((message) => {
  if (message.type === 'print') console.log(message.text)
  if (message.type === 'exit') process.exit(message.code)
  if (message.type === 'leave') leave()
  send(message)
})
