// The servers that are compared: `{ name, start(port, place), missing? }`. The place is what they need behind them: the
// port of an upstream, a folder, or nothing. `missing()` says what to do if one cannot be run here.
import { fileURLToPath } from 'node:url'
import { freePort, pause, startServer, stop } from './processes.js'

/** How a program of Node's is started: it is given the port, the place and the other arguments. */
export function inNode(file, ...others) {
  return (port, place = '') => startServer(process.execPath, [fileURLToPath(file), port, place, ...others], port)
}

/** The same with the room for young objects that docs/http2.md recommends, in megabytes. */
export function inRoomyNode(file, ...others) {
  const room = ['--min-semi-space-size=16', '--max-semi-space-size=64']
  return (port, place = '') =>
    startServer(process.execPath, [...room, fileURLToPath(file), port, place, ...others], port)
}

/** Those that can be run here; says which cannot, and what would help. */
export function installed(servers, tell) {
  const left = new Map()
  const present = servers.filter(({ name, missing }) => {
    const help = missing?.()
    if (help !== undefined) left.set(help, [...(left.get(help) ?? []), name])
    return help === undefined
  })
  for (const [help, names] of left) tell(`left out: ${names.join(', ')} (${help})`)
  return present
}

/** Starts a server before what is there already. */
export async function startBefore(server, place) {
  const port = await freePort()
  const child = await server.start(port, place)
  // That it listens was learned by a connection, which has to be over on both sides.
  await pause(100)
  return { name: server.name, port, pid: child.pid, child }
}

/** Starts a proxy with an upstream of its own: what one left in the kernel does not slow the next one. */
export async function startWithUpstream(proxy, upstreamFile) {
  const upstreamPort = await freePort()
  const upstream = await inNode(upstreamFile)(upstreamPort)
  return { ...(await startBefore(proxy, upstreamPort)), upstream }
}

/** Ends servers, and the upstreams that they were started with. */
export async function stopAll(started) {
  for (const { child, upstream } of started) {
    await stop(child)
    if (upstream !== undefined) await stop(upstream)
  }
}
