import { XpsError } from '../../errors.ts'
import { invalidOption, knownOptions } from '../../options.ts'
import { PhpValue, type StateData, type StateValue } from '../codec/php-serialize.ts'
import type { Commit, CommitResult, Container, ContainerLock, Stored, Summary } from '../container.ts'
import { SqlLocks } from './sql/sql-locks.ts'
import { isFull, SqlCalls, type SqlPool } from './sql/sql-pool.ts'
import { namesOf, type Statements, statementsFor } from './sql/sql-statements.ts'
import { SqlWakeups } from './sql/sql-wakeups.ts'

/** Options of a {@link SqlStore}. */
export interface SqlStoreOptions {
  /** Connections to Postgres: a `Pool` of the package `pg`. It stays the host's, who closes it. */
  pool: SqlPool
  /** The name of the table of sessions, and what the names of the others begin with. @default 'xps_sessions' */
  table?: string
  /** The schema that the tables are in. @default the first of the connection's `search_path` */
  schema?: string
  /** Whether the tables are made at the start where they are not there. @default true */
  migrate?: boolean
  /** Whether one connection of the pool may listen, so that who waits for a lock is woken. @default true */
  listen?: boolean
  /** Whether statements are planned once for each connection. Some poolers between cannot bear it. @default true */
  prepare?: boolean
}

/** Sessions that are listed with one query, and locks that are forgotten with one. */
const perQuery = 1_000

/**
 * Keeps shared sessions in Postgres: a row for each session and one for each value, so that a commit writes what has
 * changed. Several processes may use the tables at a time, each with a pool of its own.
 */
export class SqlStore implements Container {
  readonly name = 'sql'
  readonly #calls: SqlCalls
  readonly #statements: Statements
  readonly #tables: string[]
  readonly #migrate: boolean
  readonly #wakeups: SqlWakeups
  readonly #locks: SqlLocks

  constructor(options: SqlStoreOptions) {
    knownOptions('sql store options', options, ['pool', 'table', 'schema', 'migrate', 'listen', 'prepare'])
    const { pool, table = 'xps_sessions', schema, migrate = true, listen = true, prepare = true } = options
    if (typeof pool !== 'object' || pool === null || typeof pool.query !== 'function') {
      throw invalidOption('pool', pool, 'a pool of connections, such as new Pool() of pg')
    }
    identifier('table', table)
    if (schema !== undefined) identifier('schema', schema)
    for (const [name, given] of Object.entries({ migrate, listen, prepare })) {
      if (typeof given !== 'boolean') throw invalidOption(name, given, 'true or false')
    }
    this.#statements = statementsFor(table, schema)
    this.#tables = namesOf(table, schema)
    this.#migrate = migrate
    this.#calls = new SqlCalls(pool, prepare)
    this.#wakeups = new SqlWakeups(pool, this.#statements.channel, listen)
    this.#locks = new SqlLocks(this.#calls, this.#statements, this.#wakeups)
  }

  /** What makes the tables: for those who make them by a tool of theirs, with `migrate: false`. */
  get definition(): string {
    return this.#statements.definition
  }

  async open(): Promise<void> {
    const { rows } = await this.#calls.run(this.#statements.exist, this.#tables)
    if (rows[0]?.['there'] !== true) {
      if (!this.#migrate) {
        throw new XpsError('XPS_NOT_FOUND', `Postgres: there is no table ${this.#tables[0]} (see migrate)`)
      }
      await this.migrate()
    }
    this.#wakeups.open()
    this.#locks.open()
  }

  /** Makes the tables where they are not there; several may do so at a time. */
  async migrate(): Promise<void> {
    await this.#calls.script(this.#statements.definition)
  }

  async read(id: string): Promise<Stored | undefined> {
    const { rows } = await this.#calls.run(this.#statements.read, [id])
    const [first] = rows
    if (first === undefined) return undefined
    const data: StateData = new Map()
    for (const { key, value, php } of rows) {
      if (key !== null) data.set(textOf(key), php === true ? new PhpValue(textOf(value)) : textOf(value))
    }
    const { created, expires, idle } = first
    return {
      data,
      created: Number(created),
      expires: Number(expires),
      idle: idle === null ? undefined : Number(idle),
    }
  }

  async commit(id: string, stored: Stored, { expect, fence, changes }: Commit): Promise<CommitResult> {
    const whole = expect === 'absent' || changes.cleared
    const [keys, values, php, gone] = columnsOf(whole ? stored.data : changes.keys)
    const { created, expires, idle = null } = stored
    const token = this.#locks.tokenOf(id, fence)
    const parameters = [id, fence, token, created, expires, idle, keys, values, php]
    const { insert, replace, change } = this.#statements
    try {
      const outcome =
        expect === 'absent'
          ? await this.#write(insert, parameters)
          : await (whole ? this.#write(replace, parameters) : this.#write(change, [...parameters, gone]))
      if (outcome === 'done' || outcome === 'fenced') return outcome
      if (expect === 'absent') return 'exists'
      return outcome === 'there' ? 'fenced' : 'missing'
    } catch (error) {
      if (isFull(error)) return 'full'
      throw error
    }
  }

  async destroy(id: string, fence: number): Promise<boolean | 'fenced'> {
    const token = this.#locks.tokenOf(id, fence)
    const outcome = await this.#write(this.#statements.destroy, [id, fence, token])
    return outcome === 'done' || (outcome !== 'missing' && 'fenced')
  }

  async touch(id: string, expires: number, fence?: number): Promise<boolean | 'fenced'> {
    // Who only reads uses a session too, whoever has its lock.
    if (fence === undefined) return (await this.#calls.run(this.#statements.use, [id, expires])).rowCount === 1
    const token = this.#locks.tokenOf(id, fence)
    const outcome = await this.#write(this.#statements.touch, [id, fence, token, expires])
    return outcome === 'done' || (outcome !== 'missing' && 'fenced')
  }

  async *list(): AsyncIterableIterator<Summary> {
    let after = ''
    for (;;) {
      const { rows } = await this.#calls.run(this.#statements.list, [after, perQuery])
      for (const { id, expires } of rows) yield { id: String(id), expires: Number(expires) }
      if (rows.length < perQuery) return
      after = String(rows[rows.length - 1]?.['id'])
    }
  }

  async sweep(now: number, most: number): Promise<string[]> {
    const { rows } = await this.#calls.run(this.#statements.sweep, [now, most])
    // The last look of a sweep: time for locks that nobody has used for long.
    if (rows.length < most) await this.#calls.run(this.#statements.forget, [perQuery])
    return rows.map(({ id }) => String(id))
  }

  lock(
    id: string,
    request: { readonly wait: number; readonly lease: number; readonly signal: AbortSignal },
  ): Promise<ContainerLock | undefined> {
    return this.#locks.lock(id, request)
  }

  async close(): Promise<void> {
    this.#wakeups.close()
    await this.#locks.close()
  }

  async #write(
    statement: Statements['insert'],
    parameters: unknown[],
  ): Promise<'done' | 'fenced' | 'there' | 'missing'> {
    const [row] = (await this.#calls.run(statement, parameters)).rows
    if (row?.['done'] === true) return 'done'
    if (row?.['free'] !== true) return 'fenced'
    return row['there'] === true ? 'there' : 'missing'
  }
}

/** Short enough for what is put behind it, and nothing that would have to be escaped. */
function identifier(name: string, given: string): void {
  if (typeof given !== 'string' || !/^[a-z_][a-z0-9_]{0,47}$/.test(given)) {
    throw invalidOption(name, given, 'a name of small letters, digits and _, of 48 at most')
  }
}

/** Keys and values as the database takes them: a list of each. */
function columnsOf(
  entries: ReadonlyMap<string, StateValue | undefined>,
): [keys: Buffer[], values: Buffer[], php: boolean[], gone: Buffer[]] {
  const [keys, values, php, gone]: [Buffer[], Buffer[], boolean[], Buffer[]] = [[], [], [], []]
  for (const [key, value] of entries) {
    if (value === undefined) gone.push(Buffer.from(key, 'latin1'))
    else {
      keys.push(Buffer.from(key, 'latin1'))
      values.push(Buffer.from(typeof value === 'string' ? value : value.serialized, 'latin1'))
      php.push(typeof value !== 'string')
    }
  }
  return [keys, values, php, gone]
}

function textOf(bytes: unknown): string {
  return (bytes as Buffer).toString('latin1')
}
