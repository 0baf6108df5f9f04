import { after } from './ask.ts'
import { type ByteString, toBytes, toText } from './codec/byte-string.ts'
import type { StateValue } from './codec/php-serialize.ts'
import { textOf } from './codec/values.ts'
import { decodeWords, encodeWord } from './codec/words.ts'
import type { Awaitable } from './container.ts'
import { faults, isFault, type StateFault } from './faults.ts'
import { longestLifetime } from './limits.ts'
import { patchOf } from './patch-words.ts'
import type { SessionTable } from './session-table.ts'
import type { SharedSession } from './shared-session.ts'
import type { Call } from './table-rules.ts'
import { versionOf } from './version.ts'

/** What a command is answered: `ok` for undefined, `ok <text>` for a text, `err <text>` for a fault. */
export type Answer = ByteString | StateFault | undefined

/** One connection, as the commands see it. */
export interface Desk {
  readonly table: SessionTable
  /** What is under way for this client, and can be called off. */
  readonly call: Call
  /** The shared session that this client has open. */
  shared: SharedSession | undefined
  /** Checks a secret. */
  authenticate(secret: string): Awaitable<Answer>
  /** Whether this client may see the ids of others. */
  readonly admin: boolean
  /** What is told of the server. */
  stats(): string
  /** Names of the commands that are not the reference's. */
  readonly names: readonly string[]
  /** Goes on with the list of all ids. */
  list(limit: number): Promise<Answer>
  /** Tells from now on what happens. */
  watch(): void
}

/** One command: `first` is the word after its name, `rest` what follows the blank after that. */
export type Run = (desk: Desk, first: ByteString, rest: ByteString) => Awaitable<Answer>

/** The reference's commands. */
export const commands: ReadonlyMap<string, Run> = new Map<string, Run>(
  Object.entries({
    new: (desk) =>
      opening(
        desk,
        () => desk.table.create(),
        (session) => session.id,
      ),
    open: (desk, id, mode) => opening(desk, () => desk.table.open(id, mode === 'r' ? 'r' : 'rw', desk.call)),
    close: (desk) => over(desk, (session) => session.finish(true), faults.close),
    commit: (desk) => over(desk, (session) => session.finish(false)),
    destroy: (desk) => over(desk, (session) => session.end()),
    get({ shared }, key) {
      if (shared === undefined) return faults.notOpen
      const value = shared.data.get(key)
      if (typeof value === 'string') return inOneLine(value) ? value : faults.lines
      if (value === undefined) return faults.noKey
      return value.text ?? faults.isArray
    },
    put: ({ shared }, key, value) => (shared === undefined ? faults.notOpen : shared.set(key, value)),
    exists: ({ shared }, key) => (shared?.data.has(key) === true ? undefined : faults.noKey),
    remove: ({ shared }, key) => (shared === undefined ? faults.noKey : shared.removeKey(key)),
    keys({ shared }) {
      const keys = shared === undefined ? [] : [...shared.data.keys()]
      // The reference tells two keys where there is one.
      return keys.every((key) => !key.includes('|') && inOneLine(key)) ? keys.join('|') : faults.keys
    },
    get_all({ shared }) {
      if (shared === undefined) return faults.notOpen
      const text = shared.serialize()
      return inOneLine(text) ? text : faults.data
    },
    put_all: ({ shared }, first, rest) => (shared === undefined ? faults.notOpen : shared.replace(whole(first, rest))),
    regenerate_id: ({ shared }) => (shared === undefined ? faults.notOpen : shared.renew()),
  } satisfies Record<string, Run>),
)

/** What we have added: words may hold any bytes, and most of these need no open session. `help` names them. */
export const moreCommands: ReadonlyMap<string, Run> = new Map<string, Run>(
  Object.entries({
    help: (desk) => `xps/1 ${desk.names.join(' ')}`,
    auth: (desk, first, rest) => withWords(first, rest, 1, 1, ([secret = '']) => desk.authenticate(toText(secret))),
    create: (desk, first, rest) =>
      withWords(first, rest, 0, 1, ([id]) =>
        opening(
          desk,
          () => desk.table.create(id),
          (session) => session.id,
        ),
      ),
    acquire: (desk, first, rest) =>
      withWords(first, rest, 2, 2, ([id = '', wait = '']) => {
        const limit = milliseconds(wait)
        return limit === undefined ? faults.words : opening(desk, () => desk.table.open(id, 'rw', desk.call, limit))
      }),
    rollback: (desk) =>
      over(desk, (session) => {
        session.abandon()
        return undefined
      }),
    mput: ({ shared }, first, rest) =>
      withWords(first, rest, 2, Number.POSITIVE_INFINITY, (words) => {
        if (shared === undefined) return faults.notOpen
        if (words.length % 2 !== 0) return faults.words
        const entries: [ByteString, ByteString][] = []
        for (let at = 0; at < words.length; at += 2) entries.push([words[at] as string, words[at + 1] as string])
        return shared.setAll(entries)
      }),
    mget: ({ shared }, first, rest) =>
      withWords(first, rest, 1, Number.POSITIVE_INFINITY, (keys) => {
        if (shared === undefined) return faults.notOpen
        return keys.map((key) => optional(shared.data.get(key))).join(' ')
      }),
    mremove: ({ shared }, first, rest) =>
      withWords(first, rest, 1, Number.POSITIVE_INFINITY, (keys) =>
        shared === undefined ? faults.notOpen : shared.setAll(keys.map((key) => [key, undefined] as const)),
      ),
    mkeys: ({ shared }) => (shared === undefined ? faults.notOpen : [...shared.data.keys()].map(encodeWord).join(' ')),
    mall: ({ shared }) => (shared === undefined ? faults.notOpen : entriesOf(shared.data)),
    read: (desk, first, rest) =>
      withWords(first, rest, 1, 1, ([id = '']) =>
        after(desk.table.open(id, 'r', desk.call), (session) => {
          if (isFault(session)) return session
          const entries = entriesOf(session.data)
          return entries === '' ? versionOf(session.data) : `${versionOf(session.data)} ${entries}`
        }),
      ),
    patch: (desk, first, rest) =>
      withWords(first, rest, 1, Number.POSITIVE_INFINITY, ([id = '', ...words]) => {
        const patch = patchOf(words)
        return patch === undefined ? faults.words : desk.table.patch(id, patch.entries, patch, desk.call)
      }),
    drop: (desk, first, rest) =>
      withWords(first, rest, 1, 2, ([id = '', wait]) => {
        const limit = wait === undefined ? desk.table.rules.lockTimeout : milliseconds(wait)
        return limit === undefined ? faults.words : desk.table.drop(id, desk.call, limit)
      }),
    touch: (desk, first, rest) => withWords(first, rest, 1, 1, ([id = '']) => desk.table.note(id)),
    ttl: ({ shared, table }, first, rest) =>
      withWords(first, rest, 0, 1, ([given]) => {
        if (shared === undefined) return faults.notOpen
        if (given === undefined) {
          const { expires } = shared
          return expires === Number.POSITIVE_INFINITY ? '-1' : String(Math.max(0, Math.round(expires - table.now)))
        }
        const idle = milliseconds(given)
        return idle === undefined ? faults.words : shared.setLifetime(idle)
      }),
    stats: (desk) => toBytes(desk.stats()),
    list: (desk, first, rest) =>
      withWords(first, rest, 0, 1, ([given]) => {
        if (!desk.admin) return faults.admin
        const limit = given === undefined ? 1_000 : milliseconds(given)
        return limit === undefined || limit === 0 || limit > 10_000 ? faults.words : desk.list(limit)
      }),
    watch(desk) {
      if (!desk.admin) return faults.admin
      desk.watch()
      return undefined
    },
  } satisfies Record<string, Run>),
)

/** Opens another session in place of the one that is open, unless something would be lost. */
function opening(
  desk: Desk,
  open: () => Awaitable<SharedSession | StateFault>,
  answer?: (session: SharedSession) => Answer,
): Awaitable<Answer> {
  const { shared } = desk
  if (shared !== undefined && (shared.changed || shared.fresh)) return faults.unsaved
  // Nothing was changed, so that nothing is written, and nothing to wait for.
  void shared?.finish(true)
  desk.shared = undefined
  return after(open(), (session) => {
    if (isFault(session)) return session
    desk.shared = session
    return answer?.(session)
  })
}

/** Does something with the open session after which it may be closed; answers `failed` where the container has failed. */
function over(
  desk: Desk,
  run: (session: SharedSession) => Awaitable<StateFault | undefined>,
  failed: StateFault = faults.failed,
): Awaitable<Answer> {
  const { shared } = desk
  if (shared === undefined) return faults.notOpen
  return after(run(shared), (fault) => {
    if (shared.over) desk.shared = undefined
    return fault === faults.failed ? failed : fault
  })
}

function withWords(
  first: ByteString,
  rest: ByteString,
  least: number,
  most: number,
  run: (words: ByteString[]) => Awaitable<Answer>,
): Awaitable<Answer> {
  const words = decodeWords(whole(first, rest))
  return words === undefined || words.length < least || words.length > most ? faults.words : run(words)
}

/** All that follows the name of a command. Trimmed lines do not end with a blank. */
function whole(first: ByteString, rest: ByteString): ByteString {
  return rest === '' ? first : `${first} ${rest}`
}

function inOneLine(text: ByteString): boolean {
  return !text.includes('\n') && !text.includes('\r')
}

function optional(value: StateValue | undefined): ByteString {
  return value === undefined ? '-' : `=${encodeWord(textOf(value))}`
}

function entriesOf(data: ReadonlyMap<ByteString, StateValue>): ByteString {
  return [...data].map(([key, value]) => `${encodeWord(key)} ${encodeWord(textOf(value))}`).join(' ')
}

/** A time in a word, or any other whole number; nothing is longer than a lifetime. */
function milliseconds(word: ByteString): number | undefined {
  const number = /^\d{1,15}$/.test(word) ? Number(word) : Number.POSITIVE_INFINITY
  return number <= longestLifetime ? number : undefined
}
