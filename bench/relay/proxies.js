// The relays that are compared: ours, what a Node program does without a library, and two servers that are written in C.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { haproxyMissing, startHaproxy } from '../lib/haproxy.js'
import { startNginx } from '../lib/nginx.js'
import { environment } from '../lib/processes.js'
import { inNode, installed, startWithUpstream } from '../lib/servers.js'

export { startBefore, stopAll } from '../lib/servers.js'

export const xps = { name: 'xps', start: inNode(new URL('./xps-proxy.js', import.meta.url)) }
export const pipe = { name: 'a.pipe(b)', start: inNode(new URL('./pipe-proxy.js', import.meta.url)) }
export const haproxy = { name: 'HAProxy', missing: haproxyMissing, start: startHaproxyRelay }
export const nginx = { name: 'nginx stream', missing: nginxMissing, start: startNginxRelay }

/** All relays that this machine can run; says which it cannot. */
export function installedProxies(tell) {
  return installed([xps, pipe, haproxy, nginx], tell)
}

/** Starts each relay, with an upstream of its own. */
export async function startAll(proxies) {
  const started = []
  for (const proxy of proxies) started.push(await startOne(proxy))
  return started
}

export function startOne(proxy) {
  return startWithUpstream(proxy, new URL('./upstream.js', import.meta.url))
}

function startHaproxyRelay(port, upstreamPort) {
  return startHaproxy(port, upstreamPort, ['mode tcp', 'timeout client 60s'])
}

/** What to do if nginx cannot relay here, or undefined. */
export function nginxMissing() {
  const { status, stderr } = nginxBuild()
  const there =
    status === 0 && stderr.includes('--with-stream') && (!isDynamic(stderr) || existsSync(streamModule(stderr)))
  return there ? undefined : 'apt-get install nginx libnginx-mod-stream'
}

function startNginxRelay(port, upstreamPort) {
  return startNginxStream(port, `listen 127.0.0.1:${port}; proxy_pass 127.0.0.1:${upstreamPort};`)
}

/** nginx with one server in its `stream` block. */
export function startNginxStream(port, server) {
  const { stderr } = nginxBuild()
  return startNginx(port, {
    main: isDynamic(stderr) ? `load_module ${streamModule(stderr)};` : '',
    block: `stream {
  server {
    ${server}
  }
}`,
  })
}

function nginxBuild() {
  return spawnSync('nginx', ['-V'], { encoding: 'utf8', env: environment })
}

function isDynamic(build) {
  return build.includes('--with-stream=dynamic')
}

function streamModule(build) {
  const folder = /--modules-path=(\S+)/.exec(build)?.[1] ?? ''
  return join(folder, 'ngx_stream_module.so')
}
