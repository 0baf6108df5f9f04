// Starts a relay with limits before an upstream, and asks it for its numbers.
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { freePort, startServer, stop } from '../lib/processes.js'

/** Starts an upstream (a file and its arguments behind the port) and a relay with these options before it. */
export async function startLimited(options, upstreamFile, ...upstreamArguments) {
  const upstreamPort = await freePort()
  const upstream = await start(upstreamFile, upstreamPort, [upstreamPort, ...upstreamArguments])
  const port = await freePort()
  const statsPort = await freePort()
  const server = await start('./server.js', port, [port, statsPort, upstreamPort, JSON.stringify(options)])
  return {
    port,
    pid: server.pid,
    /** What `core.stats()` says there, with open descriptors and sessions. */
    stats: () => statsOf(statsPort),
    async stop() {
      await stop(server)
      await stop(upstream)
    },
  }
}

function start(file, port, args) {
  const path = fileURLToPath(new URL(file, import.meta.url))
  return startServer(process.execPath, ['--expose-gc', path, ...args.map(String)], port)
}

function statsOf(port) {
  return new Promise((resolve, reject) => {
    let text = ''
    connect(port, '127.0.0.1')
      .on('data', (chunk) => {
        text += chunk
      })
      .once('end', () => resolve(JSON.parse(text)))
      .once('error', reject)
  })
}
