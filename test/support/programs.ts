import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { closedPort } from './net.ts'
import { until } from './until.ts'

// The programs are installed by the CI script. A machine without one fails, and says which is missing.

/** Runs a program to its end and resolves to its output; a missing program or a failure rejects with its name. */
export function run(command: string, args: readonly string[], input = ''): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      command,
      args,
      { encoding: 'buffer', maxBuffer: 64 * 1024 * 1024, timeout: 60_000 },
      (error, stdout) => {
        if (error === null) resolve(stdout)
        else reject(new Error(`${command}: ${error.message} (is it installed?)`))
      },
    )
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
  })
}

/** A server of somebody else, as a process that the test's end stops. */
export class ServerProgram implements AsyncDisposable {
  readonly port: number
  readonly #process: ChildProcess

  private constructor(process: ChildProcess, port: number) {
    this.#process = process
    this.port = port
  }

  /** Starts it on a free port or the given one, and waits until it listens. */
  static async start(
    command: string,
    args: (port: number) => readonly string[],
    given?: number,
  ): Promise<ServerProgram> {
    const port = given ?? (await closedPort())
    const child = spawn(command, args(port), { stdio: 'ignore' })
    const program = new ServerProgram(child, port)
    let failure: Error | undefined
    child.once('error', (error) => {
      failure = new Error(`${command}: ${error.message} (is it installed?)`)
    })
    try {
      await until(async () => {
        if (failure !== undefined) return
        if (child.exitCode !== null || child.signalCode !== null) {
          failure = new Error(`${command} ended before it listened`)
          return
        }
        const socket = connect(port, '127.0.0.1')
        try {
          await once(socket, 'connect')
        } finally {
          socket.destroy()
        }
      }, 30_000)
      if (failure !== undefined) throw failure
    } catch (error) {
      await program[Symbol.asyncDispose]()
      throw error
    }
    return program
  }

  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  get url(): string {
    return `http://${this.address}`
  }

  /** Ends it; resolves when it is gone. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#process
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill(signal)
    await exited
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}
