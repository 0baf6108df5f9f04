// What admission, timeouts and counting cost per connection: this tree beside the commit before they came.
import { execFileSync } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { cpuTime, pause, startServer, temporaryFolder } from '../lib/processes.js'
import { inTurn, ratio, summary } from '../lib/statistics.js'
import { visits } from '../relay/load.js'
import { startOne, stopAll, xps } from '../relay/proxies.js'

// The last commit of the core by itself.
const before = '9d2ab84'
const root = fileURLToPath(new URL('../..', import.meta.url))
const parallel = 16
const count = 300
const turns = 3

export const bookkeeping = {
  name: 'bookkeeping',
  line: 'CPU per connection beside the core as it was before admission, timeouts and numbers',
  rounds: 31,
  how: `Each connection sends one request, gets 130 B and ends. ${parallel} at a time; in each round both take ${turns} turns of ${count}.
The other is commit ${before}, built from this repository into a temporary folder.`,

  async run({ rounds, tell }) {
    const old = { name: 'before', start: startBuilt(buildOld()) }
    const proxies = [await startOne(xps), await startOne(old)]
    await inTurn(proxies, 10, cpuPerVisit, { turns })
    const samples = await inTurn(proxies, rounds, cpuPerVisit, {
      turns,
      told: (round) => tell(`round ${round} of ${rounds}`),
    })
    await stopAll(proxies)
    return {
      figures: [
        {
          figure: 'CPU per connection, beside the core before',
          ...ratio(samples.xps, samples.before),
          unit: '×',
          most: 1.05,
        },
      ],
      table: {
        head: ['CPU per connection', ''],
        rows: Object.entries(samples).map(([name, values]) => [name, `${summary(values).median.toFixed(0)} µs`]),
      },
    }
  },
}

async function cpuPerVisit({ port, pid }) {
  const start = cpuTime(pid)
  await visits(port, { parallel, count })
  await pause(10)
  return (cpuTime(pid) - start) / count
}

function buildOld() {
  const folder = temporaryFolder()
  const archive = execFileSync('git', ['archive', before], { cwd: root, maxBuffer: 64 * 1024 * 1024 })
  execFileSync('tar', ['x', '-C', folder], { input: archive })
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  execFileSync(join(root, 'node_modules', '.bin', 'tsup'), ['--silent', '--no-dts'], { cwd: folder })
  return folder
}

function startBuilt(folder) {
  const program = `
    const [port, upstreamPort] = process.argv.slice(1).map(Number)
    const { Core } = await import('${pathToFileURL(join(folder, 'dist', 'index.js'))}')
    await new Core().listen({ port, host: '127.0.0.1', backlog: 4096, route: { upstream: '127.0.0.1:' + upstreamPort } })`
  return (port, upstreamPort) =>
    startServer(process.execPath, ['--input-type=module', '-e', program, String(port), String(upstreamPort)], port)
}
