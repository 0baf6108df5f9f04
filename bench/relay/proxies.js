// The relays that are compared: ours, what a Node program does without a library, and two servers that are written in C.
import { spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { environment, freePort, pause, startServer, stop, temporaryFolder } from '../lib/processes.js'

export const xps = { name: 'xps', start: startNode('./xps-proxy.js') }
export const pipe = { name: 'a.pipe(b)', start: startNode('./pipe-proxy.js') }
export const haproxy = { name: 'HAProxy', missing: haproxyMissing, start: startHaproxy }
export const nginx = { name: 'nginx stream', missing: nginxMissing, start: startNginx }

export const howToInstall = 'apt-get install nginx libnginx-mod-stream haproxy'

/** All relays that this machine can run; says which it cannot. */
export function installedProxies(tell) {
  return [xps, pipe, haproxy, nginx].filter((proxy) => {
    const missing = proxy.missing?.() ?? false
    if (missing) tell(`${proxy.name} is not installed, and left out (${howToInstall})`)
    return !missing
  })
}

/** Starts each relay, with an upstream of its own: what one left in the kernel does not slow the next one. */
export async function startAll(proxies) {
  const started = []
  for (const proxy of proxies) started.push(await startOne(proxy))
  return started
}

export async function startOne(proxy) {
  const upstreamPort = await freePort()
  const upstream = await startServer(process.execPath, [pathOf('./upstream.js'), upstreamPort], upstreamPort)
  return { ...(await startBefore(proxy, upstreamPort)), upstream }
}

/** Starts a relay before an upstream that listens already. */
export async function startBefore(proxy, upstreamPort) {
  const port = await freePort()
  const child = await proxy.start(port, upstreamPort)
  // That it listens was learned by a connection, which has to be over on both sides.
  await pause(100)
  return { name: proxy.name, port, pid: child.pid, child }
}

export async function stopAll(started) {
  for (const { child, upstream } of started) {
    await stop(child)
    if (upstream !== undefined) await stop(upstream)
  }
}

function startNode(file) {
  return (port, upstreamPort) => startServer(process.execPath, [pathOf(file), port, upstreamPort], port)
}

function pathOf(file) {
  return fileURLToPath(new URL(file, import.meta.url))
}

function haproxyMissing() {
  return spawnSync('haproxy', ['-v'], { env: environment }).status !== 0
}

function startHaproxy(port, upstreamPort) {
  const file = join(temporaryFolder(), 'haproxy.cfg')
  writeFileSync(
    file,
    `global
  nbthread 1
  maxconn 2000
defaults
  mode tcp
  option splice-auto
  timeout connect 3s
  timeout client 60s
  timeout server 60s
listen relay
  bind 127.0.0.1:${port}
  server upstream 127.0.0.1:${upstreamPort}
`,
  )
  return startServer('haproxy', ['-db', '-f', file], port)
}

function nginxMissing() {
  const { status, stderr } = spawnSync('nginx', ['-V'], { encoding: 'utf8', env: environment })
  return status !== 0 || !stderr.includes('--with-stream') || (isDynamic(stderr) && !existsSync(streamModule(stderr)))
}

function startNginx(port, upstreamPort) {
  const { stderr } = spawnSync('nginx', ['-V'], { encoding: 'utf8', env: environment })
  const folder = temporaryFolder()
  const file = join(folder, 'nginx.conf')
  writeFileSync(
    file,
    `${isDynamic(stderr) ? `load_module ${streamModule(stderr)};` : ''}
daemon off;
worker_processes 1;
pid ${join(folder, 'nginx.pid')};
error_log stderr crit;
events {
  worker_connections 2000;
}
stream {
  server {
    listen 127.0.0.1:${port};
    proxy_pass 127.0.0.1:${upstreamPort};
  }
}
`,
  )
  return startServer('nginx', ['-p', folder, '-c', file], port)
}

function isDynamic(build) {
  return build.includes('--with-stream=dynamic')
}

function streamModule(build) {
  const folder = /--modules-path=(\S+)/.exec(build)?.[1] ?? ''
  return join(folder, 'ngx_stream_module.so')
}
