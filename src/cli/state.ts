import { readFile } from 'node:fs/promises'
import { Core } from '../index.ts'
import { StateClient, type StateClientOptions, stateServer } from '../state/index.ts'
import { milliseconds, parsed } from './arguments.ts'
import { drain } from './drain.ts'
import { nearest } from './nearest.ts'
import { nextSignal } from './signals.ts'
import { stateStore } from './state-store.ts'
import { meant, UsageError, usage } from './usage.ts'

/** `xps state`: serves shared sessions until a signal comes, or asks a server that runs; resolves to the exit code. */
export async function state(args: string[]): Promise<number> {
  const [verb] = args
  if (verb === undefined || verb.startsWith('-')) return serveState(args)
  const ask = verbs[verb]
  if (ask === undefined)
    throw new UsageError(`unknown command 'state ${verb}'${meant(nearest(verb, Object.keys(verbs)))}`)
  const { values, positionals } = parse(args.slice(1), askOptions, true)
  const [id, ...more] = positionals
  if (more.length > 0 || (id !== undefined) !== ask.takesId) {
    throw new UsageError(`state ${verb} takes ${ask.takesId ? 'one id' : 'no id'}`)
  }
  const auth = await secretOf(values)
  const ca = values['ca']
  const options: StateClientOptions = {
    idleTimeout: 0,
    ...(auth === undefined ? {} : { auth }),
    // An authority is for what is encrypted, so that it is asked for with it.
    ...(ca === undefined ? {} : { tls: { ca } }),
  }
  const client = usage(() => new StateClient(values['server'] ?? '127.0.0.1:9090', options))
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
        if (next === undefined) return 0
        if (next.done === true) {
          console.error('xps: the server has closed the connection')
          return 1
        }
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
  const deadline = milliseconds('--deadline', values['deadline'], 0, longest) ?? 10_000
  const idleLifetime = milliseconds('--idle-lifetime', values['idle-lifetime'], 0, longest)
  const lockTimeout = milliseconds('--lock-timeout', values['lock-timeout'], 0, longest)
  const lockLease = milliseconds('--lock-lease', values['lock-lease'], 0, longest)
  const tls = certificateOf(values)
  const auth = await secretOf(values)
  const kept = await stateStore(values['store'] ?? 'file:sessions')
  try {
    const protocol = usage(() =>
      stateServer({
        store: kept.store,
        admin: values['admin'] === true,
        public: values['public'] === true,
        ...(auth === undefined ? {} : { auth }),
        ...(idleLifetime === undefined ? {} : { idleLifetime }),
        ...(lockTimeout === undefined ? {} : { lockTimeout }),
        ...(lockLease === undefined ? {} : { lockLease }),
      }),
    )
    const where = { port, host: values['host'] ?? '127.0.0.1' }
    usage(() => protocol.listensOn(where))
    const core = new Core()
    core.on('fault', (error) => console.error(`xps: ${error.message}`))
    try {
      // What cannot be used is better known now than by the first client.
      await protocol.sessions.open()
      const stopping = nextSignal()
      const { address } = await core.listen({ ...where, protocol, ...tls })
      console.log(`listening on ${tls === undefined ? '' : 'tls://'}${address} → ${kept.text}`)
      await stopping
      return await drain(core, deadline, nextSignal())
    } finally {
      core.abort()
      await core.closed
      await protocol.sessions.close()
    }
  } finally {
    await kept.close?.()
  }
}

/** The files of the certificate and its key, for a listener. */
function certificateOf({ cert, key }: Values): { tls: { cert: string; key: string } } | undefined {
  if (cert === undefined && key === undefined) return undefined
  if (cert === undefined || key === undefined) throw new UsageError('--cert and --key are given both, or none of them')
  return { tls: { cert, key } }
}

/** Not from the arguments: those can be seen by everybody on the machine. */
async function secretOf(values: Values): Promise<string | undefined> {
  const file = values['secret-file']
  const secret = file === undefined ? process.env['XPS_STATE_SECRET'] : await firstLineOf(file)
  if (file !== undefined && secret === '') throw new UsageError(`--secret-file: the file ${file} has no first line`)
  return secret === '' ? undefined : secret
}

async function firstLineOf(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`--secret-file: ${file} cannot be read (${error.code})`)
  })
  return text.split(/\r?\n/)[0] ?? ''
}

type Values = Record<string, string | undefined> & Partial<Record<'admin' | 'public', boolean>>

/** The longest time of a timer, in milliseconds. */
const longest = 2 ** 31 - 1

const askOptions = { server: { type: 'string' }, ca: { type: 'string' }, 'secret-file': { type: 'string' } } as const
const serveOptions = {
  port: { type: 'string' },
  host: { type: 'string' },
  store: { type: 'string' },
  cert: { type: 'string' },
  key: { type: 'string' },
  'secret-file': { type: 'string' },
  admin: { type: 'boolean' },
  public: { type: 'boolean' },
  'idle-lifetime': { type: 'string' },
  'lock-timeout': { type: 'string' },
  'lock-lease': { type: 'string' },
  deadline: { type: 'string' },
} as const

function parse(
  args: string[],
  options: typeof askOptions | typeof serveOptions,
  allowPositionals: boolean,
): { values: Values; positionals: string[] } {
  const { values, positionals } = parsed({ args, strict: true, allowPositionals, options })
  return { values: values as Values, positionals }
}

function expiryText(expires: number): string {
  return expires === Number.POSITIVE_INFINITY ? 'never expires' : `expires ${new Date(expires).toISOString()}`
}

function missing(): number {
  console.error('xps: there is no such session')
  return 1
}
