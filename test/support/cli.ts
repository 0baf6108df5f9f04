import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { vi } from 'vitest'
import { command } from '../../src/cli/command.ts'

const bin = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))

/** `xps` as a process of its own. */
export class Cli {
  readonly process: ChildProcess
  stdout = ''
  stderr = ''
  readonly exited: Promise<number | null>
  #changed: (() => void)[] = []
  #closed = false

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
        this.#closed = true
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
      if (this.#closed) throw new Error(`xps ended: ${this.stdout}${this.stderr}`)
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

/** What came of a command line. */
export interface Said {
  code: number
  stdout: string
  stderr: string
}

/**
 * What `xps` says of a command line with which it does not start: here, and not in a process of its own, of which one is
 * tested for each command. One at a time.
 */
export async function said(args: readonly string[], cwd: string = process.cwd()): Promise<Said> {
  const before = process.cwd()
  const text = { stdout: '', stderr: '' }
  const log = vi.spyOn(console, 'log').mockImplementation((line: unknown) => void (text.stdout += `${line}\n`))
  const error = vi.spyOn(console, 'error').mockImplementation((line: unknown) => void (text.stderr += `${line}\n`))
  process.chdir(cwd)
  try {
    return { code: await command([...args]), ...text }
  } finally {
    process.chdir(before)
    log.mockRestore()
    error.mockRestore()
  }
}
