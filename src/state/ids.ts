import { randomFillSync } from 'node:crypto'

/** Ids that are taken: letters, digits, `-`, `_` and `,` (which PHP's have), 16 to 100 of them. */
const form = /^[\w,-]{16,100}$/

const pool = Buffer.alloc(16 * 256)
let used = pool.length

/** A new id: 128 random bits as 32 hexadecimal digits, as the reference's look. */
export function newId(): string {
  // Random bytes cost little each and much per call.
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const id = pool.toString('hex', used, used + 16)
  pool.fill(0, used, used + 16)
  used += 16
  return id
}

/** Tells whether a text can be an id at all. Nothing else reaches a container. */
export function isId(text: string): boolean {
  return form.test(text)
}
