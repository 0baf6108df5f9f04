/**
 * Lets so many in at a time. When somebody had to be turned away it stays shut until fewer than 90 % are left inside,
 * so that at the limit it does not open and shut for each one who leaves.
 */
export class Gate {
  #limit: number
  #open = true
  #inside = 0
  #peak = 0

  /** `limit` 0 lets everybody in. */
  constructor(limit: number) {
    this.#limit = limit
  }

  get open(): boolean {
    return this.#open
  }

  get inside(): number {
    return this.#inside
  }

  get peak(): number {
    return this.#peak
  }

  get limit(): number {
    return this.#limit
  }

  set limit(limit: number) {
    this.#limit = limit
    this.reopen()
  }

  /** Whether one more could come in now; if not, the gate shuts. */
  hasRoom(): boolean {
    if (this.#open && this.#limit > 0 && this.#inside >= this.#limit) this.#open = false
    return this.#open
  }

  enter(): void {
    this.#inside++
    if (this.#inside > this.#peak) this.#peak = this.#inside
  }

  leave(): void {
    this.#inside--
    this.#look()
  }

  /** Opens it before its time: room was made for somebody who waits. */
  reopen(): void {
    if (this.#limit === 0 || this.#inside < this.#limit) this.#open = true
  }

  #look(): void {
    // At least 1: a limit of 1 must open again when nobody is left.
    const resume = Math.max(1, Math.floor((this.#limit * 90) / 100))
    if (this.#limit === 0 || this.#inside < resume) this.#open = true
  }
}
