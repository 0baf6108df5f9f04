import { knownNames } from '../fields.ts'

interface Candidate {
  readonly kind: number
  readonly bytes: Uint8Array
}

/** The known names by how long they are. */
const byLength: readonly (readonly Candidate[] | undefined)[] = (() => {
  const table: Candidate[][] = []
  for (const [kind, name] of knownNames.entries()) {
    if (name === '') continue
    const candidates = table[name.length] ?? []
    candidates.push({ kind, bytes: Buffer.from(name) })
    table[name.length] = candidates
  }
  return Array.from(table)
})()

/** Which of the known names the bytes from `start` to `end` spell, in either case; 0 for none of them. */
export function knownField(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start
  const candidates = length < byLength.length ? byLength[length] : undefined
  if (candidates === undefined) return 0
  for (const { kind, bytes: name } of candidates) {
    let index = 0
    while (index < length) {
      const wanted = name[index] as number
      const given = bytes[start + index] as number
      // Only a letter has another case: a hyphen and 0x0d would otherwise be the same.
      if (given !== wanted && !(wanted >= 0x61 && (given | 0x20) === wanted && given >= 0x41)) break
      index++
    }
    if (index === length) return kind
  }
  return 0
}
