import { createHash, timingSafeEqual } from 'node:crypto'
import type { ListenPlace, Protocol } from '../core/client-session.ts'
import type { Connection } from '../core/connection.ts'
import { mustBeCalled } from '../core/must-be-called.ts'
import type { XpsError } from '../errors.ts'
import { Lifetime } from '../lifetime/lifetime.ts'
import { bytesOption, invalidOption, knownOptions } from '../options.ts'
import { commands, moreCommands } from './commands.ts'
import type { Awaitable, Container } from './container.ts'
import { Guesses, type GuessOptions, guessNames } from './guesses.ts'
import type { ServerScope, StateCommand, StateServerStats } from './server-scope.ts'
import { StateSession } from './session.ts'
import { SharedSessions, type SharedSessionsOptions, sharedSessionsNames } from './shared-sessions.ts'

/** Options of {@link stateServer}. */
export interface StateServerOptions extends SharedSessionsOptions, GuessOptions {
  /** Where shared sessions are kept; or `SharedSessions`, which then have the other options. */
  store: Container | SharedSessions
  /**
   * What a client must say with `auth` before anything else: one of the secrets, or what a function finds right.
   * @default nothing
   */
  auth?: string | readonly string[] | ((secret: string) => Awaitable<boolean>)
  /** Whether a listener may be reached from other machines although there is no `auth`. @default false */
  public?: boolean
  /** Whether clients may list all ids, and watch what happens. Whoever knows an id has the session. @default false */
  admin?: boolean
  /** The longest line. A number, or text such as `'1 MiB'`. @default 1048576 */
  maxLineLength?: number | string
  /** Commands of the host's own, by name. @default none */
  commands?: Readonly<Record<string, StateCommand>>
}

/** The protocol of a state server, and what can be asked of it while it runs. */
export interface StateServer extends Protocol {
  (client: Connection): StateSession
  listensOn(where: ListenPlace): ListenPlace
  /** What it serves; a program may use them as well. */
  readonly sessions: SharedSessions
  stats(): StateServerStats
}

const ownNames = ['store', 'auth', 'public', 'admin', 'maxLineLength', 'commands']

/**
 * Makes the protocol of a server of shared sessions: give it to a listener. All options are checked at once.
 *
 * Without a host it listens on this machine only. The container is opened with the first client, and closed with the
 * last listener.
 *
 * ```ts
 * await core.listen(9090, { protocol: stateServer({ store: new FileStore('sessions') }) })
 * ```
 */
export function stateServer(options: StateServerOptions): StateServer {
  knownOptions('state server options', options, [...ownNames, ...guessNames, ...sharedSessionsNames])
  const hub = new Hub(options)
  const scope = scopeOf(options, hub)
  const serve = (client: Connection): StateSession => new StateSession(client, scope, hub.serve(client.entrance))
  const server = Object.assign(serve, {
    listensOn: (where: ListenPlace) => placeFor(where, scope.auth !== undefined || options.public === true),
    stats: () => scope.stats(),
  })
  Object.defineProperty(server, 'sessions', { get: () => hub.sessions })
  return server as StateServer
}

mustBeCalled('stateServer', stateServer)

/** The shared sessions of a server, for as long as somebody listens. */
class Hub {
  readonly live = new Set<StateSession>()
  readonly #given: SharedSessions | undefined
  readonly #make: () => SharedSessions
  readonly #listeners = new Set<Lifetime>()
  #made: SharedSessions | undefined

  constructor({ store, ...options }: StateServerOptions) {
    const forSessions: Record<string, unknown> = {}
    for (const name of sharedSessionsNames) {
      const given = options[name as keyof typeof options]
      if (given !== undefined) forSessions[name] = given
    }
    if (store instanceof SharedSessions) {
      const [other] = Object.keys(forSessions)
      if (other !== undefined) throw invalidOption(other, 'given', 'given to the SharedSessions that are the store')
      this.#given = store
    }
    this.#make = () => {
      const sessions = new SharedSessions(store as Container, forSessions as SharedSessionsOptions)
      sessions.on('fault', (error) => this.#report(error))
      return sessions
    }
    if (this.#given === undefined) this.#made = this.#make()
  }

  get sessions(): SharedSessions {
    if (this.#given !== undefined) return this.#given
    if (this.#made === undefined || this.#made.phase === 'draining' || this.#made.phase === 'closed') {
      this.#made = this.#make()
    }
    return this.#made
  }

  /** The sessions for a client that has come in somewhere. */
  serve(entrance: unknown): SharedSessions {
    if (entrance instanceof Lifetime && this.#given === undefined && !this.#listeners.has(entrance)) {
      this.#listeners.add(entrance)
      entrance.own(() => this.#closed(entrance))
    }
    return this.sessions
  }

  #closed(listener: Lifetime): Promise<unknown> | undefined {
    this.#listeners.delete(listener)
    return this.#listeners.size === 0 ? this.#made?.close() : undefined
  }

  /** Tells the core of a fault, by any session that is in its tree. */
  #report(error: XpsError): void {
    const [session] = this.live
    if (session === undefined) process.emitWarning(error)
    else session.report(error)
  }
}

function scopeOf(options: StateServerOptions, hub: Hub): ServerScope {
  const { admin = false, public: open = false } = options
  if (typeof admin !== 'boolean') throw invalidOption('admin', admin, 'true or false')
  if (typeof open !== 'boolean') throw invalidOption('public', open, 'true or false')
  const own = ownCommands(options.commands ?? {})
  const guesses = new Guesses(options)
  return {
    maxLineLength: bytesOption('maxLineLength', options.maxLineLength ?? 1024 ** 2),
    auth: authOf(options.auth),
    admin,
    own,
    names: [...moreCommands.keys(), ...own.keys()],
    guesses,
    commands: 0,
    errors: 0,
    stats() {
      const { commands: count, errors } = this
      return { connections: hub.live.size, commands: count, errors, ...guesses.numbers, sessions: hub.sessions.stats() }
    },
    join: (session) => void hub.live.add(session as StateSession),
    leave: (session) => void hub.live.delete(session as StateSession),
    watch,
  }
}

function watch(sessions: SharedSessions, tell: (line: string) => void): () => void {
  const committed = (id: string): void => tell(`committed ${id}`)
  const destroyed = (id: string): void => tell(`destroyed ${id}`)
  const expired = (id: string): void => tell(`expired ${id}`)
  const regenerated = (id: string, before: string): void => tell(`regenerated ${id} ${before}`)
  sessions.on('committed', committed).on('destroyed', destroyed).on('expired', expired).on('regenerated', regenerated)
  return () => {
    sessions.off('committed', committed).off('destroyed', destroyed)
    sessions.off('expired', expired).off('regenerated', regenerated)
  }
}

function ownCommands(given: Readonly<Record<string, StateCommand>>): Map<string, StateCommand> {
  const own = new Map<string, StateCommand>()
  for (const [name, command] of Object.entries(given)) {
    if (!/^[a-z][a-z0-9_]*$/.test(name)) throw invalidOption('commands', name, 'named with small letters, digits and _')
    if (commands.has(name) || moreCommands.has(name)) throw invalidOption('commands', name, 'named as no other command')
    if (typeof command !== 'function') throw invalidOption(`commands.${name}`, command, 'a function')
    own.set(name, command)
  }
  return own
}

function authOf(auth: StateServerOptions['auth']): ServerScope['auth'] {
  if (auth === undefined || typeof auth === 'function') return auth
  const secrets = typeof auth === 'string' ? [auth] : auth
  if (
    !Array.isArray(secrets) ||
    secrets.length === 0 ||
    !secrets.every((one) => typeof one === 'string' && one !== '')
  ) {
    throw invalidOption('auth', auth, 'a secret, a list of secrets or a function')
  }
  const digests = secrets.map(digestOf)
  // All are compared, whichever it is, and in the same time.
  return (secret) => {
    const given = digestOf(secret)
    return digests.map((digest) => timingSafeEqual(digest, given)).includes(true)
  }
}

function digestOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}

function placeFor(where: ListenPlace, guarded: boolean): ListenPlace {
  if ('path' in where) return where
  const { host = '127.0.0.1' } = where
  if (!guarded && !/^(localhost|127(\.\d{1,3}){3}|::1)$/.test(host)) {
    throw invalidOption('host', host, 'of this machine (127.0.0.1), unless there is `auth` or `public: true`')
  }
  return { ...where, host }
}
