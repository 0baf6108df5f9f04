import { spawnSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ServerProgram } from './programs.ts'

/** Starts nginx with what its `http` block shall have besides; all that it writes is in a folder below the given one. */
export function startNginx(folder: string, blocks: (port: number) => string): Promise<ServerProgram> {
  return start(folder, (home, port) => ['', `http { ${httpFiles(home)} ${blocks(port)} }`])
}

/** Starts nginx with a `stream` block: a relay of bytes. */
export function startNginxStream(folder: string, block: (port: number) => string): Promise<ServerProgram> {
  return start(folder, (_home, port) => [streamModule(), `stream { ${block(port)} }`])
}

function start(
  folder: string,
  blocks: (home: string, port: number) => [main: string, block: string],
): Promise<ServerProgram> {
  return ServerProgram.start('nginx', (port) => {
    const home = mkdtempSync(join(folder, 'nginx-'))
    const config = join(home, 'nginx.conf')
    const [main, block] = blocks(home, port)
    writeFileSync(
      config,
      `${main}
      daemon off; pid ${home}/nginx.pid; error_log ${home}/error.log; worker_processes 1; user root;
      events { worker_connections 256; }
      ${block}`,
    )
    return ['-p', home, '-e', `${home}/error.log`, '-c', config]
  })
}

function httpFiles(home: string): string {
  return `access_log off; client_body_temp_path ${home}/b; client_max_body_size 50m;
    proxy_temp_path ${home}/p; fastcgi_temp_path ${home}/f; uwsgi_temp_path ${home}/u; scgi_temp_path ${home}/s;`
}

/** Debian builds the relay as a module. */
function streamModule(): string {
  const build = spawnSync('nginx', ['-V'], { encoding: 'utf8' }).stderr ?? ''
  const folder = /--modules-path=(\S+)/.exec(build)?.[1] ?? ''
  return build.includes('--with-stream=dynamic') ? `load_module ${join(folder, 'ngx_stream_module.so')};` : ''
}
