import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { XpsError } from '../../../src/errors.ts'
import { Fields, type FieldsInit } from '../../../src/http/fields.ts'
import { type Answer, RequestHead } from '../../../src/http/messages.ts'
import { StaticFiles } from '../../../src/http/static/static-files.ts'
import type { StaticOptions } from '../../../src/http/static/static-options.ts'
import { Pipe } from '../../../src/pipe/pipe.ts'
import { PipeSource } from '../../../src/pipe/source.ts'
import { HandSink, turns } from '../../pipe/hand-ends.ts'
import { openDescriptors } from '../../support/descriptors.ts'

/** What came of a request: an answer with its body read, or the fault that was thrown. */
export interface Reply {
  status: number
  headers: Record<string, string>
  body: Buffer
  text: string
  /** What was answered; undefined for a fault. */
  answer: Answer | undefined
  /** It was answered, or refused, in the same call. */
  sync: boolean
  /** How the body ended, or what was thrown. */
  error: XpsError | undefined
}

export interface Ask {
  method?: string
  headers?: FieldsInit
  /** @default '' */
  base?: string
  /** With its question mark. @default '' */
  query?: string
}

export function request(path: string, ask: Ask = {}): RequestHead {
  const target = `${ask.base ?? ''}${path}${ask.query ?? ''}`
  return new RequestHead(ask.method ?? 'GET', target, '1.1', new Fields(ask.headers), 'files.test')
}

/** Asks for a path, and reads the body. */
export async function ask(files: StaticFiles, path: string, how: Ask = {}): Promise<Reply> {
  let sync = true
  try {
    const given = files.answer(request(path, how), path, how.base ?? '')
    sync = !(given instanceof Promise)
    return { ...(await replyOf(await given)), sync }
  } catch (error) {
    if (!(error instanceof XpsError)) throw error
    const none = { headers: {}, body: Buffer.alloc(0), text: '', answer: undefined }
    return { ...none, status: error.status ?? 0, error, sync }
  }
}

async function replyOf(answer: Answer): Promise<Reply> {
  const { body: given } = answer
  let body: Buffer = Buffer.alloc(0)
  let error: XpsError | undefined
  if (given instanceof PipeSource) {
    const to = new HandSink()
    error = await new Pipe(given, to.sink).closed
    body = to.bytes
  } else if (given !== undefined) {
    body = Buffer.from(given as string)
  }
  if (answer.length !== undefined && error === undefined && answer.length !== body.length) {
    throw new Error(`said to have ${answer.length} bytes, but has ${body.length}`)
  }
  const headers = new Fields(answer.headers).toObject() as Record<string, string>
  return { status: answer.status, headers, body, text: body.toString(), answer, error, sync: false }
}

/** A folder of files for a test, with another one beside it; removed, and looked at for open files, at the end. */
export class Site implements AsyncDisposable {
  /** What holds both folders, links resolved. */
  readonly base: string
  readonly root: string
  readonly #made: StaticFiles[] = []

  private constructor(base: string) {
    this.base = base
    this.root = join(base, 'public')
  }

  /** Makes the files; names with `..` in front lie beside the folder. */
  static async of(files: Record<string, string | Uint8Array>): Promise<Site> {
    const site = new Site(await realpath(await mkdtemp(join(tmpdir(), 'xps-static-'))))
    await mkdir(site.root)
    for (const [name, content] of Object.entries(files)) await site.write(name, content)
    return site
  }

  path(name: string): string {
    return join(this.root, name)
  }

  async write(name: string, content: string | Uint8Array): Promise<void> {
    await mkdir(dirname(this.path(name)), { recursive: true })
    await writeFile(this.path(name), content)
  }

  files(options: StaticOptions = {}): StaticFiles {
    const files = new StaticFiles(this.root, options)
    this.#made.push(files)
    return files
  }

  /** How many of its files are open. */
  get open(): number {
    return openDescriptors().filter((name) => name.startsWith(this.base)).length
  }

  /** Waits until none of its files is open: a descriptor may be closed a little after the body. */
  async settled(): Promise<void> {
    const patience = performance.now() + 15_000
    while (this.open > 0 && performance.now() < patience) await turns(5)
    if (this.open > 0) throw new Error(`still open: ${openDescriptors().filter((name) => name.startsWith(this.base))}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.settled()
    } finally {
      for (const files of this.#made) files.close()
      await rm(this.base, { recursive: true, force: true })
    }
  }
}
