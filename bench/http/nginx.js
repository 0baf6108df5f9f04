// Starts nginx with one worker.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { environment, startServer, temporaryFolder } from '../lib/processes.js'

/** What to do if it is not installed, or undefined. */
export function nginxMissing() {
  return spawnSync('nginx', ['-v'], { env: environment }).status === 0 ? undefined : 'apt-get install nginx'
}

/** A reverse proxy that keeps its connections to the upstream. */
export function startNginxProxy(port, upstreamPort) {
  return startNginx(
    port,
    `upstream origin {
    server 127.0.0.1:${upstreamPort};
    keepalive 64;
    keepalive_requests 1000000000;
  }`,
    `location / {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
    }`,
  )
}

/** A static site. */
export function startNginxFiles(port, folder) {
  return startNginx(port, 'sendfile on; open_file_cache max=1000;', `location / { root ${folder}; }`)
}

function startNginx(port, settings, location) {
  const folder = temporaryFolder()
  const file = join(folder, 'nginx.conf')
  // The worker reads folders of the one who runs this.
  const user = process.getuid() === 0 ? 'user root root;' : ''
  const spools = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  writeFileSync(
    file,
    `${user}
daemon off;
worker_processes 1;
pid ${join(folder, 'nginx.pid')};
error_log stderr crit;
events {
  worker_connections 2000;
}
http {
  ${spools.map((name) => `${name}_temp_path ${join(folder, name)};`).join('\n  ')}
  access_log off;
  default_type application/octet-stream;
  types { text/plain txt; }
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  ${settings}
  server {
    listen 127.0.0.1:${port} backlog=4096;
    ${location}
  }
}
`,
  )
  return startServer('nginx', ['-p', folder, '-c', file], port)
}
