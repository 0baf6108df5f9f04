// What the figures were measured on: they mean little without it.
import { spawnSync } from 'node:child_process'
import { cpus, release, totalmem, type } from 'node:os'
import { environment } from './processes.js'

/** The machine in one line. */
export function machine() {
  const processors = cpus()
  const gigabytes = Math.round(totalmem() / 2 ** 30)
  return `${processors[0]?.model.trim() ?? 'unknown CPU'}, ${processors.length} cores, ${gigabytes} GB, ${type()} ${release()}`
}

/** `nginx 1.22.1`, or undefined if it cannot be run. */
export function versionOf(command) {
  const { status, stdout, stderr } = spawnSync(command, ['-v'], { encoding: 'utf8', env: environment })
  if (status !== 0) return undefined
  return /\d+\.\d+\.\d+/.exec(stdout + stderr)?.[0]
}

/** The programs that take part, with their versions. */
export function versions() {
  const found = [`Node.js ${process.versions.node}`]
  const nginx = versionOf('nginx')
  const haproxy = versionOf('haproxy')
  const redis = versionOf('redis-server')
  if (nginx !== undefined) found.push(`nginx ${nginx}`)
  if (haproxy !== undefined) found.push(`HAProxy ${haproxy}`)
  if (redis !== undefined) found.push(`Redis ${redis}`)
  return found.join(', ')
}
