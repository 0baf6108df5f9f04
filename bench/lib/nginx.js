// Starts nginx with one worker.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startServer, temporaryFolder } from './processes.js'

/** `main` are directives for the top of its configuration, `block` what it does; relative paths are in a temporary folder. */
export function startNginx(port, { main = '', block }) {
  const folder = temporaryFolder()
  const file = join(folder, 'nginx.conf')
  writeFileSync(
    file,
    `${main}
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr crit;
events {
  worker_connections 2000;
}
${block}
`,
  )
  return startServer('nginx', ['-p', folder, '-c', file], port)
}
