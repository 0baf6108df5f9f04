import { XpsError } from '../../errors.ts'
import { type ByteString, toBytes, toText } from '../codec/byte-string.ts'
import { readPhpArray } from '../codec/php-serialize.ts'
import { textOf } from '../codec/values.ts'
import { decodeWord, decodeWords, encodeWord } from '../codec/words.ts'
import { errorOf, faults } from '../faults.ts'
import type { OpenMode } from '../session-keeper.ts'
import type { StateLink } from './link.ts'
import { isPlainKey, isPlainValue, mustBePlain } from './plain.ts'

/** What becomes of what an open session had. */
export interface RemoteOwner {
  /** The connection is free again. */
  give(link: StateLink): void
  /** Nobody writes the session any more: the next one may. Told once or more. */
  unlocked(): void
}

/**
 * A shared session that is open on a server. It has a connection of its own until it is closed, destroyed or abandoned.
 *
 * Commands may be sent without waiting for those before: they are answered in order. Keys and values are texts; nothing
 * that the wire cannot carry is sent.
 */
export class RemoteSession {
  readonly #link: StateLink
  readonly #owner: RemoteOwner
  #id: string
  #mode: OpenMode
  #over = false

  /** @internal Opened by a `StateClient`. */
  constructor(link: StateLink, id: string, mode: OpenMode, owner: RemoteOwner) {
    this.#link = link
    this.#id = id
    this.#mode = mode
    this.#owner = owner
  }

  /** Its id; another one after {@link regenerateId}. */
  get id(): string {
    return this.#id
  }

  /** `'r'` also after a {@link commit}. */
  get mode(): OpenMode {
    return this.#mode
  }

  /** Closed, destroyed or given up. */
  get over(): boolean {
    return this.#over
  }

  /** The value of a key; undefined if there is none. */
  async get(key: string): Promise<string | undefined> {
    const value = await this.#get(toBytes(key))
    return value === undefined ? undefined : toText(value)
  }

  /** Puts a value; it is kept with the next {@link commit} or {@link close}. */
  async put(key: string, value: string): Promise<void> {
    const [name, bytes] = [toBytes(key), toBytes(value)]
    if (isPlainKey(name) && isPlainValue(bytes)) await this.#ask(`put ${name} ${bytes}`)
    else if (this.#link.knows('mput')) await this.#ask(`mput ${encodeWord(name)} ${encodeWord(bytes)}`)
    else mustBePlain(name, bytes)
  }

  /** Puts several values: all of them or none. */
  async putAll(entries: Iterable<readonly [key: string, value: string]>): Promise<void> {
    const words = [...entries].flatMap((pair) => pair.map((text) => encodeWord(toBytes(text))))
    if (words.length > 0) await this.#ask(`mput ${words.join(' ')}`, 'mput')
  }

  async exists(key: string): Promise<boolean> {
    return (await this.#get(toBytes(key))) !== undefined
  }

  /** Removes a key; false if there is none. */
  async remove(key: string): Promise<boolean> {
    const name = toBytes(key)
    if (isPlainKey(name)) return (await unlessMissing(this.#ask(`remove ${name}`))) !== undefined
    if (!this.#link.knows('mremove')) mustBePlain(name)
    const there = await this.exists(key)
    await this.#ask(`mremove ${encodeWord(name)}`)
    return there
  }

  /** The keys, in the order in which they were first put. */
  async keys(): Promise<string[]> {
    if (this.#link.knows('mkeys')) return this.#words(await this.#ask('mkeys')).map(toText)
    const keys = await this.#ask('keys')
    return keys === '' ? [] : keys.split('|').map(toText)
  }

  /** Keys and values. */
  async entries(): Promise<Map<string, string>> {
    if (this.#link.knows('mall')) return entriesOf(this.#words(await this.#ask('mall')))
    const array = readPhpArray(await this.#ask('get_all'))
    if (array === undefined) throw this.#bad()
    return new Map([...array.data].map(([key, value]) => [toText(key), toText(textOf(value))]))
  }

  /** Milliseconds until it expires if nobody uses it; `Infinity` for never. */
  async ttl(): Promise<number> {
    const left = Number(await this.#ask('ttl', 'ttl'))
    return left === -1 ? Number.POSITIVE_INFINITY : left
  }

  /** From the next commit on it may be unused for so long, in milliseconds; 0 for ever. */
  async keepFor(idle: number): Promise<void> {
    await this.#ask(`ttl ${idle}`, 'ttl')
  }

  /** A command of the server's host: its words, and what it replies. */
  async command(name: string, ...words: string[]): Promise<string> {
    return toText(await this.#ask(commandLine(name, words)))
  }

  /** Writes it, and gives the right to write up; it stays open for reading. */
  async commit(): Promise<void> {
    await this.#ask('commit')
    this.#mode = 'r'
    this.#owner.unlocked()
  }

  /** Writes what was changed, and lets go of it. */
  async close(): Promise<void> {
    await this.#end('close')
  }

  /** Removes it for all. */
  async destroy(): Promise<void> {
    await this.#end('destroy')
  }

  /** Gives it another id, and returns that. */
  async regenerateId(): Promise<string> {
    this.#id = await this.#ask('regenerate_id')
    return this.#id
  }

  /** Lets go of it at once; what was not committed is forgotten. May be called at any time. */
  abandon(): void {
    void this.rollback()
  }

  /** As {@link abandon}; resolves when the server has forgotten it and unlocked it, or cannot be asked. Never rejects. */
  async rollback(): Promise<void> {
    if (this.#over) return
    this.#over = true
    const link = this.#link
    try {
      // A server that knows no way to forget does so when the connection ends.
      if (!link.knows('rollback')) return link.abort()
      await link.ask('rollback')
      this.#owner.give(link)
    } catch {
      link.abort()
    } finally {
      this.#owner.unlocked()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rollback()
  }

  async #end(command: string): Promise<void> {
    if (this.#over) throw errorOf(faults.notOpen)
    this.#over = true
    try {
      await this.#link.ask(command)
    } catch (error) {
      // Whether it is still open there is nobody's business: the connection is not used again.
      this.#link.abort()
      throw error
    } finally {
      this.#owner.unlocked()
    }
    this.#owner.give(this.#link)
  }

  async #get(key: ByteString): Promise<ByteString | undefined> {
    if (isPlainKey(key)) {
      try {
        return await unlessMissing(this.#ask(`get ${key}`))
      } catch (error) {
        const { cause } = error as XpsError
        // There is one, and it cannot be said in a line.
        if ((cause !== faults.lines && cause !== faults.isArray) || !this.#link.knows('mget')) throw error
      }
    }
    if (!this.#link.knows('mget')) mustBePlain(key)
    const word = await this.#ask(`mget ${encodeWord(key)}`)
    if (word === '-') return undefined
    const value = word.startsWith('=') ? decodeWord(word.slice(1)) : undefined
    if (value === undefined) throw this.#bad()
    return value
  }

  #words(reply: ByteString): ByteString[] {
    const words = decodeWords(reply)
    if (words === undefined) throw this.#bad()
    return words
  }

  #ask(line: ByteString, needs?: string): Promise<ByteString> {
    if (this.#over) return Promise.reject(errorOf(faults.notOpen))
    if (needs !== undefined && !this.#link.knows(needs)) return Promise.reject(unknownCommand(this.#link, needs))
    return this.#link.ask(line)
  }

  #bad(): XpsError {
    return new XpsError('XPS_BAD_RESPONSE', `${this.#link.address} has sent what cannot be read`, {
      origin: 'upstream',
    })
  }
}

/** What was replied; undefined if there is no such key. */
function unlessMissing(reply: Promise<ByteString>): Promise<ByteString | undefined> {
  return reply.catch((error: XpsError) => {
    if (error.code === 'XPS_NOT_FOUND') return undefined
    throw error
  })
}

/** The error for what the server cannot do. */
export function unknownCommand(link: StateLink, name: string): XpsError {
  return new XpsError('XPS_BAD_REQUEST', `${link.address} does not know '${name}'`, { origin: 'upstream' })
}

/** Keys and values in turn. */
export function entriesOf(words: readonly ByteString[]): Map<string, string> {
  const entries = new Map<string, string>()
  for (let at = 0; at + 1 < words.length; at += 2) entries.set(toText(words[at] ?? ''), toText(words[at + 1] ?? ''))
  return entries
}

/** The line of a host's command: at most two words, the second of which may have blanks in it. */
export function commandLine(name: string, words: readonly string[]): ByteString {
  const [first = '', rest = '', ...more] = words.map(toBytes)
  mustBePlain(toBytes(name))
  mustBePlain(first, rest)
  if (more.length > 0) throw new XpsError('XPS_INVALID_OPTION', 'a command must have two words at most')
  return rest === ''
    ? first === ''
      ? toBytes(name)
      : `${toBytes(name)} ${first}`
    : `${toBytes(name)} ${first} ${rest}`
}
