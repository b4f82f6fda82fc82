// @ts-check
/** A program with a GLIDE client of its own, as its owner left it: what it prints, and that it ends when only our connection is left. */
const glide = require('@valkey/valkey-glide')
const halocksmith = require('halocksmith')

const { PORT = '' } = process.env

async function main() {
  const client = await glide.GlideClient.createClient({ addresses: [{ host: '127.0.0.1', port: Number(PORT) }] })
  const locksmith = halocksmith.createLocksmith({ client })
  const lock = await locksmith.acquire('k')
  await lock.release()
  client.close()
}

void main()
