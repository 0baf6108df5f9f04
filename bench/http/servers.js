// The servers that the HTTP benchmarks compare: ours, libraries for Node.js, and two that are written in C.
import { existsSync, readFileSync } from 'node:fs'
import { certificate } from '../lib/certificate.js'
import { haproxyMissing, startHaproxy } from '../lib/haproxy.js'
import { inNode, inRoomyNode, startWithUpstream } from '../lib/servers.js'
import { nginxMissing, startNginxFiles, startNginxProxy } from './nginx.js'

export { installed, startBefore, stopAll } from '../lib/servers.js'

const { dependencies } = JSON.parse(readFileSync(here('./peers/package.json')))

export const xps = ours('xps', 'proxy')
export const pipelined = ours('xps, pipelined', 'pipeline')
export const hooked = ours('xps, with a hook', 'hook')
export const xpsFiles = ours('xps', 'files')
export const xpsAnswer = ours('xps', 'answer')
export const face = { name: 'xps/http-proxy', start: inNode(here('./face-server.js')) }
export const nodeServer = { name: 'http.Server', start: inNode(here('./node-server.js')) }

export const nginx = { name: 'nginx', missing: nginxMissing, start: startNginxProxy }
export const nginxFiles = { name: 'nginx', missing: nginxMissing, start: startNginxFiles }
export const haproxy = { name: 'HAProxy', missing: haproxyMissing, start: startHaproxyProxy }

/** Reverse proxies for Node.js, each with connections to the upstream that are kept. */
export const peers = [
  peer('http-proxy'),
  peer('http-proxy-3'),
  peer('httpxy'),
  peer('fast-proxy', { name: 'fast-proxy (http)', options: ['http'] }),
  peer('fast-proxy', { name: 'fast-proxy (undici)', options: ['undici'] }),
  peer('fastify-http-proxy', { package: '@fastify/http-proxy', name: '@fastify/http-proxy' }),
]

/** Those that pass WebSockets on as they are, by a pipe each way. */
export const websocketPeers = [peer('http-proxy'), peer('http-proxy-3'), peer('httpxy')]

/** Static files for Node.js. */
export const filePeers = [peer('send'), peer('sirv')]

/** `send 1.2.1, sirv 3.0.2` */
export function peerVersions(servers) {
  const names = new Set(servers.map(({ dependency }) => dependency))
  return [...names].map((name) => `${name} ${dependencies[name]}`).join(', ')
}

/** Starts each reverse proxy, with an upstream of its own. */
export async function startProxies(proxies, upstream = './upstream.js') {
  const started = []
  for (const proxy of proxies) started.push(await startWithUpstream(proxy, here(upstream)))
  return started
}

/** A reverse proxy that keeps its connections to the upstream. */
function startHaproxyProxy(port, upstreamPort) {
  return startHaproxy(port, upstreamPort, ['mode http', 'http-reuse always', 'timeout client 1h'])
}

function ours(name, kind) {
  const file = here('./xps-server.js')
  return {
    name,
    start: inNode(file, kind),
    startSecure: (port, place, { cert, key }) => inRoomyNode(file, kind, cert, key)(port, place),
  }
}

/** A library of Node.js; `secure` if it is given a certificate and its key. */
export function peer(file, { name = file, package: dependency = file, options = [], secure = false } = {}) {
  const missing = () => (existsSync(here('./peers/node_modules')) ? undefined : 'npm ci --prefix bench/http/peers')
  const start = (port, place) => {
    const files = secure ? Object.values(certificate()) : []
    const start = secure ? inRoomyNode : inNode
    return start(here(`./peers/${file}.js`), ...options, ...files)(port, place)
  }
  return { name, dependency, missing, start }
}

function here(file) {
  return new URL(file, import.meta.url)
}
