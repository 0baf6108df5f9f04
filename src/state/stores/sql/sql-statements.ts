import { type Statement, statement } from './sql-pool.ts'

/** How long the first in the queue has a lock for itself after it was given up, in milliseconds. */
export const headStart = 250
/** How many processes' waiters a lock knows in order; those beyond take their chance. */
const mostQueued = 1_000
/** How long a lock that nobody uses is remembered, in minutes: longer than any statement takes. */
const remembered = 60

/** All that a `SqlStore` says to the database, for tables of these names. */
export interface Statements {
  /** Makes the tables where they are not there. */
  readonly definition: string
  readonly channel: string
  readonly exist: Statement
  readonly read: Statement
  readonly insert: Statement
  readonly replace: Statement
  readonly change: Statement
  readonly destroy: Statement
  readonly touch: Statement
  readonly use: Statement
  readonly list: Statement
  readonly sweep: Statement
  readonly forget: Statement
  readonly lock: Statement
  readonly renew: Statement
  readonly release: Statement
  readonly leave: Statement
}

/**
 * The statements. Names of tables are in the texts, so they must have been checked; everything else is a parameter.
 *
 * Each is one round trip and one transaction. What writes a session looks at its lock first, and keeps that as it is
 * until all is written: who takes the lock over in that moment waits, and then reads what was written.
 */
export function statementsFor(table: string, schema: string | undefined): Statements {
  const named = (suffix: string): string => `${schema === undefined ? '' : `"${schema}".`}"${table}${suffix}"`
  const [sessions, values, locks, fences] = [named(''), named('_values'), named('_locks'), named('_fence')]
  const channel = `${table}_locks`
  // $1 id, $2 fence, $3 token: of a lock of ours, which must still hold; or '', then there must be none that is newer.
  const guard = `
    held AS (SELECT token, fence FROM ${locks} WHERE id = $1 FOR UPDATE),
    free AS (SELECT 1 WHERE CASE WHEN $3 = '' THEN NOT EXISTS (SELECT FROM held WHERE fence > $2::bigint)
      ELSE EXISTS (SELECT FROM held WHERE token = $3) END)`
  const outcome = `SELECT EXISTS (SELECT FROM done) AS done, EXISTS (SELECT FROM free) AS free,
    EXISTS (SELECT FROM ${sessions} WHERE id = $1) AS there`
  // $4 created, $5 expires, $6 idle, $7 keys, $8 values, $9 whether they are PHP's; of a change, $10 keys that go.
  const given = `unnest($7::bytea[], $8::bytea[], $9::boolean[]) WITH ORDINALITY AS given(key, value, php, place)`
  const put = (place: string): string => `put AS (
    INSERT INTO ${values} AS v (session, key, value, php, place)
    SELECT done.number, given.key, given.value, given.php, done.base + given.place FROM done, ${given}
    ON CONFLICT (session, key) DO UPDATE SET value = excluded.value, php = excluded.php${place})`
  const update = (next: string): string => `done AS (
    UPDATE ${sessions} AS s
    SET fence = $2, created = $4, expires = $5, idle = $6, next = ${next} + cardinality($7::bytea[])
    FROM free WHERE s.id = $1 AND s.fence <= $2
    RETURNING s.number, s.next - cardinality($7::bytea[]) AS base)`
  return {
    channel,
    // One transaction: statements without parameters that are sent together are.
    definition: `
SELECT pg_advisory_xact_lock(hashtext('xps ${channel}'));
CREATE TABLE IF NOT EXISTS ${sessions} (
  id text COLLATE "C" PRIMARY KEY,
  number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
  fence bigint NOT NULL,
  created double precision NOT NULL,
  expires double precision NOT NULL,
  idle double precision,
  next bigint NOT NULL
);
CREATE INDEX IF NOT EXISTS "${table}_expires" ON ${sessions} (expires);
CREATE TABLE IF NOT EXISTS ${values} (
  session bigint NOT NULL REFERENCES ${sessions} (number) ON DELETE CASCADE,
  key bytea NOT NULL,
  value bytea NOT NULL,
  php boolean NOT NULL,
  place bigint NOT NULL,
  PRIMARY KEY (session, key)
);
CREATE UNLOGGED TABLE IF NOT EXISTS ${locks} (
  id text COLLATE "C" PRIMARY KEY,
  token text NOT NULL,
  fence bigint NOT NULL,
  until timestamptz NOT NULL,
  queue text[] NOT NULL DEFAULT '{}'
) WITH (fillfactor = 70);
CREATE SEQUENCE IF NOT EXISTS ${fences};
`,
    exist: statement(`SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NOT NULL
      AND to_regclass($3) IS NOT NULL AND to_regclass($4) IS NOT NULL AS there`),
    read: statement(`
      SELECT s.created, s.expires, s.idle, v.key, v.value, v.php
      FROM ${sessions} s LEFT JOIN ${values} v ON v.session = s.number WHERE s.id = $1 ORDER BY v.place`),
    insert: statement(`WITH ${guard}, done AS (
      INSERT INTO ${sessions} (id, fence, created, expires, idle, next)
      SELECT $1, $2, $4, $5, $6, cardinality($7::bytea[]) FROM free
      ON CONFLICT (id) DO NOTHING RETURNING number, 0 AS base), ${put('')} ${outcome}`),
    replace: statement(`WITH ${guard}, ${update('0')}, gone AS (
      DELETE FROM ${values} v USING done
      WHERE v.session = done.number AND NOT EXISTS (SELECT FROM ${given} WHERE given.key = v.key)),
      ${put(', place = excluded.place')} ${outcome}`),
    change: statement(`WITH ${guard}, ${update('s.next')}, gone AS (
      DELETE FROM ${values} v USING done
      WHERE v.session = done.number AND v.key IN (SELECT unnest($10::bytea[]))),
      ${put('')} ${outcome}`),
    destroy: statement(`WITH ${guard}, done AS (
      DELETE FROM ${sessions} s USING free WHERE s.id = $1 AND s.fence <= $2 RETURNING 1) ${outcome}`),
    touch: statement(`WITH ${guard}, done AS (
      UPDATE ${sessions} s SET expires = $4 FROM free WHERE s.id = $1 AND s.fence <= $2 RETURNING 1) ${outcome}`),
    // Not of one whose place another id has taken.
    use: statement(`UPDATE ${sessions} SET expires = $2 WHERE id = $1 AND idle IS DISTINCT FROM -1`),
    list: statement(`SELECT id, expires FROM ${sessions} WHERE id > $1 ORDER BY id LIMIT $2`),
    sweep: statement(`WITH due AS (
      SELECT number FROM ${sessions} s
      WHERE s.expires <= $1
        AND NOT EXISTS (SELECT FROM ${locks} l WHERE l.id = s.id AND l.token <> '' AND l.until > clock_timestamp())
      ORDER BY s.expires LIMIT $2 FOR UPDATE SKIP LOCKED)
      DELETE FROM ${sessions} s USING due WHERE s.number = due.number RETURNING s.id`),
    forget: statement(`DELETE FROM ${locks} WHERE id IN (
      SELECT id FROM ${locks} WHERE until < clock_timestamp() - interval '${remembered} minutes'
      LIMIT $1 FOR UPDATE SKIP LOCKED)`),
    // $1 id, $2 token, $3 lease, $4 whether to stand in the queue. Time is the database's: all processes have the same.
    lock: statement(`
      INSERT INTO ${locks} AS l (id, token, fence, until)
      VALUES ($1, $2, nextval('${fences}'), clock_timestamp() + $3::float8 * interval '1 millisecond')
      ON CONFLICT (id) DO UPDATE SET (token, fence, until, queue) = (
        SELECT
          CASE WHEN free THEN $2 ELSE l.token END,
          CASE WHEN free THEN nextval('${fences}') ELSE l.fence END,
          CASE WHEN free THEN at + $3::float8 * interval '1 millisecond' ELSE l.until END,
          CASE WHEN free THEN array_remove(l.queue[2:], $2)
            WHEN NOT $4 OR $2 = ANY (l.queue) OR cardinality(l.queue) >= ${mostQueued} THEN l.queue
            ELSE l.queue || $2 END
        FROM (SELECT at, l.until <= at AND (cardinality(l.queue) = 0 OR l.queue[1] = $2
            OR l.until <= at - interval '${headStart} milliseconds') AS free
          FROM (SELECT clock_timestamp() AS at) AS clock OFFSET 0) AS look)
      RETURNING token = $2 AS mine, fence, extract(epoch FROM until - clock_timestamp())::float8 * 1000 AS left`),
    renew: statement(`UPDATE ${locks} SET until = clock_timestamp() + $3::float8 * interval '1 millisecond'
      WHERE id = $1 AND token = $2`),
    release: statement(`WITH freed AS (
      UPDATE ${locks} SET token = '', until = clock_timestamp() WHERE id = $1 AND token = $2 RETURNING queue[1] AS next)
      SELECT pg_notify('${channel}', next) FROM freed WHERE next IS NOT NULL`),
    leave: statement(`WITH left_behind AS (
      UPDATE ${locks} SET queue = array_remove(queue, $2) WHERE id = $1 AND $2 = ANY (queue)
      RETURNING until, queue[1] AS next)
      SELECT pg_notify('${channel}', next) FROM left_behind WHERE next IS NOT NULL AND until <= clock_timestamp()`),
  }
}

/** The names of the tables and the sequence, as `exist` takes them. */
export function namesOf(table: string, schema: string | undefined): string[] {
  const prefix = schema === undefined ? '' : `"${schema}".`
  return ['', '_values', '_locks', '_fence'].map((suffix) => `${prefix}"${table}${suffix}"`)
}
