import { XpsError } from '../index.ts'
import { SqlStore } from '../state/index.ts'

/** A store that has something to close besides. */
export interface PostgresStore {
  readonly store: SqlStore
  /** What to print: nothing of it is secret. */
  readonly text: string
  close(): Promise<void>
}

/** How long a connection, and how long an answer may take, in milliseconds. */
const connectTimeout = 5_000
const queryTimeout = 30_000

/**
 * Sessions in the Postgres of a URL; what that does not say (a password, say) is in the variables that Postgres' own
 * programs know. Rejects with `XPS_NOT_FOUND` if the optional package pg, which speaks to it, is not installed.
 */
export async function postgresStore(url: URL): Promise<PostgresStore> {
  const { Pool } = await import('pg').catch(() => {
    throw new XpsError('XPS_NOT_FOUND', 'the package that speaks to Postgres is not there: npm install pg')
  })
  const pool = new Pool({
    connectionString: url.href,
    connectionTimeoutMillis: connectTimeout,
    query_timeout: queryTimeout,
    keepAlive: true,
    application_name: 'xps',
  })
  // A connection that nobody uses has broken, as when the server is restarted: the next query gets another.
  pool.on('error', () => {})
  return {
    store: new SqlStore({ pool }),
    text: `Postgres on ${url.host === '' ? 'this machine' : url.host}${url.pathname}`,
    close: () => pool.end(),
  }
}
