import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ServerProgram } from './programs.ts'

/** Starts nginx with what its `http` block shall have besides; all that it writes is in a folder below the given one. */
export function startNginx(folder: string, blocks: (port: number) => string): Promise<ServerProgram> {
  return ServerProgram.start('nginx', (port) => {
    const home = mkdtempSync(join(folder, 'nginx-'))
    const config = join(home, 'nginx.conf')
    writeFileSync(
      config,
      `daemon off; pid ${home}/nginx.pid; error_log ${home}/error.log; worker_processes 1; user root;
      events { worker_connections 256; }
      http {
        access_log off; client_body_temp_path ${home}/b; client_max_body_size 50m;
        proxy_temp_path ${home}/p; fastcgi_temp_path ${home}/f; uwsgi_temp_path ${home}/u; scgi_temp_path ${home}/s;
        ${blocks(port)}
      }`,
    )
    return ['-p', home, '-e', `${home}/error.log`, '-c', config]
  })
}
