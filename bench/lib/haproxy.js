// Starts HAProxy with one thread.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { versionOf } from './machine.js'
import { startServer, temporaryFolder } from './processes.js'

/** What to do if it is not installed, or undefined. */
export function haproxyMissing() {
  return versionOf('haproxy') === undefined ? 'apt-get install haproxy' : undefined
}

/** A proxy before an upstream; `settings` are lines of its section `defaults`. */
export function startHaproxy(port, upstreamPort, settings) {
  const file = join(temporaryFolder(), 'haproxy.cfg')
  writeFileSync(
    file,
    `global
  nbthread 1
  maxconn 2000
defaults
  option splice-auto
  timeout connect 3s
  timeout server 60s
  ${settings.join('\n  ')}
listen proxy
  bind 127.0.0.1:${port}
  server upstream 127.0.0.1:${upstreamPort}
`,
  )
  return startServer('haproxy', ['-db', '-f', file], port)
}
