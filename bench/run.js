// npm run bench                                    lists the benchmarks
// npm run bench -- relay                           runs one and writes its results to docs/benchmarks.md
// npm run bench -- all [--rounds 31] [--quick] [--strict]
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { backlogs } from './admission/backlog.js'
import { bookkeeping } from './admission/bookkeeping.js'
import { overload } from './admission/overload.js'
import { soak } from './admission/soak.js'
import { httpHook } from './http/hook.js'
import { httpMemory } from './http/memory.js'
import { httpParser } from './http/parser.js'
import { httpProxy } from './http/proxy.js'
import { httpSecure } from './http/secure.js'
import { httpStatic } from './http/static.js'
import { websocket } from './http/websocket.js'
import { figuresTable, formatTable, missed } from './lib/figures.js'
import { machine, versions } from './lib/machine.js'
import { checkSystem } from './lib/processes.js'
import { writeReport } from './lib/report.js'
import { connections } from './relay/connections.js'
import { gigabyte } from './relay/gigabyte.js'
import { idle } from './relay/idle.js'
import { relay } from './relay/relay.js'
import { stalled } from './relay/stalled.js'
import { soapEcho } from './soap/echo.js'
import { soapSessions } from './soap/sessions.js'
import { stateDurable } from './state/durable.js'
import { stateHandover } from './state/handover.js'
import { races } from './state/races.js'
import { stateRates } from './state/rates.js'
import { tlsRelay } from './tls/relay.js'

const benchmarks = [
  ...[relay, connections, idle, stalled, gigabyte],
  ...[bookkeeping, overload, soak, backlogs],
  ...[httpProxy, httpStatic, httpHook, httpMemory, httpParser, websocket],
  ...[tlsRelay, httpSecure],
  ...[soapEcho, soapSessions],
  ...[races, stateRates, stateHandover, stateDurable],
]

const { values: options, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    strict: { type: 'boolean', default: false },
  },
})

if (names.length === 0) list()
else await run(names.includes('all') ? benchmarks : names.map(find))

function list() {
  const width = Math.max(...benchmarks.map(({ name }) => name.length))
  console.log('npm run bench -- NAME... [--rounds N] [--quick] [--strict]\n')
  for (const { name, line } of benchmarks) console.log(`  ${name.padEnd(width)}  ${line}`)
  console.log(`  ${'all'.padEnd(width)}  all of them, one after the other\n`)
  console.log('--quick    a few short rounds, to see that it works; nothing is written')
  console.log('--strict   exit code 1 if a target is missed')
}

async function run(chosen) {
  checkSystem()
  build()
  let reached = true
  for (const benchmark of chosen) {
    const rounds = Number(options.rounds ?? (options.quick ? 2 : benchmark.rounds))
    if (!Number.isInteger(rounds) || rounds < 1) fail(`--rounds must be a positive integer, got '${options.rounds}'`)
    const tell = (text) => console.log(`${benchmark.name}: ${text}`)
    tell(benchmark.line)
    const { figures, table, bars } = await benchmark.run({ rounds, quick: options.quick, tell })
    console.log(`\n${formatTable(table)}\n\n${formatTable(figuresTable(figures))}\n`)
    reached &&= !figures.some(missed)
    if (options.quick) continue
    const { name, line, how } = benchmark
    const date = new Date().toISOString().slice(0, 10)
    const circumstances = { rounds, date, machine: machine(), versions: versions() }
    writeReport(
      { name, line, how, ...circumstances, figures, table, bars },
      benchmarks.map((one) => one.name),
    )
  }
  console.log(options.quick ? 'Nothing was written: these rounds were quick ones.' : 'Written to docs/benchmarks.md.')
  if (options.strict && !reached) process.exitCode = 1
}

function find(name) {
  return (
    benchmarks.find((one) => one.name === name) ?? fail(`there is no benchmark '${name}'; npm run bench lists them`)
  )
}

/** What is measured is what is in src/ now. */
function build() {
  const { status } = spawnSync('npm', ['run', '--silent', 'build:js'], { stdio: 'inherit' })
  if (status !== 0) fail('the library does not build, so there is nothing to measure: npm run build:js')
}

function fail(message) {
  console.error(message)
  process.exit(1)
}
