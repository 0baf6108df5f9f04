// nginx over HTTP: as a reverse proxy, and as a static site.
import { versionOf } from '../lib/machine.js'
import { startNginx } from '../lib/nginx.js'

/** What to do if it is not installed, or undefined. */
export function nginxMissing() {
  return versionOf('nginx') === undefined ? 'apt-get install nginx' : undefined
}

/** A reverse proxy that keeps its connections to the upstream; with a certificate it speaks TLS, and HTTP/2 as well. */
export function startNginxProxy(port, upstreamPort, certificate) {
  return startHttp(
    port,
    `upstream origin {
    server 127.0.0.1:${upstreamPort};
    keepalive 256;
    keepalive_requests 1000000000;
  }`,
    `location / {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
    }`,
    certificate,
  )
}

/** A static site. */
export function startNginxFiles(port, folder) {
  return startHttp(port, 'sendfile on; open_file_cache max=1000;', `location / { root ${folder}; }`)
}

function startHttp(port, settings, location, certificate) {
  const spools = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return startNginx(port, {
    // The worker reads folders of the one who runs this.
    main: process.getuid() === 0 ? 'user root root;' : '',
    block: `http {
  ${spools.map((name) => `${name}_temp_path ${name};`).join('\n  ')}
  access_log off;
  default_type application/octet-stream;
  types { text/plain txt; }
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  ${settings}
  server {
    listen 127.0.0.1:${port} backlog=4096${certificate === undefined ? '' : ' ssl http2'};
    ${certificate === undefined ? '' : `ssl_certificate ${certificate.cert}; ssl_certificate_key ${certificate.key};`}
    ${location}
  }
}`,
  })
}
