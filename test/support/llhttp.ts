import { createRequire } from 'node:module'

/** Fields as they were spelled, in order, without blanks around the values. */
type FieldList = [name: string, value: string][]

/** A message as llhttp read it. */
export interface LlhttpMessage {
  method: string
  target: string
  status: number
  reason: string
  version: string
  fields: FieldList
  trailers: FieldList
  /** As latin1; what there was of it. */
  body: string
  /** It was read to its end. */
  complete: boolean
  keepAlive: boolean
}

/** What became of some bytes. */
export interface LlhttpReading {
  /** Those whose heads were complete. */
  messages: LlhttpMessage[]
  /** Name and reason of the error that ended it. */
  error: string | undefined
}

/** What `undici` ships of llhttp. */
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  malloc(size: number): number
  free(pointer: number): void
  llhttp_alloc(type: number): number
  llhttp_free(parser: number): void
  llhttp_execute(parser: number, bytes: number, length: number): number
  llhttp_finish(parser: number): number
  llhttp_resume_after_upgrade(parser: number): void
  llhttp_get_error_pos(parser: number): number
  llhttp_get_error_reason(parser: number): number
  llhttp_errno_name(errno: number): number
  llhttp_method_name(method: number): number
  llhttp_get_method(parser: number): number
  llhttp_get_http_major(parser: number): number
  llhttp_get_http_minor(parser: number): number
}

/** The part of a global that no library of types in use describes. */
const { WebAssembly } = globalThis as unknown as {
  WebAssembly: {
    Module: new (bytes: Uint8Array) => object
    Instance: new (module: object, imports: object) => { readonly exports: unknown }
  }
}

const types = { request: 1, response: 2 } as const
const pausedForUpgrade = 22

/** Who gets what the parser tells: one at a time, since all is read in one call. */
let reader: Reader | undefined

const instance = new WebAssembly.Instance(
  new WebAssembly.Module(createRequire(import.meta.url)('undici/lib/llhttp/llhttp-wasm.js')),
  {
    env: {
      wasm_on_message_begin: () => 0,
      wasm_on_url: (_parser: number, at: number, length: number) => reader?.tell('target', at, length),
      wasm_on_status: (_parser: number, at: number, length: number) => reader?.tell('reason', at, length),
      wasm_on_header_field: (_parser: number, at: number, length: number) => reader?.tell('name', at, length),
      wasm_on_header_value: (_parser: number, at: number, length: number) => reader?.tell('value', at, length),
      wasm_on_headers_complete: (_parser: number, status: number, _upgrade: number, keepAlive: number) =>
        reader?.headEnds(status, keepAlive === 1),
      wasm_on_body: (_parser: number, at: number, length: number) => reader?.tell('body', at, length),
      wasm_on_message_complete: () => reader?.messageEnds(),
    },
  },
)
const llhttp = instance.exports as Exports

class Reader {
  readonly messages: LlhttpMessage[] = []
  readonly parser: number
  readonly #methods: readonly string[]
  #said = { target: '', reason: '', body: '', name: '', value: '' }
  #fields: FieldList = []
  #fieldEnds = false
  #answered = 0
  #current: LlhttpMessage | undefined

  constructor(of: 'request' | 'response', methods: readonly string[]) {
    this.parser = llhttp.llhttp_alloc(types[of])
    this.#methods = methods
  }

  tell(what: 'target' | 'reason' | 'body' | 'name' | 'value', at: number, length: number): number {
    const text = Buffer.from(llhttp.memory.buffer, at, length).toString('latin1')
    if (what === 'body' && this.#current !== undefined) this.#current.body += text
    if (what === 'name' && this.#fieldEnds) this.#endField()
    this.#said[what] += text
    if (what === 'value') this.#fieldEnds = true
    return 0
  }

  headEnds(status: number, keepAlive: boolean): number {
    this.#endField()
    const { target, reason } = this.#said
    this.#current = {
      method: text(llhttp.llhttp_method_name(llhttp.llhttp_get_method(this.parser))),
      target,
      status,
      reason,
      version: `${llhttp.llhttp_get_http_major(this.parser)}.${llhttp.llhttp_get_http_minor(this.parser)}`,
      fields: this.#fields,
      trailers: [],
      body: '',
      complete: false,
      keepAlive,
    }
    this.messages.push(this.#current)
    this.#fields = []
    const method = this.#methods[this.#answered]
    if (status >= 200) this.#answered++
    // Whether there is a body does not depend on the head alone, so whoever uses the parser has to say it.
    return method === 'HEAD' || (status > 0 && (status < 200 || status === 204 || status === 304)) ? 1 : 0
  }

  messageEnds(): number {
    this.#endField()
    if (this.#current !== undefined) {
      this.#current.trailers = this.#fields
      this.#current.complete = true
    }
    this.#current = undefined
    this.#fields = []
    this.#said = { target: '', reason: '', body: '', name: '', value: '' }
    return 0
  }

  #endField(): void {
    const { name, value } = this.#said
    if (name !== '') this.#fields.push([name, value.replace(/^[\t ]+|[\t ]+$/g, '')])
    this.#said.name = this.#said.value = ''
    this.#fieldEnds = false
  }
}

/** Reads bytes with llhttp in its strict mode; the methods are what responses answer, a GET if they are not said. */
export function readWithLlhttp(
  of: 'request' | 'response',
  bytes: Buffer,
  methods: readonly string[] = [],
): LlhttpReading {
  const mine = new Reader(of, methods)
  const pointer = llhttp.malloc(Math.max(1, bytes.length))
  let error: string | undefined
  reader = mine
  try {
    new Uint8Array(llhttp.memory.buffer, pointer, bytes.length).set(bytes)
    let at = 0
    while (at <= bytes.length) {
      const result = llhttp.llhttp_execute(mine.parser, pointer + at, bytes.length - at)
      if (result === pausedForUpgrade) {
        // Whether it is one is for others to say: reading goes on behind it.
        const stopped = llhttp.llhttp_get_error_pos(mine.parser) - pointer
        llhttp.llhttp_resume_after_upgrade(mine.parser)
        if (stopped >= bytes.length) break
        at = stopped
        continue
      }
      if (result !== 0) {
        error = `${text(llhttp.llhttp_errno_name(result))}: ${text(llhttp.llhttp_get_error_reason(mine.parser))}`
      }
      break
    }
    if (error === undefined) llhttp.llhttp_finish(mine.parser)
  } finally {
    reader = undefined
    llhttp.free(pointer)
    llhttp.llhttp_free(mine.parser)
  }
  return { messages: mine.messages, error }
}

function text(pointer: number): string {
  if (pointer === 0) return ''
  const memory = new Uint8Array(llhttp.memory.buffer, pointer)
  return Buffer.from(memory.subarray(0, memory.indexOf(0))).toString('latin1')
}
