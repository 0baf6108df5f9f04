import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { Core } from '../index.ts'
import { type Container, FileStore, LmdbStore, MemoryStore, StateClient, stateServer } from '../state/index.ts'
import { drain } from './drain.ts'
import { redisStore } from './redis-store.ts'
import { nextSignal } from './signals.ts'
import { UsageError, usage } from './usage.ts'

/** `xps state`: serves shared sessions until a signal comes, or asks a server that runs; resolves to the exit code. */
export async function state(args: string[]): Promise<number> {
  const [verb] = args
  if (verb === undefined || verb.startsWith('-')) return serveState(args)
  const ask = verbs[verb]
  if (ask === undefined) throw new UsageError(`unknown command 'state ${verb}'`)
  const { values, positionals } = parse(args.slice(1), askOptions, true)
  const [id, ...more] = positionals
  if (more.length > 0 || (id !== undefined) !== ask.takesId) {
    throw new UsageError(`state ${verb} takes ${ask.takesId ? 'one id' : 'no id'}`)
  }
  const auth = await secretOf(values)
  const client = usage(
    () => new StateClient(values['server'] ?? '127.0.0.1:9090', auth === undefined ? {} : { auth, idleTimeout: 0 }),
  )
  try {
    return await ask.run(client, id ?? '')
  } finally {
    client.abort()
    await client.closed
  }
}

const verbs: Record<string, { takesId: boolean; run: (client: StateClient, id: string) => Promise<number> }> = {
  ls: {
    takesId: false,
    async run(client) {
      for await (const { id, expires } of client.list()) console.log(`${id}  ${expiryText(expires)}`)
      return 0
    },
  },
  show: {
    takesId: true,
    async run(client, id) {
      const snapshot = await client.read(id)
      if (snapshot === undefined) return missing()
      // As JSON, so that what is in a session cannot write on the terminal.
      for (const [key, value] of snapshot.entries) console.log(`${JSON.stringify(key)} ${JSON.stringify(value)}`)
      return 0
    },
  },
  rm: {
    takesId: true,
    run: async (client, id) => ((await client.destroySession(id)) ? 0 : missing()),
  },
  watch: {
    takesId: false,
    async run(client) {
      const stopping = nextSignal()
      const events = client.watch()
      for (;;) {
        const next = await Promise.race([events.next(), stopping])
        if (next === undefined || next.done === true) return 0
        const { event, id, before } = next.value
        console.log(`${event} ${id}${before === undefined ? '' : ` ${before}`}`)
      }
    },
  },
}

async function serveState(args: string[]): Promise<number> {
  const { values } = parse(args, serveOptions, false)
  const port = Number(values['port'] ?? 9090)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new UsageError(`--port must be a port, got '${values['port']}'`)
  }
  const deadline = milliseconds('--deadline', values['deadline']) ?? 10_000
  const idleLifetime = milliseconds('--idle-lifetime', values['idle-lifetime'])
  const lockTimeout = milliseconds('--lock-timeout', values['lock-timeout'])
  const auth = await secretOf(values)
  const { store, text, close } = await storeOf(values['store'] ?? 'file:sessions')
  const protocol = usage(() =>
    stateServer({
      store,
      admin: values['admin'] === true,
      public: values['public'] === true,
      ...(auth === undefined ? {} : { auth }),
      ...(idleLifetime === undefined ? {} : { idleLifetime }),
      ...(lockTimeout === undefined ? {} : { lockTimeout }),
    }),
  )
  const where = { port, host: values['host'] ?? '127.0.0.1' }
  usage(() => protocol.listensOn(where))
  // What cannot be used is better known now than by the first client.
  await protocol.sessions.open()
  const core = new Core()
  core.on('fault', (error) => console.error(`xps: ${error.message}`))
  const stopping = nextSignal()
  try {
    const { address } = await core.listen({ ...where, protocol })
    console.log(`listening on ${address} → ${text}`)
  } catch (error) {
    core.abort()
    await core.closed
    await protocol.sessions.close()
    await close?.()
    throw error
  }
  await stopping
  const code = await drain(core, deadline, nextSignal())
  await protocol.sessions.close()
  await close?.()
  return code
}

/** Where sessions are kept. */
interface StateStore {
  readonly store: Container
  /** What to print. */
  readonly text: string
  /** Lets go of what is not the store's own. */
  close?(): Promise<void>
}

/** The store of `--store`. */
async function storeOf(text: string): Promise<StateStore> {
  if (text === 'memory') return { store: new MemoryStore(), text }
  const [, kind, folder] = /^(file|lmdb):(.+)$/.exec(text) ?? []
  if (folder !== undefined) {
    return kind === 'lmdb'
      ? { store: new LmdbStore(folder), text: `LMDB in ${folder}` }
      : { store: new FileStore(folder), text: `files in ${folder}` }
  }
  if (/^rediss?:/.test(text)) {
    // What is typed may have a password in it.
    if (!isRedisUrl(text)) throw new UsageError('--store redis://… is no address such as redis://host:6379/0')
    return redisStore(new URL(text))
  }
  throw new UsageError(`--store must be memory, file:DIR, lmdb:DIR or redis://HOST:PORT, got '${text}'`)
}

function isRedisUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { hostname, pathname, search, hash } = new URL(text)
  return hostname !== '' && /^(\/\d{0,9})?$/.test(pathname) && search === '' && hash === ''
}

/** Not from the arguments: those can be seen by everybody on the machine. */
async function secretOf(values: Values): Promise<string | undefined> {
  const file = values['secret-file']
  const secret = file === undefined ? process.env['XPS_STATE_SECRET'] : (await readFile(file, 'utf8')).split(/\r?\n/)[0]
  if (file !== undefined && (secret === undefined || secret === '')) throw new UsageError(`${file} is empty`)
  return secret === '' ? undefined : secret
}

type Values = Record<string, string | undefined> & Partial<Record<'admin' | 'public', boolean>>

const askOptions = { server: { type: 'string' }, 'secret-file': { type: 'string' } } as const
const serveOptions = {
  port: { type: 'string' },
  host: { type: 'string' },
  store: { type: 'string' },
  'secret-file': { type: 'string' },
  admin: { type: 'boolean' },
  public: { type: 'boolean' },
  'idle-lifetime': { type: 'string' },
  'lock-timeout': { type: 'string' },
  deadline: { type: 'string' },
} as const

function parse(
  args: string[],
  options: typeof askOptions | typeof serveOptions,
  allowPositionals: boolean,
): { values: Values; positionals: string[] } {
  try {
    const { values, positionals } = parseArgs({ args, strict: true, allowPositionals, options })
    return { values: values as Values, positionals }
  } catch (error) {
    // Node's message goes on with advice about '--' that does not help here.
    throw new UsageError((error as Error).message.split('. ')[0] ?? 'bad arguments')
  }
}

function milliseconds(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^\d{1,12}$/.test(text)) throw new UsageError(`${option} must be milliseconds, got '${text}'`)
  return Number(text)
}

function expiryText(expires: number): string {
  return expires === Number.POSITIVE_INFINITY ? 'never expires' : `expires ${new Date(expires).toISOString()}`
}

function missing(): number {
  console.error('xps: there is no such session')
  return 1
}
