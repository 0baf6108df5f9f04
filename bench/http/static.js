// CPU per request of a static site, for small, large and huge files, beside nginx and libraries for Node.js.
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { temporaryFolder } from '../lib/processes.js'
import { inTurn, median, ratio } from '../lib/statistics.js'
import { cpuPerRequest, warmUp } from './cost.js'
import { files } from './messages.js'
import { filePeers, installed, nginxFiles, peerVersions, startBefore, stopAll, xpsFiles } from './servers.js'

const turns = 3
const sizes = [
  { title: '1 KB', expected: files.small, clients: 32, requests: 4_000, most: 0.9 },
  { title: '100 KB', expected: files.large, clients: 32, requests: 800, most: 1.4 },
  { title: '256 MB', expected: files.huge, clients: 1, requests: 1, firsts: 0, most: 2.5 },
]

export const httpStatic = {
  name: 'http-static',
  line: 'CPU per request of a static file, beside nginx, send and sirv',
  rounds: 21,
  how: `As above, without an upstream; the huge file is fetched over one connection. In each round each server takes ${turns}
turns of ${sizes.map((size) => `${size.requests.toLocaleString('en')} (${size.title})`).join(', ')} requests. nginx: one worker, \`sendfile on\`, \`open_file_cache max=1000\`, no access log,
all else as by default. The files are in the kernel's page cache. ${peerVersions(filePeers)}.`,

  async run({ rounds, quick, tell }) {
    const folder = temporaryFolder()
    for (const file of Object.values(files)) await write(folder, file)
    const servers = []
    for (const server of installed([xpsFiles, nginxFiles, ...filePeers], tell)) {
      servers.push(await startBefore(server, folder))
    }
    const inRound = quick ? 1 : turns
    const results = []
    for (const size of sizes) {
      const measure = (server) => cpuPerRequest(server, size)
      await inTurn(servers, warmUp(quick), measure, { turns: inRound })
      const told = (round) => tell(`${size.title}, round ${round} of ${rounds}`)
      const samples = await inTurn(servers, rounds, measure, { turns: inRound, told })
      results.push({ size, samples })
    }
    await stopAll(servers)
    return { figures: results.map(figure), table: table(results), bars: bars(results) }
  },
}

async function write(folder, { target, length, block }) {
  function* pieces() {
    for (let left = length; left > 0; left -= block.length) yield block.subarray(0, left)
  }
  await pipeline(Readable.from(pieces()), createWriteStream(join(folder, target)))
}

function figure({ size, samples }) {
  const measured = samples.nginx === undefined ? { missing: 'not installed' } : ratio(samples.xps, samples.nginx)
  return {
    figure: `Static file, CPU per request (${size.title}), beside nginx`,
    ...measured,
    unit: '×',
    most: size.most,
  }
}

function table(results) {
  return {
    head: ['CPU per request', ...results.flatMap(({ size }) => [size.title, 'xps / it'])],
    rows: Object.keys(results[0].samples).map((name) => [
      name,
      ...results.flatMap(({ samples }) => [
        time(median(samples[name])),
        name === xpsFiles.name ? '' : ratio(samples.xps, samples[name]).median.toFixed(2),
      ]),
    ]),
  }
}

function time(microseconds) {
  return microseconds < 10_000 ? `${microseconds.toFixed(1)} µs` : `${(microseconds / 1_000).toFixed(0)} ms`
}

/** The huge file would need another unit. */
function bars(results) {
  return results.slice(0, 2).map(({ size, samples }) => ({
    title: `${size.title} file`,
    axis: 'CPU per request, µs (shorter is better)',
    values: Object.entries(samples).map(([name, values]) => ({ name, value: median(values) })),
  }))
}
