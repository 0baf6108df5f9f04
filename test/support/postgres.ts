import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { closedPort } from './net.ts'
import { run } from './programs.ts'
import { until } from './until.ts'

/** A Postgres of the test's own, in a folder and on a port of its own. Not as root: it would not start. */
export class Postgres implements AsyncDisposable {
  readonly port: number
  readonly folder: string
  #process: ChildProcess | undefined

  private constructor(folder: string, port: number) {
    this.folder = folder
    this.port = port
  }

  /** Makes a cluster and starts it. What it writes survives a crash of its own, but not of the machine. */
  static async start(): Promise<Postgres> {
    const folder = mkdtempSync(join(tmpdir(), 'xps-postgres-'))
    chmodSync(folder, 0o700)
    if (process.getuid?.() === 0) {
      const { uid, gid } = await account()
      chownSync(folder, uid, gid)
    }
    const it = new Postgres(folder, await closedPort())
    try {
      const args = ['-D', join(folder, 'data'), '-U', 'xps', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync']
      await run(...(await unprivileged(program('initdb'), args)))
      await it.up()
    } catch (error) {
      await it[Symbol.asyncDispose]()
      throw error
    }
    return it
  }

  get url(): string {
    return `postgres://xps@127.0.0.1:${this.port}/postgres`
  }

  /** Starts the server again after {@link down}, and waits until it answers. */
  async up(): Promise<void> {
    const args = ['-D', join(this.folder, 'data'), '-p', String(this.port), '-k', this.folder]
    const settings = ['listen_addresses=127.0.0.1', 'shared_buffers=16MB', 'fsync=off', 'full_page_writes=off']
    const [command, all] = await unprivileged(program('postgres'), [...args, ...settings.flatMap((one) => ['-c', one])])
    const child = spawn(command, all, { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#process = child
    let said = ''
    child.stderr?.on('data', (chunk) => {
      said = (said + chunk).slice(-2_000)
    })
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`postgres ended: ${said}`)
      await this.query('SELECT 1')
    }, 30_000)
  }

  /** Stops it at once, as a crash would; or, with `fast`, in order, with all its connections. */
  async down(signal: 'SIGQUIT' | 'SIGINT' = 'SIGINT'): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill(signal)
    await exited
  }

  /** Asks by a connection of its own. */
  async query(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
    const client = new Client({ connectionString: this.url })
    client.on('error', () => {})
    try {
      await client.connect()
      return (await client.query(text, values)).rows
    } finally {
      await client.end().catch(() => {})
    }
  }

  /** How many others are connected to it. */
  async connections(): Promise<number> {
    const [row] = await this.query(
      `SELECT count(*)::int AS n FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`,
    )
    return Number(row?.['n'])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down('SIGQUIT')
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** Debian keeps the programs of each version in a folder of its own. */
function program(name: string): string {
  const home = '/usr/lib/postgresql'
  const versions = existsSync(home) ? readdirSync(home).sort((one, other) => Number(other) - Number(one)) : []
  return versions[0] === undefined ? name : join(home, versions[0], 'bin', name)
}

/** Runs a program as `postgres`, which comes with its package, where the test runs as root. */
async function unprivileged(command: string, args: string[]): Promise<[string, string[]]> {
  if (process.getuid?.() !== 0) return [command, args]
  const { uid, gid } = await account()
  return ['setpriv', [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', command, ...args]]
}

async function account(): Promise<{ uid: number; gid: number }> {
  const passwd = (await run('getent', ['passwd', 'postgres'])).toString()
  const [, , uid, gid] = passwd.split(':')
  return { uid: Number(uid), gid: Number(gid) }
}
