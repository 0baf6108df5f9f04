import type { ByteString } from '../../codec/byte-string.ts'
import { PhpValue, type StateValue } from '../../codec/php-serialize.ts'
import type { Changes, Stored } from '../../container.ts'

// The names of fields that are keys of a session begin with '='; those of ours do not.

/** What the commit script is given: when it expires, what is put, what is removed. */
export function commitWords(
  { created, expires, idle }: Stored,
  { cleared, keys }: Changes,
  timeToLive: string,
): (string | Buffer)[] {
  const puts: (string | Buffer)[] = []
  const removals: (string | Buffer)[] = []
  for (const [key, value] of keys) {
    if (value === undefined) removals.push(word(`=${key}`))
    else puts.push(word(`=${key}`), word(typeof value === 'string' ? `=${value}` : `:${value.serialized}`))
  }
  const facts = [String(created), expiryText(expires), idle === undefined ? '' : String(idle)]
  return [...facts, timeToLive, cleared ? '1' : '0', String(puts.length / 2), ...puts, ...removals]
}

/** A session as its hash has it, fields and values in turn; undefined if there is none. */
export function readFields(answer: readonly Buffer[]): Stored | undefined {
  if (answer.length === 0) return undefined
  const facts = new Map<string, string>()
  const entries: [place: number, key: ByteString, value: StateValue][] = []
  for (let at = 0; at + 1 < answer.length; at += 2) {
    const field = (answer[at] as Buffer).toString('latin1')
    const value = (answer[at + 1] as Buffer).toString('latin1')
    if (field[0] === '=') entries.push(entryOf(field.slice(1), value))
    else facts.set(field, value)
  }
  const created = Number(facts.get('created') ?? Number.NaN)
  if (!Number.isFinite(created)) throw new Error('what is kept for a session is none')
  entries.sort(([one], [other]) => one - other)
  const idle = facts.get('idle') ?? ''
  return {
    data: new Map(entries.map(([, key, value]) => [key, value])),
    created,
    expires: readExpiry(facts.get('expires') ?? ''),
    idle: idle === '' ? undefined : Number(idle),
  }
}

export function expiryText(expires: number): string {
  return expires === Number.POSITIVE_INFINITY ? '' : String(Math.ceil(expires))
}

export function readExpiry(text: string): number {
  return text === '' ? Number.POSITIVE_INFINITY : Number(text)
}

/** Its place among the others, then `=` and a text, or `:` and what PHP's `serialize` made of it. */
function entryOf(key: ByteString, text: string): [number, ByteString, StateValue] {
  const [place = ''] = /^\d+/.exec(text) ?? []
  const value = text.slice(place.length + 1)
  return [Number(place), key, text[place.length] === ':' ? new PhpValue(value) : value]
}

/** The bytes of a text whose characters are bytes. */
function word(bytes: ByteString): string | Buffer {
  return Buffer.byteLength(bytes) === bytes.length ? bytes : Buffer.from(bytes, 'latin1')
}
