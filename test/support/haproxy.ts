import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ServerProgram } from './programs.ts'

/** Starts HAProxy with the given sections; their time-outs are set. */
export function startHaproxy(folder: string, sections: (port: number) => string): Promise<ServerProgram> {
  return ServerProgram.start('haproxy', (port) => {
    const config = join(mkdtempSync(join(folder, 'haproxy-')), 'haproxy.cfg')
    const lines = [
      'global',
      'defaults',
      'timeout connect 3s',
      'timeout client 10s',
      'timeout server 10s',
      sections(port),
      '',
    ]
    writeFileSync(config, lines.join('\n'))
    return ['-db', '-f', config]
  })
}
