// Starts HAProxy with one thread.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { environment, startServer, temporaryFolder } from '../lib/processes.js'

/** What to do if it is not installed, or undefined. */
export function haproxyMissing() {
  return spawnSync('haproxy', ['-v'], { env: environment }).status === 0 ? undefined : 'apt-get install haproxy'
}

/** A reverse proxy that keeps its connections to the upstream. */
export function startHaproxy(port, upstreamPort) {
  const file = join(temporaryFolder(), 'haproxy.cfg')
  writeFileSync(
    file,
    `global
  nbthread 1
  maxconn 2000
defaults
  mode http
  http-reuse always
  option splice-auto
  timeout connect 3s
  timeout client 1h
  timeout server 60s
listen proxy
  bind 127.0.0.1:${port}
  server upstream 127.0.0.1:${upstreamPort}
`,
  )
  return startServer('haproxy', ['-db', '-f', file], port)
}
