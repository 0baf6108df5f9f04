/**
 * A copy of a text that came in a message, to be kept for longer than that. Without it the whole message may be kept:
 * engines make parts of a text as views of it.
 */
export function keptText(text: string): string {
  return Buffer.from(text).toString()
}
