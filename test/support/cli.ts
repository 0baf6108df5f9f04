import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const bin = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))

/** `xps` as a process of its own. */
export class Cli {
  readonly process: ChildProcess
  stdout = ''
  stderr = ''
  readonly exited: Promise<number | null>
  #changed: (() => void)[] = []

  constructor(args: readonly string[], cwd?: string, env: Record<string, string> = {}, program: string = bin) {
    this.process = spawn(process.execPath, [program, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd,
      env: { ...process.env, ...env },
    })
    this.process.stdout?.on('data', (chunk) => {
      this.stdout += chunk
      this.#wake()
    })
    this.process.stderr?.on('data', (chunk) => {
      this.stderr += chunk
      this.#wake()
    })
    this.exited = new Promise((resolve) => {
      this.process.once('close', (code) => {
        resolve(code)
        this.#wake()
      })
    })
  }

  /** Waits for a line of standard output that matches, and returns the match. */
  async line(pattern: RegExp): Promise<RegExpMatchArray> {
    for (;;) {
      const match = this.stdout.match(pattern)
      if (match !== null) return match
      if (this.process.exitCode !== null) throw new Error(`xps ended: ${this.stdout}${this.stderr}`)
      await new Promise<void>((resolve) => this.#changed.push(resolve))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill('SIGKILL')
    await this.exited
  }

  #wake(): void {
    const waiting = this.#changed
    this.#changed = []
    for (const resolve of waiting) resolve()
  }
}
