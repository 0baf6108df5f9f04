import type { SoapMessage } from './message.ts'

/** What a {@link MessageQueue} tells. */
export interface QueueOwner {
  /** It was full, and has room again. */
  queueReady(): void
  /** Nobody iterates any more. */
  queueLeft(queue: MessageQueue): void
}

/** Messages that wait for whoever iterates over them. */
export class MessageQueue implements AsyncIterableIterator<SoapMessage, undefined> {
  readonly #owner: QueueOwner
  readonly #limit: number
  #messages: SoapMessage[] = []
  #waiting: ((result: IteratorResult<SoapMessage, undefined>) => void)[] = []
  #ended = false

  constructor(owner: QueueOwner, limit: number) {
    this.#owner = owner
    this.#limit = limit
  }

  /** Nothing more should come before some are taken. */
  get full(): boolean {
    return this.#messages.length >= this.#limit
  }

  push(message: SoapMessage): void {
    const waiting = this.#waiting.shift()
    if (waiting !== undefined) waiting({ done: false, value: message })
    else this.#messages.push(message)
  }

  end(): void {
    this.#ended = true
    for (const resolve of this.#waiting) resolve(done)
    this.#waiting = []
  }

  next(): Promise<IteratorResult<SoapMessage, undefined>> {
    const wasFull = this.full
    const message = this.#messages.shift()
    if (wasFull) this.#owner.queueReady()
    if (message !== undefined) return Promise.resolve({ done: false, value: message })
    if (this.#ended) return Promise.resolve(done)
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  return(): Promise<IteratorResult<SoapMessage, undefined>> {
    const wasFull = this.full
    this.#messages = []
    this.end()
    this.#owner.queueLeft(this)
    if (wasFull) this.#owner.queueReady()
    return Promise.resolve(done)
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}

const done: IteratorReturnResult<undefined> = { done: true, value: undefined }
