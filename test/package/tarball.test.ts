import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

const classes = [
  'Core',
  'Listener',
  'Connection',
  'Pipe',
  'PipeSource',
  'PipeSink',
  'Session',
  'Upstream',
  'FileSource',
  'XpsError',
]

const esm = `
import * as xps from 'xps'
import { cookieSessions } from 'xps/http-sessions'
import { MemoryStore, SharedSessions } from 'xps/state'
import { inMemory } from 'xps/testing'
import { createRequire } from 'node:module'
const required = createRequire(import.meta.url)('xps')
for (const name of ${JSON.stringify(classes)}) {
  if (typeof xps[name] !== 'function') throw new Error(name + ' is missing')
  if (required[name] !== xps[name]) throw new Error(name + ' differs when required')
}
cookieSessions({ store: new SharedSessions(new MemoryStore()), keys: ['k'.repeat(32)] })
const { client, session } = inMemory(xps.relay({ route: { refuse: 'esm' } }))
client.end()
console.log((await session.closed).message)
`

const cjs = `
const { Core, Pipe, PipeSource, PipeSink, relay, XpsError } = require('xps')
const { inMemory } = require('xps/testing')
const { client, session } = inMemory(relay({ route: { refuse: 'cjs' } }))
client.end()
session.closed.then(async (error) => {
  if (!(error instanceof XpsError)) throw new Error('another XpsError')
  await new Core().close()
  console.log(error.message)
})
`

const ts = `
import { ClientSession, type Connection, Core, isXpsError, Pipe, PipeSink, PipeSource, portRouter, type Protocol, throttle } from 'xps'
import { FakeUpstream, inMemory, ManualClock, sessionContract } from 'xps/testing'

class Shout extends ClientSession {
  protected override onOpen(): void {
    this.pipe(this.client.source, this.client.sink, {
      through: [(chunk) => Buffer.from(Buffer.from(chunk).toString().toUpperCase()), throttle('1 MB/s')],
    })
  }
}
const protocol: Protocol = (client: Connection) => new Shout(client)
const core = new Core({ router: portRouter({ 8001: { upstream: new FakeUpstream().target } }), clock: new ManualClock() })
core.on('session', (session, listener) => console.log(session.id, listener.port))
// @ts-expect-error there is no such event
core.on('sesion', () => {})
const pipe: Pipe = new Pipe(PipeSource.from('x'), new PipeSink({ write() {} }))
const error = await pipe.closed
if (isXpsError(error, 'XPS_REFUSED')) console.log(error.code)
sessionContract({ protocol, exchange: async (client) => void (await client.write('x')) })
const { client } = inMemory(protocol)
client.end('typescript')
console.log((await client.text()).toLowerCase())
await core.close({ deadline: 10 })
`

describe('The package', () => {
  let folder: string
  let packed: string[]

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'xps-consumer-'))
    const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
      cwd: root,
    })
    const [{ filename, files }] = JSON.parse(stdout)
    packed = files.map(({ path }: { path: string }) => path)
    await writeFile(join(folder, 'package.json'), '{ "name": "consumer", "private": true }')
    await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', join(folder, filename)], {
      cwd: folder,
    })
  }, 120_000)

  afterAll(() => rm(folder, { recursive: true, force: true }))

  it('has every file that its pages lead to', async () => {
    const missing: string[] = []
    const pages = packed.filter((path) => path.endsWith('.md'))
    expect(pages).toContain('README.md')
    for (const page of pages) {
      const text = await readFile(join(folder, 'node_modules', 'xps', page), 'utf8')
      for (const [, link = ''] of text.matchAll(/\]\((?![a-z]+:|#)([^)\s#]+)/g)) {
        const path = posix.join(posix.dirname(page), link)
        if (!packed.includes(path)) missing.push(`${page}: ${link}`)
      }
    }
    expect(missing).toEqual([])
  })

  it('has examples that run where they are', async () => {
    const example = join('node_modules', 'xps', 'examples', 'unit-test.js')
    expect((await run(process.execPath, [example], { cwd: folder })).stdout).toMatch(/fail 0$/m)
  })

  it('is built before it is packed', async () => {
    const clone = join(folder, 'clone')
    await mkdir(clone)
    const given = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
    const build = 'node build.cjs'
    await writeFile(join(clone, 'package.json'), JSON.stringify({ ...given, scripts: { ...given.scripts, build } }))
    const make = "const fs = require('node:fs'); fs.mkdirSync('dist'); fs.writeFileSync('dist/cli.js', '')"
    await writeFile(join(clone, 'build.cjs'), make)
    const { stdout } = await run('npm', ['pack', '--dry-run', '--json'], { cwd: clone })
    expect(stdout).toContain('dist/cli.js')
  })

  it('brings only what docs/dependencies.md names, and what that needs', async () => {
    const lock = JSON.parse(await readFile(join(folder, 'package-lock.json'), 'utf8'))
    const installed = Object.keys(lock.packages).filter((path) => path !== '')
    expect(installed.sort()).toEqual([
      'node_modules/compressible',
      'node_modules/content-type',
      'node_modules/debug',
      'node_modules/eventemitter3',
      'node_modules/mime-db',
      'node_modules/mrmime',
      'node_modules/ms',
      'node_modules/negotiator',
      'node_modules/path-to-regexp',
      'node_modules/range-parser',
      'node_modules/saxes',
      'node_modules/xmlchars',
      'node_modules/xps',
    ])
  })

  it('works in an ECMAScript module, and its classes are those that require() gives', async () => {
    await writeFile(join(folder, 'consumer.mjs'), esm)
    expect((await run(process.execPath, ['consumer.mjs'], { cwd: folder })).stdout).toBe('esm\n')
  })

  it('works in CommonJS', async () => {
    await writeFile(join(folder, 'consumer.cjs'), cjs)
    expect((await run(process.execPath, ['consumer.cjs'], { cwd: folder })).stdout).toBe('cjs\n')
  })

  it('works in TypeScript, strictly, its declarations checked too', async () => {
    await writeFile(join(folder, 'consumer.mts'), ts)
    const types = join(root, 'node_modules', '@types')
    const options = {
      module: 'nodenext',
      target: 'es2022',
      strict: true,
      outDir: 'out',
      typeRoots: [types],
      types: ['node'],
    }
    await writeFile(
      join(folder, 'tsconfig.json'),
      JSON.stringify({ compilerOptions: options, files: ['consumer.mts'] }),
    )
    await run(join(root, 'node_modules', '.bin', 'tsc'), ['-p', folder], { cwd: folder }).catch((error) => {
      throw new Error(error.stdout)
    })
    expect((await run(process.execPath, ['out/consumer.mjs'], { cwd: folder })).stdout).toBe('typescript\n')
  })

  it('has the command line', async () => {
    const { stdout } = await run('npx', ['--no-install', 'xps', '--version'], { cwd: folder })
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  })

  for (const [store, line] of [
    ['postgres://127.0.0.1/sessions', 'the package that speaks to Postgres is not there: npm install pg'],
  ] as const) {
    it(`says in one line which package ${store} needs`, async () => {
      const failure = run(join('node_modules', '.bin', 'xps'), ['state', '--store', store], { cwd: folder })
      await expect(failure).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining(`xps: ${line}\n`) })
    })
  }
})
