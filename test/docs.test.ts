import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { transform } from 'esbuild'
import ts from 'typescript'
import { beforeAll, describe, expect, it } from 'vitest'
import { errorCodes } from '../src/errors.ts'
import { closedPort, dial, TestServer } from './support/net.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

/** What users import, as it was built. */
const entries: Record<string, string> = Object.fromEntries(
  Object.entries(JSON.parse(read('package.json')).exports as Record<string, string | { default: string }>).flatMap(
    ([name, to]) => (typeof to === 'string' ? [] : [[name.replace(/^[.]/, 'xps'), to.default]]),
  ),
)

/** The pages that people write; the benchmarks and the reports of the public surface are written by tools. */
const docs = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md') && !name.startsWith('benchmarks'))
const pages = ['README.md', 'CHANGELOG.md', ...docs.map((name) => `docs/${name}`)]

/** A member of an interface in the sources, and what its comment gives as `@default`. */
interface Member {
  name: string
  type: string
  fallback: string | undefined
}

/** The interfaces of the sources by name, with the members that they declare themselves. */
const interfaces = new Map<string, Member[]>()
/** What they extend. */
const parents = new Map<string, string[]>()
for (const file of readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })) {
  if (!file.endsWith('.ts')) continue
  ts.forEachChild(sourceFile(`src/${file}`), (node) => {
    if (!ts.isInterfaceDeclaration(node)) return
    // What has no name is an index: it stands for names that are not ours.
    interfaces.set(
      node.name.text,
      node.members.map(memberOf).filter(({ name }) => name !== ''),
    )
    parents.set(
      node.name.text,
      (node.heritageClauses ?? []).flatMap(({ types }) => types.map((type) => type.expression.getText())),
    )
  })
}

beforeAll(() => {
  for (const file of Object.values(entries)) {
    if (!existsSync(join(root, file))) throw new Error(`${file} is missing: run \`npm run build\``)
  }
})

describe('snippets', () => {
  for (const { name, code, runs } of pages.flatMap(snippetsOf)) {
    it(`${name} is JavaScript, and imports what there is`, async () => {
      await transform(code, { loader: 'js', format: 'esm' })
      for (const [, names = '', from = ''] of code.matchAll(/^import \{([^}]*)\} from '([^']+)'/gm)) {
        const path = entries[from]
        if (path === undefined) expect(from).toMatch(/^node:/)
        else
          expect(Object.keys(await import(join(root, path)))).toEqual(
            expect.arrayContaining(names.trim().split(/\s*,\s*/)),
          )
      }
    })

    if (runs) {
      it(`${name} runs, and prints what it says`, async () => {
        const { output, errors, exitCode } = await runModule(code)
        expect(errors).toBe('')
        expect(exitCode).toBe(0)
        expect(output).toBe([...code.matchAll(/^ *\/\/ → (.*)\n/gm)].map(([, line]) => `${line}\n`).join(''))
      })
    }
  }

  it('the first program relays to an upstream, sends a file, and drains', async () => {
    await using upstream = await TestServer.start()
    const [relayPort, filePort] = [await closedPort(), await closedPort()]
    const first = snippetsOf('README.md').find(({ code }) => code.includes('portRouter'))
    const code = first?.code
      .replaceAll('8001', String(relayPort))
      .replaceAll('8002', String(filePort))
      .replace('127.0.0.1:3000', upstream.address)
    const program = runModule(`${code}\nconsole.log('ready')`, async (child) => {
      await new Promise((resolve) => child.stdout.once('data', resolve))
      const reader = await dial(filePort)
      expect(await reader.text()).toBe(read('examples/public/sample.txt'))
      reader.end()
      const client = await dial(relayPort)
      client.end('a question')
      const peer = await upstream.accept()
      expect(await peer.text()).toBe('a question')
      child.kill('SIGTERM')
      peer.end('an answer')
      expect(await client.text()).toBe('an answer')
    })
    expect(await program).toEqual({ output: 'ready\nsession-1 done\nsession-2 done\n', errors: '', exitCode: 0 })
  })
})

describe('links', () => {
  for (const page of pages) {
    it(`of ${page} lead somewhere`, () => {
      for (const [, target = ''] of read(page).matchAll(/\]\((?!https:)([^)]+)\)/g)) {
        const [path = '', anchor] = target.split('#')
        const file = path === '' ? page : join(dirname(page), path)
        expect(existsSync(join(root, file)), target).toBe(true)
        if (anchor !== undefined) expect(anchorsOf(read(file)), target).toContain(anchor)
      }
    })
  }
})

describe('docs/errors.md', () => {
  it('has one row for each code, and no other', () => {
    const codes = rowsOf(sectionOf('docs/errors.md', '## Codes')).map(([code]) => namesIn(code)[0])
    expect(codes).toEqual(errorCodes)
  })
})

describe('docs/events.md', () => {
  it('has one row for each event, with its arguments, and no other', () => {
    const told = [...interfaces].flatMap(([name, members]) =>
      name.endsWith('Events')
        ? members.map(({ name: event, type }) => `${name.slice(0, -6)} ${event}(${argumentsOf(type)})`)
        : [],
    )
    const rows = rowsOf(read('docs/events.md')).flatMap(([who, event, given]) =>
      namesIn(event).map((name) => `${namesIn(who)[0]} ${name}(${namesIn(given).join(', ')})`),
    )
    expect(rows.toSorted()).toEqual(told.toSorted())
  })
})

describe('docs/options.md', () => {
  const names = withParts(publicTypes().filter((name) => /(Options|Patch)$/.test(name)))

  it('has a section for each interface of options, and no other', () => {
    const sections = [...read('docs/options.md').matchAll(/^### `(\w+)`$/gm)].map(([, name]) => name)
    expect(sections.toSorted()).toEqual(names.toSorted())
  })

  for (const name of names) {
    it(`says the type and default of each of the ${name}, and has no other`, () => {
      const rows = rowsOf(sectionOf('docs/options.md', `### \`${name}\``))
      const described = new Map(rows.flatMap((row) => namesIn(row[0]).map((option) => [option, row] as const)))
      const members = interfaces.get(name) ?? []
      const inherited = [...described.keys()].filter((option) => !members.some((member) => member.name === option))
      for (const option of inherited) expect(described.get(option)?.[3], option).toMatch(/^As for /)
      for (const { name: option, fallback } of members) {
        const row = described.get(option)
        expect(row?.[1], option).toBeTruthy()
        if (fallback !== undefined) expect(row?.[2], option).toBe(fallback)
      }
    })
  }
})

describe('docs/from-http-proxy.md', () => {
  const rowsUnder = (heading: string): string[] =>
    rowsOf(sectionOf('docs/from-http-proxy.md', heading)).flatMap(([first]) => namesIn(first))

  it('has each option of the proxy, and no other', () => {
    const options = (interfaces.get('ProxyServerOptions') ?? []).map(({ name }) => name)
    expect(options.length).toBeGreaterThan(30)
    expect(rowsUnder('## Options').toSorted()).toEqual(options.toSorted())
  })

  it('has each event, and those that are not there', () => {
    const events = (interfaces.get('ProxyServerEvents') ?? []).map(({ name }) => name)
    expect(rowsUnder('## Events').toSorted()).toEqual([...events, 'proxySocket'].toSorted())
  })
})

describe('docs/admission.md', () => {
  it('gives the defaults that the code has', () => {
    const [limits = [], timeouts = []] = ['LimitOptions', 'TimeoutOptions'].map((name) => interfaces.get(name))
    const rows = rowsOf(read('docs/admission.md'))
    for (const { name, fallback } of [...limits, ...timeouts]) {
      const row = rows.find(([option]) => option === `\`${name}\``)
      expect(row, name).toBeDefined()
      if (fallback !== undefined) expect(firstWord(row?.[1]?.replace(/[,`]/g, '')), name).toBe(firstWord(fallback))
    }
  })
})

describe('stats()', () => {
  /** Where the numbers of each are. */
  const places: Record<string, [page: string, heading: string]> = {
    Stats: ['docs/admission.md', '## Numbers'],
    HttpStats: ['docs/http.md', '## Numbers'],
    OriginStats: ['docs/http.md', '## Numbers'],
    HealthStats: ['docs/upstreams.md', '### Health checks'],
    ProxyServerStats: ['docs/from-http-proxy.md', '## Methods'],
    CookieSessionsStats: ['docs/cookie-sessions.md', '## Numbers'],
    SoapStats: ['docs/soap.md', '## Numbers'],
    StaticNumbers: ['docs/static.md', '## The cache'],
    StateServerStats: ['docs/state.md', '## Numbers'],
    SharedSessionsStats: ['docs/state.md', '## Numbers'],
    LockNumbers: ['docs/state.md', '## Numbers'],
    StateClientStats: ['docs/state.md', '## Numbers'],
  }

  it('is of the interfaces that are known here', () => {
    const all = [...interfaces.keys()].filter((name) => /Stats$|Numbers$/.test(name))
    expect(Object.keys(places).toSorted()).toEqual(all.toSorted())
  })

  for (const [name, [page, heading]] of Object.entries(places)) {
    it(`has each of the ${name} on ${page}`, () => {
      const words = namesIn(sectionOf(page, heading)).flatMap((text) => text.match(/\w+/g) ?? [])
      for (const { name: field } of interfaces.get(name) ?? []) expect(words, field).toContain(field)
    })
  }
})

describe('docs/command-line.md', () => {
  const sources = readdirSync(join(root, 'src/cli')).map((file) => read(`src/cli/${file}`))

  it('has one row for each flag that is taken, and no other', () => {
    const rows = rowsOf(read('docs/command-line.md')).flatMap(([first]) => namesIn(first))
    const described = rows.flatMap((text) => /^--([\w-]+)/.exec(text)?.[1] ?? [])
    const taken = sources.flatMap((source) => [...source.matchAll(/'?([\w-]+)'?: \{ type: '(?:string|boolean)'/g)])
    expect([...new Set(described)].toSorted()).toEqual([...new Set(taken.map(([, flag]) => flag))].toSorted())
  })

  it('has the variables that are read', () => {
    const variables = sources.flatMap((source) => [...source.matchAll(/process\.env\['(\w+)'\]/g)])
    expect(variables.length).toBeGreaterThan(2)
    for (const [, name = ''] of variables) expect(namesIn(read('docs/command-line.md'))).toContain(name)
  })
})

/** A piece of JavaScript on a page. After ```js it is only read, after ```js run it is run. */
interface Snippet {
  name: string
  code: string
  runs: boolean
}

function snippetsOf(page: string): Snippet[] {
  const found = [...read(page).matchAll(/^```js( run)?\n(.*?)^```$/gms)]
  return found.map(([, run, code = ''], index) => ({ name: `${page} ${index + 1}`, code, runs: run !== undefined }))
}

/** Runs code as a module of this package. */
async function runModule(
  code: string,
  during?: (child: ReturnType<typeof start>) => Promise<void>,
): Promise<{ output: string; errors: string; exitCode: number | null }> {
  const child = start()
  const timer = setTimeout(() => child.kill('SIGKILL'), 50_000)
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  child.stdin.end(code)
  try {
    const told = Promise.all([text(child.stdout), text(child.stderr)])
    await during?.(child)
    const [output, errors] = await told
    return { output, errors, exitCode: await ended }
  } finally {
    clearTimeout(timer)
    child.kill('SIGKILL')
  }
}

function start() {
  const { PATH } = process.env
  return spawn(process.execPath, ['--input-type=module'], { cwd: root, env: PATH === undefined ? {} : { PATH } })
}

/** The part of a page that begins with a heading, up to the next. */
function sectionOf(page: string, heading: string): string {
  const [, after = ''] = read(page).split(`${heading}\n`)
  return after.split(/^#/m)[0] ?? ''
}

/** The anchors that a page has for its headings. */
function anchorsOf(page: string): string[] {
  return [...page.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\w\s-]/g, '')
      .replace(/\s/g, '-'),
  )
}

/** The cells of all table rows of a text, without those of headings. */
function rowsOf(markdown: string): string[][] {
  const rows = markdown.split('\n').map((line) => (/^\|.*\|$/.test(line) ? line.slice(1, -1).split('|') : undefined))
  return rows.flatMap((row, index) => {
    const isHeading = row === undefined || isRuler(row) || isRuler(rows[index + 1])
    return isHeading ? [] : [row.map((cell) => cell.trim())]
  })
}

function isRuler(row: string[] | undefined): boolean {
  return row?.every((cell) => /^ *-+ *$/.test(cell)) === true
}

function firstWord(text = ''): string | undefined {
  return text.split(' ')[0]
}

/** What stands in backquotes in a cell. */
function namesIn(cell = ''): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name)
}

/** The names of the arguments of an event: of `[session: Session, of: number]`, `session, of`. */
function argumentsOf(tuple: string): string {
  return [...tuple.matchAll(/(\w+)\??:/g)].map(([, name]) => name).join(', ')
}

function sourceFile(path: string): ts.SourceFile {
  return ts.createSourceFile(path, read(path), ts.ScriptTarget.Latest, true)
}

function memberOf(member: ts.TypeElement): Member {
  const comment = ts
    .getJSDocCommentsAndTags(member)
    .map((part) => part.getText())
    .join('\n')
  return {
    name: member.name?.getText() ?? '',
    type: ts.isPropertySignature(member) ? (member.type?.getText() ?? '') : '',
    fallback: /@default (.+?)\s*(?:\*\/|\n)/.exec(comment)?.[1],
  }
}

/** The names that the public entries export. */
function publicTypes(): string[] {
  const names: string[] = []
  for (const entry of ['index.ts', 'http/index.ts', 'state/index.ts', 'http-sessions/index.ts', 'soap/index.ts']) {
    ts.forEachChild(sourceFile(`src/${entry}`), (node) => {
      if (!ts.isExportDeclaration(node) || node.exportClause === undefined) return
      if (ts.isNamedExports(node.exportClause)) names.push(...node.exportClause.elements.map(({ name }) => name.text))
    })
  }
  return names
}

/** Options, and the options that they are made of or have as values, which have names of their own. */
function withParts(names: readonly string[]): string[] {
  const all = new Set(names)
  for (const name of all) {
    const types = [...(parents.get(name) ?? []), ...(interfaces.get(name) ?? []).map(({ type }) => type)]
    for (const [part] of types.join(' ').matchAll(/\b\w+Options\b/g)) if (interfaces.has(part)) all.add(part)
  }
  return [...all]
}
