// The servers that the HTTP benchmarks compare: ours, libraries for Node.js, and two that are written in C.
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { freePort, startServer } from '../lib/processes.js'
import { startBefore, stopAll } from '../relay/proxies.js'
import { haproxyMissing, startHaproxy } from './haproxy.js'
import { nginxMissing, startNginxFiles, startNginxProxy } from './nginx.js'

export { startBefore, stopAll }

const { dependencies } = JSON.parse(readFileSync(new URL('./peers/package.json', import.meta.url)))

export const xps = ours('xps', 'proxy')
export const pipelined = ours('xps, pipelined', 'pipeline')
export const hooked = ours('xps, with a hook', 'hook')
export const xpsFiles = ours('xps', 'files')
export const xpsAnswer = ours('xps', 'answer')
export const nodeServer = { name: 'http.Server', start: startNode('./node-server.js') }

export const nginx = { name: 'nginx', missing: nginxMissing, start: startNginxProxy }
export const nginxFiles = { name: 'nginx', missing: nginxMissing, start: startNginxFiles }
export const haproxy = { name: 'HAProxy', missing: haproxyMissing, start: startHaproxy }

/** Reverse proxies for Node.js, each with connections to the upstream that are kept. */
export const peers = [
  peer('http-proxy'),
  peer('http-proxy-3'),
  peer('httpxy'),
  peer('fast-proxy', { name: 'fast-proxy (http)', options: ['http'] }),
  peer('fast-proxy', { name: 'fast-proxy (undici)', options: ['undici'] }),
  peer('fastify-http-proxy', { package: '@fastify/http-proxy', name: '@fastify/http-proxy' }),
]

/** Static files for Node.js. */
export const filePeers = [peer('send'), peer('sirv')]

/** `send 1.2.1, sirv 3.0.2` */
export function peerVersions(servers) {
  const names = new Set(servers.map(({ dependency }) => dependency))
  return [...names].map((name) => `${name} ${dependencies[name]}`).join(', ')
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

/** Starts each reverse proxy, with an upstream of its own: what one left in the kernel does not slow the next one. */
export async function startProxies(proxies) {
  const started = []
  for (const proxy of proxies) {
    const upstreamPort = await freePort()
    const upstream = await startServer(process.execPath, [pathOf('./upstream.js'), upstreamPort], upstreamPort)
    started.push({ ...(await startBefore(proxy, upstreamPort)), upstream })
  }
  return started
}

function ours(name, kind) {
  const start = (port, place) =>
    startServer(process.execPath, [pathOf('./xps-server.js'), port, kind, place ?? ''], port)
  return { name, start }
}

function peer(file, { name = file, package: dependency = file, options } = {}) {
  const missing = () =>
    existsSync(new URL('./peers/node_modules', import.meta.url)) ? undefined : 'npm ci --prefix bench/http/peers'
  return { name, dependency, missing, start: startNode(`./peers/${file}.js`, options) }
}

function startNode(file, options = []) {
  return (port, place) => startServer(process.execPath, [pathOf(file), port, place ?? '', ...options], port)
}

function pathOf(file) {
  return fileURLToPath(new URL(file, import.meta.url))
}
