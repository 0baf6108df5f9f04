// Load over HTTP/2, by h2load of nghttp2.
import { spawn, spawnSync } from 'node:child_process'
import { cpuTime, environment, pause } from '../lib/processes.js'

/** What to do if it is not installed, or undefined. */
export function h2loadMissing() {
  const { status } = spawnSync('h2load', ['--version'], { env: environment })
  return status === 0 ? undefined : 'apt-get install nghttp2-client'
}

/** Resolves to microseconds of CPU per request of a server, handshakes included; every answer is counted and as long as it must be. */
export async function cpuPerH2Request({ port, pid }, { expected, requests, clients, streams }) {
  const before = cpuTime(pid)
  const url = `https://127.0.0.1:${port}${expected.target}`
  const told = await run([
    '--npn-list=h2',
    '-n',
    `${requests}`,
    '-c',
    `${clients}`,
    '-m',
    `${streams}`,
    ...browser,
    url,
  ])
  await pause(10)
  const used = cpuTime(pid) - before
  const bytes = /traffic: .*, (?:\S+ \((\d+)\)) data/.exec(told)?.[1]
  const wanted = requests * expected.length
  if (!told.includes(` ${requests} succeeded, 0 failed`) || !told.includes(`status codes: ${requests} 2xx`)) {
    throw new Error(`not every request was answered: ${told}`)
  }
  if (Number(bytes) !== wanted) throw new Error(`${bytes} bytes of bodies, not ${wanted}`)
  return used / requests
}

const browser = [
  'cache-control: max-age=0',
  'upgrade-insecure-requests: 1',
  'user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
  'accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  'sec-fetch-site: same-origin',
  'sec-fetch-mode: navigate',
  'referer: https://shop.example.test/',
  'accept-encoding: gzip, deflate, br, zstd',
  'accept-language: en-GB,en;q=0.9',
  'cookie: session=6f1d2c9ab47e4f0d',
].flatMap((field) => ['-H', field])

function run(args) {
  return new Promise((resolve, reject) => {
    const child = spawn('h2load', args, { stdio: ['ignore', 'pipe', 'pipe'], env: environment })
    let told = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (text) => {
        told += text
      })
    }
    child.once('error', reject)
    child.once('close', (code) => (code === 0 ? resolve(told) : reject(new Error(`h2load: ${told}`))))
  })
}
