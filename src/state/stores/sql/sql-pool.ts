import { createHash } from 'node:crypto'
import { systemClock } from '../../../clock.ts'
import { type ErrorCode, reasonOf, systemCode, XpsError } from '../../../errors.ts'

/** A query with parameters, as `pg` takes one. */
export interface SqlQuery {
  text: string
  values?: unknown[]
  /** With a name, the database plans it once for each connection. */
  name?: string
}

/** What a query gave. */
export interface SqlResult {
  readonly rows: readonly Record<string, unknown>[]
  /** How many rows were written or found. */
  readonly rowCount: number | null
}

/** A connection of a {@link SqlPool} that is kept for a while. */
export interface SqlClient {
  query(query: SqlQuery): Promise<SqlResult>
  on(event: 'notification', listener: (message: { payload?: string | undefined }) => void): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'end', listener: () => void): unknown
  /** Gives it back; with true it is closed. */
  release(destroy?: boolean): void
}

/** A pool of connections to Postgres: a `Pool` of the package `pg`, or what looks like one. */
export interface SqlPool {
  query(query: SqlQuery): Promise<SqlResult>
  /** A connection for one alone. Without it nobody is woken, and who waits for a lock asks again and again. */
  connect?(): Promise<SqlClient>
  /** How many connections it has at most. */
  readonly options?: { readonly max?: number | undefined }
}

/** A query without its parameters. */
export interface Statement {
  readonly name: string
  readonly text: string
}

/** A statement with a name that belongs to its text: no two that differ share one, in any connection. */
export function statement(text: string): Statement {
  const plain = text.replace(/\s+/g, ' ').trim()
  return { name: `xps_${createHash('sha256').update(plain).digest('hex').slice(0, 24)}`, text: plain }
}

/** How often something is tried that the database could not put in order with what others did, and the first pause. */
const mostTries = 5
const firstPause = 5

/** Asks a pool, and says what went wrong in our words. */
export class SqlCalls {
  readonly pool: SqlPool
  readonly #prepare: boolean

  constructor(pool: SqlPool, prepare: boolean) {
    this.pool = pool
    this.#prepare = prepare
  }

  /** Rejects with `XPS_CONNECT`, `XPS_RESET`, `XPS_TIMEOUT`, `XPS_TOO_LARGE` or `XPS_READ`. */
  async run({ name, text }: Statement, values: unknown[]): Promise<SqlResult> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.pool.query(this.#prepare ? { name, text, values } : { text, values })
      } catch (error) {
        if (tries === mostTries || !isConflict(error)) throw failure(error)
        await pause(Math.random() * firstPause * 2 ** tries)
      }
    }
  }

  /** Several statements at once, all of them or none. */
  async script(text: string): Promise<void> {
    try {
      await this.pool.query({ text })
    } catch (error) {
      throw failure(error)
    }
  }
}

/** Whether the disk of the database is full. */
export function isFull(error: unknown): boolean {
  return error instanceof XpsError && systemCode(error.cause) === '53100'
}

/** Serialization failures and deadlocks: nothing was done, and it may be tried again. */
function isConflict(error: unknown): boolean {
  const code = systemCode(error)
  return code === '40001' || code === '40P01'
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    systemClock.after(milliseconds, resolve, true)
  })
}

/** Nothing was sent: nobody listens, or it takes nobody in (now, or as us). */
const notConnected =
  /^(ECONNREFUSED|ENOENT|EACCES|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|57P03|53300|3D000|28...)$/
/** It was sent, and nothing is known of the outcome. */
const broken = /^(ECONNRESET|EPIPE|08...|57P0[124])$/

/** The error for a program. Messages of Postgres name tables and rules; values are in its `detail` only. */
function failure(error: unknown): XpsError {
  const reason = reasonOf(error)
  const code = codeOf(systemCode(error) ?? '', reason)
  return new XpsError(code, `Postgres: ${reason}`, {
    origin: 'upstream',
    cause: error,
    ...(code === 'XPS_TIMEOUT' ? { reason: 'reply' } : {}),
    ...(code === 'XPS_CONNECT' ? { retryable: true } : {}),
  })
}

function codeOf(code: string, reason: string): ErrorCode {
  if (notConnected.test(code)) return 'XPS_CONNECT'
  if (broken.test(code)) return 'XPS_RESET'
  // A statement took too long, or one of its limits is over.
  if (code === '57014') return 'XPS_TIMEOUT'
  if (/^54...$/.test(code)) return 'XPS_TOO_LARGE'
  // The package's own have no code.
  if (/timeout.*connect|connection timeout/i.test(reason)) return 'XPS_CONNECT'
  if (/read timeout/i.test(reason)) return 'XPS_TIMEOUT'
  if (/connection (terminated|ended|closed)|not queryable|client was closed|after calling end/i.test(reason)) {
    return 'XPS_RESET'
  }
  return 'XPS_READ'
}
