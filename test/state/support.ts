import type { Core, CoreOptions } from '../../src/index.ts'
import { MemoryStore, type StateServer, type StateServerOptions, stateServer } from '../../src/state/index.ts'
import type { TestPeer } from '../../src/testing/index.ts'
import { dial, withCore } from '../support/net.ts'

/** A state server on a port of its own, which ends with the test. */
export interface Served extends AsyncDisposable {
  readonly core: Core
  readonly server: StateServer
  readonly port: number
  readonly address: string
  /** Another client. */
  client(): Promise<Client>
}

/** Starts a server on this machine, over memory if nothing else is said. */
export async function serve(
  options: Partial<StateServerOptions> = {},
  listen: object = {},
  limits: CoreOptions = {},
): Promise<Served> {
  const core = withCore(limits)
  const server = stateServer({ store: new MemoryStore(), ...options })
  const { port, address } = await core.listen({ port: 0, ...listen, protocol: server })
  return {
    core,
    server,
    port,
    address,
    client: async () => new Client(await dial(port)),
    [Symbol.asyncDispose]: () => core[Symbol.asyncDispose](),
  }
}

/** A telnet user: says a line and reads the answer. */
export class Client {
  readonly peer: TestPeer

  constructor(peer: TestPeer) {
    this.peer = peer
  }

  /** Sends a command and resolves to its answer, without the end of the line. */
  async ask(command: string): Promise<string> {
    void this.send(command)
    return this.line()
  }

  /** Sends a command; its answer is read later. */
  send(command: string): Promise<void> {
    return this.peer.write(`${command}\r\n`)
  }

  async line(): Promise<string> {
    return (await this.peer.read('\r\n')).slice(0, -2)
  }

  /** Sends commands one after the other and resolves to the answers. */
  async askAll(...all: string[]): Promise<string[]> {
    const answers: string[] = []
    for (const command of all) answers.push(await this.ask(command))
    return answers
  }

  /** Makes a session with these keys, closes it and resolves to its id. */
  async make(entries: Record<string, string> = {}): Promise<string> {
    const [, id = ''] = (await this.ask('new')).split(' ')
    for (const [key, value] of Object.entries(entries)) await this.ask(`put ${key} ${value}`)
    await this.ask('close')
    return id
  }
}

/** Nothing has come for so long. */
export async function silent(client: Client, milliseconds = 100): Promise<boolean> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds))
  return client.peer.unread.length === 0
}
