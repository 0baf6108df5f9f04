import { closeSync, fsync, openSync } from 'node:fs'
import { promisify } from 'node:util'

const wait = promisify(fsync)

/**
 * Waits until the disk has the names of a folder. Who asks while one such wait is under way shares the next one: it
 * covers all that was done before it began.
 */
export class DirectorySync {
  readonly #folder: string
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined

  constructor(folder: string) {
    this.#folder = folder
  }

  run(): Promise<void> {
    if (this.#running === undefined) return this.#start()
    this.#next ??= this.#running.then(
      () => this.#start(),
      () => this.#start(),
    )
    return this.#next
  }

  #start(): Promise<void> {
    this.#next = undefined
    const running = sync(this.#folder).finally(() => {
      if (this.#running === running) this.#running = undefined
    })
    this.#running = running
    return running
  }
}

async function sync(folder: string): Promise<void> {
  // Windows has no such thing, and needs none: names are in a journal there.
  if (process.platform === 'win32') return
  const handle = openSync(folder, 'r')
  try {
    await wait(handle)
  } finally {
    closeSync(handle)
  }
}
