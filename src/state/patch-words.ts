import type { ByteString } from './codec/byte-string.ts'
import { encodeWord } from './codec/words.ts'
import { longestLifetime } from './limits.ts'
import type { Entries, PatchRules } from './table-rules.ts'

/** What a `patch` asks for. */
export interface Patch extends PatchRules {
  readonly entries: Entries
}

/**
 * Reads the words of `patch` that follow the id, each a verb with what belongs to it: `create`, `version V`, `idle MS`,
 * `wait MS`, `put KEY VALUE`, `remove KEY`. Undefined if there are others.
 */
export function patchOf(words: readonly ByteString[]): Patch | undefined {
  const entries: (readonly [ByteString, ByteString | undefined])[] = []
  const rules: { create?: boolean; version?: string; idle?: number; wait?: number } = {}
  for (let at = 0; at < words.length; ) {
    const [verb, one, two] = [words[at], words[at + 1], words[at + 2]]
    if (verb === 'create') {
      rules.create = true
      at++
    } else if (verb === 'put' && one !== undefined && two !== undefined) {
      entries.push([one, two])
      at += 3
    } else if (verb === 'remove' && one !== undefined) {
      entries.push([one, undefined])
      at += 2
    } else if (verb === 'version' && one !== undefined) {
      rules.version = one
      at += 2
    } else if (
      (verb === 'idle' || verb === 'wait') &&
      one !== undefined &&
      /^\d{1,15}$/.test(one) &&
      Number(one) <= longestLifetime
    ) {
      rules[verb] = Number(one)
      at += 2
    } else return undefined
  }
  return { entries, ...rules }
}

/** The words that {@link patchOf} reads. */
export function patchWords(patch: Patch): ByteString {
  const words: ByteString[] = []
  if (patch.create === true) words.push('create')
  if (patch.version !== undefined) words.push('version', encodeWord(patch.version))
  if (patch.idle !== undefined) words.push('idle', String(patch.idle))
  if (patch.wait !== undefined) words.push('wait', String(patch.wait))
  for (const [key, value] of patch.entries) {
    if (value === undefined) words.push('remove', encodeWord(key))
    else words.push('put', encodeWord(key), encodeWord(value))
  }
  return words.join(' ')
}
