// Starts a Redis that writes nothing to the disk.
import { versionOf } from '../lib/machine.js'
import { startServer, temporaryFolder } from '../lib/processes.js'

/** What to do if it is not installed, or undefined. */
export function redisMissing() {
  return versionOf('redis-server') === undefined ? 'apt-get install redis-server' : undefined
}

/** A Redis in memory, with the settings that it has by default otherwise. */
export function startRedis(port) {
  const persistence = ['--save', '', '--appendonly', 'no']
  const place = ['--bind', '127.0.0.1', '--port', String(port), '--dir', temporaryFolder()]
  return startServer('redis-server', [...place, ...persistence], port)
}
