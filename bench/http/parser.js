// CPU per head of the parser of requests, beside llhttp.
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { temporaryFolder } from '../lib/processes.js'
import { inTurn, median, ratio } from '../lib/statistics.js'
import { warmUp } from './cost.js'
import { request } from './messages.js'

const heads = 20_000
const turns = 3
const question = request('/s')
const fieldCount = 12
const source = '../../src/http/http1/request-reader.ts'

export const httpParser = {
  name: 'http-parser',
  line: 'CPU per head of the parser of requests, beside llhttp, in this process',
  rounds: 21,
  how: `The head of 534 bytes that the clients above send, in one piece, over and over. "As strings" reads the name and value of
each field, which the other parsers cannot leave out. llhttp in WebAssembly is the one that undici carries; Node.js has it
compiled into itself, where only its own \`http\` can use it.`,

  async run({ rounds, quick, tell }) {
    const parsers = [...(await ours()), await webAssembly(), await native()]
    for (const { name, read } of parsers) {
      if (read() !== fieldCount) throw new Error(`${name} did not find ${fieldCount} fields`)
    }
    await inTurn(parsers, warmUp(quick), cpuPerHead, { turns })
    const told = (round) => tell(`round ${round} of ${rounds}`)
    const samples = await inTurn(parsers, rounds, cpuPerHead, { turns, told })
    return {
      figures: [],
      table: {
        head: ['CPU per head', '', 'xps / it'],
        rows: Object.entries(samples).map(([name, values]) => [
          name,
          `${median(values).toFixed(2)} µs`,
          name === 'xps' ? '' : ratio(samples.xps, values).median.toFixed(2),
        ]),
      },
    }
  },
}

function cpuPerHead({ read }) {
  const before = process.cpuUsage()
  for (let left = heads; left > 0; left--) read()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / heads
}

/** The parser is no part of the public surface, so it is built from its source. */
async function ours() {
  const outfile = join(temporaryFolder(), 'parser.mjs')
  const entry = fileURLToPath(new URL(source, import.meta.url))
  await build({ entryPoints: [entry], outfile, bundle: true, format: 'esm', platform: 'node', target: 'node20' })
  const { RequestReader } = await import(pathToFileURL(outfile))
  const reader = new RequestReader({ headBytes: 32_768, targetBytes: 8_192, fields: 100 })
  const head = () => {
    if (reader.read(question, 0) !== question.length) throw new Error('the head is not whole')
    return reader.head
  }
  const strings = () => {
    let count = 0
    for (const [name, value] of head().headers) if (name.length > 0 && value.length > 0) count++
    return count
  }
  return [
    { name: 'xps', read: () => head().headers.size },
    { name: 'xps, as strings', read: strings },
  ]
}

async function webAssembly() {
  const { default: code } = await import('undici/lib/llhttp/llhttp_simd-wasm.js')
  const request = 1
  let fields
  let name
  const text = (at, length) => question.latin1Slice(at - start, at - start + length)
  const env = {
    wasm_on_message_begin: () => 0,
    wasm_on_url: (_, at, length) => (text(at, length) === '/s' ? 0 : -1),
    wasm_on_status: () => 0,
    wasm_on_header_field(_, at, length) {
      name = text(at, length)
      return 0
    },
    wasm_on_header_value(_, at, length) {
      fields.push(name, text(at, length))
      return 0
    },
    wasm_on_headers_complete: () => 0,
    wasm_on_body: () => 0,
    wasm_on_message_complete: () => 0,
  }
  const { exports: llhttp } = await WebAssembly.instantiate(await WebAssembly.compile(code), { env })
  const parser = llhttp.llhttp_alloc(request)
  const start = llhttp.malloc(question.length)
  const read = () => {
    fields = []
    new Uint8Array(llhttp.memory.buffer, start, question.length).set(question)
    if (llhttp.llhttp_execute(parser, start, question.length) !== 0) throw new Error('llhttp refuses the head')
    return fields.length / 2
  }
  return { name: 'llhttp (WebAssembly)', read }
}

async function native() {
  const { HTTPParser } = await import('node:_http_common')
  let fields
  const parser = new HTTPParser()
  parser.initialize(HTTPParser.REQUEST, {})
  parser[HTTPParser.kOnHeadersComplete] = (_major, _minor, headers) => {
    fields = headers
    return 0
  }
  const read = () => {
    if (parser.execute(question) !== question.length) throw new Error('the head is not whole')
    return fields.length / 2
  }
  return { name: 'llhttp (in Node.js)', read }
}
