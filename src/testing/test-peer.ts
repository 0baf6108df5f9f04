import type { Duplex } from 'node:stream'

/** The far end of a connection in a test: says bytes and waits for bytes, by any socket. */
export class TestPeer {
  readonly #socket: Duplex
  /** The end of {@link #memory} that has been written, as far as it was not taken. */
  #unread: Buffer = Buffer.alloc(0)
  #memory: Buffer = this.#unread
  #written = 0
  #ended = false
  #error: Error | undefined
  #closed = false
  #changed: (() => void)[] = []

  constructor(socket: Duplex) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.#keep(chunk)
      this.#wake()
    })
    socket.on('end', () => {
      this.#ended = true
      this.#wake()
    })
    socket.on('error', (error: Error) => {
      this.#error = error
      this.#wake()
    })
    socket.on('close', () => {
      this.#closed = true
      this.#wake()
    })
  }

  /** What was received and not yet asked for. */
  get unread(): Buffer {
    return this.#unread
  }

  /** The error that the socket ended with, such as a reset. */
  get error(): Error | undefined {
    return this.#error
  }

  /** Whether the other side has ended its direction. */
  get ended(): boolean {
    return this.#ended
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Sends bytes; resolves when the socket has taken them. */
  write(data: Uint8Array | string): Promise<void> {
    return new Promise((resolve) => this.#socket.write(data, () => resolve()))
  }

  /** Sends bytes, if any are given, and ends this direction; the other goes on. */
  end(data?: Uint8Array | string): void {
    if (data === undefined) this.#socket.end()
    else this.#socket.end(data)
  }

  /** Breaks the connection, as a crash would. */
  reset(): void {
    const socket = this.#socket as Duplex & { resetAndDestroy?: () => void }
    if (socket.resetAndDestroy !== undefined && !socket.destroyed) socket.resetAndDestroy()
    else socket.destroy()
  }

  /** Stops to read, so that the other side must wait. */
  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Waits for so many bytes, or for a text to come, and returns all up to there. */
  async read(until: number | string): Promise<string> {
    const end = (): number => {
      if (typeof until === 'number') return this.#unread.length >= until ? until : -1
      const index = this.#unread.indexOf(until)
      return index < 0 ? -1 : index + Buffer.byteLength(until)
    }
    await this.#wait(() => end() >= 0 || this.#ended || this.#closed)
    if (end() < 0) throw new Error(`the other side ended after '${this.#unread.toString('latin1').slice(0, 200)}'`)
    return this.#take(end()).toString()
  }

  /** Waits for the other side's end and returns all that came until then. Rejects if the connection broke. */
  async bytes(): Promise<Buffer> {
    await this.#wait(() => this.#ended || this.#closed)
    if (!this.#ended && this.#error !== undefined) throw this.#error
    return this.#take(this.#unread.length)
  }

  /** As {@link bytes}, as text. */
  async text(): Promise<string> {
    return (await this.bytes()).toString()
  }

  /** Waits until the other side has ended its direction or the connection is closed. */
  async over(): Promise<void> {
    await this.#wait(() => this.#ended || this.#closed)
  }

  /** Waits until the socket is closed, whichever way. */
  async gone(): Promise<void> {
    await this.#wait(() => this.#closed)
  }

  /** What was given away is a part of the memory, and so is only added to; it doubles, so that much is not copied often. */
  #keep(chunk: Buffer): void {
    const before = this.#unread.length
    if (this.#memory.length - this.#written < chunk.length) {
      const memory = Buffer.allocUnsafeSlow(before === 0 ? chunk.length : 2 * (before + chunk.length))
      this.#unread.copy(memory)
      this.#memory = memory
      this.#written = before
    }
    chunk.copy(this.#memory, this.#written)
    this.#written += chunk.length
    this.#unread = this.#memory.subarray(this.#written - before - chunk.length, this.#written)
  }

  #take(count: number): Buffer {
    const taken = this.#unread.subarray(0, count)
    this.#unread = this.#unread.subarray(count)
    return taken
  }

  async #wait(done: () => boolean): Promise<void> {
    while (!done()) await new Promise<void>((resolve) => this.#changed.push(resolve))
  }

  #wake(): void {
    const waiting = this.#changed
    this.#changed = []
    for (const resolve of waiting) resolve()
  }
}
