import type { WriteStream } from 'node:tty'

/** How often plain lines are written at most, in milliseconds. */
const plainInterval = 500

/** Shows how far something is: as one line that changes on a terminal, as a line now and then elsewhere. */
export class ProgressLine {
  readonly #out: NodeJS.WriteStream | WriteStream
  #shown = false
  #last = 0

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
  }

  show(text: string): void {
    if (this.#out.isTTY) {
      // Carriage return and "erase line": the next text takes the place of this one.
      this.#out.write(`\r\u001b[2K${text}`)
      this.#shown = true
      return
    }
    const now = performance.now()
    if (this.#last > 0 && now - this.#last < plainInterval) return
    this.#last = now
    this.#out.write(`${text}\n`)
  }

  /** The last word. */
  end(text: string): void {
    if (this.#shown) this.#out.write('\n')
    this.#shown = false
    this.#out.write(`${text}\n`)
  }
}
