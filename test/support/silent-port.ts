import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

// Node accepts whatever comes, so the server is Python's: it listens with the shortest queue and never accepts.
const program = `
import socket, sys
s = socket.socket()
s.bind(('127.0.0.1', 0))
s.listen(0)
print(s.getsockname()[1], flush=True)
sys.stdin.read()
`

/** A port on loopback that does not answer: its queue is full, so the kernel drops every further attempt. */
export class SilentPort implements AsyncDisposable {
  readonly address: string
  readonly #process: ChildProcess
  readonly #fillers: Socket[]

  private constructor(process: ChildProcess, port: number, fillers: Socket[]) {
    this.#process = process
    this.address = `127.0.0.1:${port}`
    this.#fillers = fillers
  }

  static async open(): Promise<SilentPort> {
    const process = spawn('python3', ['-c', program], { stdio: ['pipe', 'pipe', 'inherit'] })
    const [line] = (await once(process.stdout, 'data')) as [Buffer]
    const port = Number(line.toString())
    const filler = connect(port, '127.0.0.1')
    filler.on('error', () => {})
    await once(filler, 'connect')
    return new SilentPort(process, port, [filler])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const filler of this.#fillers) filler.destroy()
    this.#process.kill()
    await once(this.#process, 'exit')
  }
}
