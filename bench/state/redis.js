// Starts a Redis that writes nothing to the disk.
import { spawnSync } from 'node:child_process'
import { environment, startServer, temporaryFolder } from '../lib/processes.js'

/** `7.0.15`, or undefined if it cannot be run. */
export function redisVersion() {
  const { status, stdout } = spawnSync('redis-server', ['--version'], { encoding: 'utf8', env: environment })
  return status === 0 ? /v=([\d.]+)/.exec(stdout)?.[1] : undefined
}

/** What to do if it is not installed, or undefined. */
export function redisMissing() {
  return redisVersion() === undefined ? 'apt-get install redis-server' : undefined
}

/** A Redis in memory, with the settings that it has by default otherwise. */
export function startRedis(port) {
  const persistence = ['--save', '', '--appendonly', 'no']
  const place = ['--bind', '127.0.0.1', '--port', String(port), '--dir', temporaryFolder()]
  return startServer('redis-server', [...place, ...persistence], port)
}
