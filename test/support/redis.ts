import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { closedPort } from './net.ts'
import { run, ServerProgram } from './programs.ts'
import { until } from './until.ts'

/** Starts redis-server on a port of its own; what it writes is in a folder below the given one. */
export function startRedis(folder: string, options: readonly string[] = [], port?: number): Promise<ServerProgram> {
  const home = mkdtempSync(join(folder, 'redis-'))
  const always = ['--bind', '127.0.0.1', '--save', '', '--dir', home, '--logfile', join(home, 'log')]
  return ServerProgram.start('redis-server', (given) => ['--port', String(given), ...always, ...options], port)
}

/** Three masters that share the slots. */
export class RedisClusterProgram implements AsyncDisposable {
  readonly nodes: readonly ServerProgram[]

  private constructor(nodes: readonly ServerProgram[]) {
    this.nodes = nodes
  }

  static async start(folder: string): Promise<RedisClusterProgram> {
    const cluster = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000']
    const nodes: ServerProgram[] = []
    for (let node = 0; node < 3; node++) nodes.push(await startRedis(folder, cluster, await portWithBus()))
    const started = new RedisClusterProgram(nodes)
    try {
      const addresses = nodes.map((node) => node.address)
      await run('redis-cli', ['--cluster', 'create', ...addresses, '--cluster-replicas', '0', '--cluster-yes'])
      for (const { port } of nodes) {
        await until(async () => {
          const info = String(await run('redis-cli', ['-p', String(port), 'cluster', 'info']))
          if (!info.includes('cluster_state:ok')) throw new Error(info)
        })
      }
    } catch (error) {
      await started[Symbol.asyncDispose]()
      throw error
    }
    return started
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node[Symbol.asyncDispose]()))
  }
}

/** A port for clients; the nodes of a cluster talk on that plus 10,000, which the system shall not give to others either. */
async function portWithBus(): Promise<number> {
  for (;;) {
    const port = await closedPort()
    if (port < 22_000) return port
  }
}
