import { connect as connectTcp, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { encodeFields, type Field, HpackDecoder } from './hpack.ts'
import {
  ACK,
  clientPreface,
  describeFrame,
  END_HEADERS,
  END_STREAM,
  type ErrorCode,
  errorName,
  errorNumber,
  type Frame,
  type FrameName,
  FrameReader,
  frame,
  frameTypes,
  PADDED,
  PRIORITY,
  type Settings,
  settingNumbers,
  settingsPayload,
  unpadded,
  words,
} from './http2-frames.ts'

/** How a connection came to its end, or a stream did. */
export type Ending =
  | { readonly kind: 'message' }
  | { readonly kind: 'reset'; readonly code: string }
  | { readonly kind: 'goaway'; readonly code: string; readonly last: number }
  | { readonly kind: 'closed' }

/** What came on a stream: a request or a response, as far as it has come. */
export class WireStream {
  readonly id: number
  /** The blocks of fields, in the order of their frames. */
  readonly blocks: Field[][] = []
  readonly data: Buffer[] = []
  ended = false
  reset: string | undefined

  constructor(id: number) {
    this.id = id
  }

  /** The head that is not of an interim response. */
  get head(): readonly Field[] | undefined {
    return this.blocks.find((block) => !/^1\d\d$/.test(value(block, ':status') ?? ''))
  }

  get interim(): readonly Field[][] {
    return this.blocks.filter((block) => /^1\d\d$/.test(value(block, ':status') ?? ''))
  }

  get trailers(): readonly Field[] {
    const { head } = this
    return head === undefined ? [] : (this.blocks[this.blocks.indexOf(head as Field[]) + 1] ?? [])
  }

  get status(): number {
    return Number(this.header(':status'))
  }

  /** All values of a field of the head, joined. */
  header(name: string): string | undefined {
    return value(this.head ?? [], name)
  }

  get received(): number {
    return this.data.reduce((sum, chunk) => sum + chunk.length, 0)
  }

  get body(): string {
    return Buffer.concat(this.data).toString('latin1')
  }
}

function value(fields: readonly Field[], name: string): string | undefined {
  const values = fields.filter((field) => field[0] === name).map((field) => field[1])
  return values.length === 0 ? undefined : values.join(', ')
}

export interface WireOptions {
  /** What our SETTINGS say. Default: nothing. */
  readonly settings?: Settings
  /** Whether the client's preface and SETTINGS are sent, and the other side's waited for. Default true. */
  readonly greet?: boolean
  /** Whether SETTINGS and PING are answered. Default true. */
  readonly polite?: boolean
  /** Whether DATA that came is given back as window at once. Default true. */
  readonly credit?: boolean
  /** Of a TLS connection; ALPN is `h2` and nothing is verified if it says nothing else. */
  readonly tls?: ConnectionOptions | true
  readonly allowHalfOpen?: boolean
}

/** How long anything is waited for, in milliseconds, before the test is told what came instead. */
const patience = 15_000

/**
 * One end of an HTTP/2 connection that sends whatever it is told, right or wrong, and notes every frame that comes.
 * Written out for tests: no check stands between them and the socket.
 */
export class Http2Wire implements AsyncDisposable {
  readonly socket: Socket
  readonly side: 'client' | 'server'
  /** Every frame that came, in order. */
  readonly frames: Frame[] = []
  readonly streams: Map<number, WireStream> = new Map()
  /** What the other side's SETTINGS say, by number. */
  readonly peerSettings: Map<number, number> = new Map()
  /** What the other side let us send: the connection's window, and the change of each stream's. */
  window = 65_535
  readonly decoder: HpackDecoder = new HpackDecoder()
  ended = false
  closed = false
  error: Error | undefined
  readonly #windows = new Map<number, number>()
  readonly #polite: boolean
  readonly #credit: boolean
  #block: { stream: number; end: boolean; parts: Buffer[] } | undefined
  #changed: (() => void)[] = []
  #served = new Set<number>()
  #pings = 0

  private constructor(socket: Socket, side: 'client' | 'server', options: WireOptions) {
    this.socket = socket
    this.side = side
    this.#polite = options.polite ?? true
    this.#credit = options.credit ?? true
    const reader = new FrameReader(side === 'server')
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const came of reader.push(chunk)) {
          this.frames.push(came)
          this.#take(came)
        }
      } catch (error) {
        this.error ??= error as Error
        socket.destroy()
      }
      this.#wake()
    })
    socket.on('end', () => {
      this.ended = true
      this.#wake()
    })
    socket.on('error', (error: Error) => {
      this.error ??= error
    })
    socket.on('close', () => {
      this.closed = true
      this.#wake()
    })
  }

  /** A client on a port of loopback, greeted and ready unless it shall not be. */
  static async connect(port: number, options: WireOptions = {}): Promise<Http2Wire> {
    const { tls, allowHalfOpen = false } = options
    const socket =
      tls === undefined
        ? connectTcp({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen })
        : connectTls({
            port,
            host: '127.0.0.1',
            ALPNProtocols: ['h2'],
            rejectUnauthorized: false,
            ...(tls === true ? {} : tls),
          })
    await new Promise((resolve, reject) => {
      socket.once(tls === undefined ? 'connect' : 'secureConnect', resolve)
      socket.once('error', reject)
    })
    const wire = new Http2Wire(socket, 'client', options)
    if (options.greet ?? true) {
      wire.raw(Buffer.concat([clientPreface, frame('SETTINGS', 0, 0, settingsPayload(options.settings ?? {}))]))
      await wire.ready()
    }
    return wire
  }

  /** The server's side of a socket that a client has opened. */
  static serve(socket: Socket, options: WireOptions = {}): Http2Wire {
    const wire = new Http2Wire(socket, 'server', options)
    if (options.greet ?? true) wire.settings(options.settings ?? {})
    return wire
  }

  /** Waits for the other side's SETTINGS and for its word that it has seen ours. */
  async ready(): Promise<void> {
    await this.until('SETTINGS and their acknowledgement', () => {
      const kinds = this.frames.filter(({ type }) => type === frameTypes.SETTINGS).map(({ flags }) => flags & ACK)
      return kinds.includes(0) && kinds.includes(ACK)
    })
  }

  // What is sent. Everything goes out at once, as it is.

  raw(bytes: Uint8Array): void {
    if (!this.socket.destroyed) this.socket.write(bytes)
  }

  /** What is sent meanwhile leaves in one piece. */
  together(send: () => void): void {
    this.socket.cork()
    send()
    this.socket.uncork()
  }

  frame(type: FrameName | number, flags: number, stream: number, payload?: Uint8Array | string): void {
    this.raw(frame(type, flags, stream, payload))
  }

  /** A block of fields, or bytes in its place; `pieces` gives the lengths after which it goes on in a CONTINUATION. */
  headers(
    stream: number,
    block: readonly Field[] | Uint8Array,
    options: {
      readonly endStream?: boolean
      readonly endHeaders?: boolean
      readonly padding?: number
      readonly priority?: { readonly on: number; readonly weight?: number; readonly exclusive?: boolean }
      readonly pieces?: readonly number[]
    } = {},
  ): void {
    let rest: Uint8Array = isBytes(block) ? block : encodeFields(block)
    const { endStream = false, endHeaders = true, padding, priority, pieces = [] } = options
    let flags = endStream ? END_STREAM : 0
    const parts: Uint8Array[] = []
    for (const length of pieces) {
      parts.push(rest.subarray(0, length))
      rest = rest.subarray(length)
    }
    parts.push(rest)
    let first: Uint8Array = parts[0] ?? rest
    if (priority !== undefined) {
      const on = priority.exclusive === true ? priority.on + 0x8000_0000 : priority.on
      first = Buffer.concat([words(on), Buffer.from([(priority.weight ?? 16) - 1]), first])
      flags |= PRIORITY
    }
    if (padding !== undefined) {
      first = Buffer.concat([Buffer.from([padding]), first, Buffer.alloc(padding)])
      flags |= PADDED
    }
    this.together(() => {
      this.frame('HEADERS', flags | (parts.length === 1 && endHeaders ? END_HEADERS : 0), stream, first)
      parts.slice(1).forEach((part, at) => {
        this.frame('CONTINUATION', at === parts.length - 2 && endHeaders ? END_HEADERS : 0, stream, part)
      })
    })
  }

  continuation(stream: number, block: readonly Field[] | Uint8Array, endHeaders = true): void {
    this.frame('CONTINUATION', endHeaders ? END_HEADERS : 0, stream, isBytes(block) ? block : encodeFields(block))
  }

  data(
    stream: number,
    body: Uint8Array | string,
    options: { readonly endStream?: boolean; readonly padding?: number } = {},
  ): void {
    const { endStream = false, padding } = options
    const bytes = typeof body === 'string' ? Buffer.from(body, 'latin1') : body
    const payload =
      padding === undefined ? bytes : Buffer.concat([Buffer.from([padding]), bytes, Buffer.alloc(padding)])
    this.window -= payload.length
    this.#windows.set(stream, (this.#windows.get(stream) ?? 0) - payload.length)
    this.frame('DATA', (endStream ? END_STREAM : 0) | (padding === undefined ? 0 : PADDED), stream, payload)
  }

  rst(stream: number, code: ErrorCode | number = 'CANCEL'): void {
    this.frame('RST_STREAM', 0, stream, words(errorNumber(code)))
  }

  settings(settings: Settings): void {
    this.frame('SETTINGS', 0, 0, settingsPayload(settings))
  }

  ping(data: Uint8Array | string = 'pingpong', flags = 0): void {
    this.frame('PING', flags, 0, data)
  }

  goAway(last = 0, code: ErrorCode | number = 'NO_ERROR', debug = ''): void {
    this.frame('GOAWAY', 0, 0, Buffer.concat([words(last, errorNumber(code)), Buffer.from(debug)]))
  }

  windowUpdate(stream: number, by: number): void {
    this.frame('WINDOW_UPDATE', 0, stream, words(by))
  }

  priority(stream: number, on: number, weight = 16, exclusive = false): void {
    const dependency = exclusive ? on + 0x8000_0000 : on
    this.frame('PRIORITY', 0, stream, Buffer.concat([words(dependency), Buffer.from([weight - 1])]))
  }

  // What a well-behaved end does.

  /** A request without a body on a stream; fields are added to its four pseudo fields. */
  get(stream: number, path = '/', fields: readonly Field[] = []): void {
    this.headers(stream, request('GET', path, fields), { endStream: true })
  }

  /** A request whose body is sent within the windows of the other side. */
  async post(stream: number, path: string, body: Uint8Array | string, fields: readonly Field[] = []): Promise<void> {
    this.headers(stream, request('POST', path, fields))
    await this.body(stream, body)
  }

  /** A response, whole. */
  respond(stream: number, status: number, body = '', fields: readonly Field[] = []): void {
    this.headers(stream, [[':status', String(status)], ...fields], { endStream: body === '' })
    if (body !== '') this.data(stream, body, { endStream: true })
  }

  /** Sends a body within the windows of the other side, and ends the stream. */
  async body(stream: number, body: Uint8Array | string, endStream = true): Promise<void> {
    let rest: Uint8Array = typeof body === 'string' ? Buffer.from(body, 'latin1') : body
    do {
      await this.until(
        `room for DATA on stream ${stream}`,
        () => this.closed || rest.length === 0 || this.room(stream) > 0,
      )
      if (this.closed || this.streams.get(stream)?.reset !== undefined) return
      const part = rest.subarray(0, Math.min(this.room(stream), 16_384))
      rest = rest.subarray(part.length)
      this.data(stream, part, { endStream: endStream && rest.length === 0 })
    } while (rest.length > 0)
  }

  /** How many bytes of DATA the other side takes on a stream now. */
  room(stream: number): number {
    const initial = this.peerSettings.get(settingNumbers.INITIAL_WINDOW_SIZE) ?? 65_535
    return Math.min(this.window, initial + (this.#windows.get(stream) ?? 0))
  }

  // What is waited for.

  /** The response on a stream, whole; throws if the stream or the connection broke before its end. */
  async response(stream: number): Promise<WireStream> {
    const ending = await this.ending(stream)
    if (ending.kind === 'message') return this.stream(stream)
    throw new Error(`no whole response on stream ${stream}, but ${JSON.stringify(ending)}; ${this.transcript()}`)
  }

  /** The head of the response on a stream, at least. */
  async head(stream: number): Promise<WireStream> {
    await this.until(`a head on stream ${stream}`, () => this.stream(stream).head !== undefined || this.#broken(stream))
    if (this.stream(stream).head === undefined) return this.response(stream)
    return this.stream(stream)
  }

  /** Of a server's side: the next request whose head has come. */
  async request(): Promise<WireStream> {
    const next = (): WireStream | undefined =>
      [...this.streams.values()].find((it) => !this.#served.has(it.id) && it.blocks.length > 0)
    await this.until('a request', () => next() !== undefined || this.closed, Number.POSITIVE_INFINITY)
    const stream = next()
    if (stream === undefined) throw new Error(`the client left without a request; ${this.transcript()}`)
    this.#served.add(stream.id)
    return stream
  }

  /** Of a server's side: the body of a request, whole. */
  async whole(stream: WireStream): Promise<string> {
    await this.until(`the end of stream ${stream.id}`, () => stream.ended || this.#broken(stream.id))
    return stream.body
  }

  /** How a stream ends: with a message, a reset, or that of the connection. */
  async ending(stream: number): Promise<Ending> {
    await this.until(`an end of stream ${stream}`, () => this.stream(stream).ended || this.#broken(stream))
    const { ended, reset } = this.stream(stream)
    if (ended) return { kind: 'message' }
    if (reset !== undefined) return { kind: 'reset', code: reset }
    return this.goneAway ?? { kind: 'closed' }
  }

  /** The first GOAWAY that came with an error; without one, the last. */
  get goneAway(): { kind: 'goaway'; code: string; last: number } | undefined {
    const all = this.frames.filter(({ type }) => type === frameTypes.GOAWAY)
    const came = all.find(({ payload }) => payload.readUInt32BE(4) !== 0) ?? all.at(-1)
    if (came === undefined) return undefined
    return { kind: 'goaway', code: errorName(came.payload.readUInt32BE(4)), last: came.payload.readUInt32BE(0) }
  }

  /** Whether nothing more can come: the connection is at its end, or a GOAWAY has said of an error. */
  get dead(): boolean {
    return this.ended || this.closed || (this.goneAway !== undefined && this.goneAway.code !== 'NO_ERROR')
  }

  /** Waits until the other side has ended the connection; gives its GOAWAY. */
  async over(): Promise<Ending> {
    await this.until('the end of the connection', () => this.ended || this.closed)
    return this.goneAway ?? { kind: 'closed' }
  }

  /**
   * Sends a PING and waits for its answer, by which all that was sent before has been read. False if the connection ended
   * instead.
   */
  async alive(): Promise<boolean> {
    const mark = Buffer.from(`mark${String(this.#pings++).padStart(4, '0')}`)
    this.ping(mark)
    const answered = (): boolean =>
      this.frames.some(({ type, flags, payload }) => type === frameTypes.PING && flags === ACK && payload.equals(mark))
    await this.until('an answer to PING', () => answered() || this.dead)
    return answered()
  }

  /** Waits for something to be so; looks again at each piece that comes. */
  async until(what: string, done: () => boolean, within: number = patience): Promise<void> {
    const end = Date.now() + within
    while (!done()) {
      const left = end - Date.now()
      if (left <= 0) throw new Error(`waited in vain for ${what}; ${this.transcript()}`)
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>((resolve) => {
        if (Number.isFinite(left)) timer = setTimeout(resolve, left)
        this.#changed.push(resolve)
      })
      clearTimeout(timer)
    }
  }

  /** What came on a stream, and nothing if it was never heard of. */
  stream(id: number): WireStream {
    let stream = this.streams.get(id)
    if (stream === undefined) {
      stream = new WireStream(id)
      this.streams.set(id, stream)
    }
    return stream
  }

  /** The frames that came, for the message of a failed test. */
  transcript(): string {
    const lines = this.frames.slice(-30).map(describeFrame)
    const state = `${this.ended ? 'ended' : 'open'}${this.closed ? ', closed' : ''}${this.error ? ` ${this.error.message}` : ''}`
    return `came (${state}):\n  ${lines.join('\n  ')}`
  }

  /** Breaks the connection, as a crash would. */
  cut(): void {
    this.socket.resetAndDestroy()
  }

  end(): void {
    this.socket.end()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy()
    if (!this.closed) await new Promise((resolve) => this.socket.once('close', resolve))
  }

  #broken(stream: number): boolean {
    return this.stream(stream).reset !== undefined || this.dead
  }

  #take(came: Frame): void {
    const { type, flags, stream, payload } = came
    if (type === frameTypes.SETTINGS) {
      if ((flags & ACK) !== 0) return
      for (let at = 0; at < payload.length; at += 6)
        this.peerSettings.set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2))
      if (this.#polite) this.frame('SETTINGS', ACK, 0)
    } else if (type === frameTypes.PING) {
      if ((flags & ACK) === 0 && this.#polite) this.frame('PING', ACK, 0, payload)
    } else if (type === frameTypes.WINDOW_UPDATE) {
      if (stream === 0) this.window += payload.readUInt32BE(0)
      else this.#windows.set(stream, (this.#windows.get(stream) ?? 0) + payload.readUInt32BE(0))
    } else if (type === frameTypes.RST_STREAM) this.stream(stream).reset = errorName(payload.readUInt32BE(0))
    else if (type === frameTypes.HEADERS) {
      this.#block = { stream, end: (flags & END_STREAM) !== 0, parts: [unpadded(came)] }
      if ((flags & END_HEADERS) !== 0) this.#endBlock()
    } else if (type === frameTypes.CONTINUATION) {
      this.#block?.parts.push(payload)
      if ((flags & END_HEADERS) !== 0) this.#endBlock()
    } else if (type === frameTypes.DATA) {
      const it = this.stream(stream)
      const data = unpadded(came)
      if (data.length > 0) it.data.push(data)
      if ((flags & END_STREAM) !== 0) it.ended = true
      if (this.#credit && payload.length > 0) {
        this.windowUpdate(0, payload.length)
        if (!it.ended) this.windowUpdate(stream, payload.length)
      }
    }
  }

  #endBlock(): void {
    const block = this.#block
    if (block === undefined) return
    this.#block = undefined
    const it = this.stream(block.stream)
    it.blocks.push(this.decoder.decode(Buffer.concat(block.parts)))
    if (block.end) it.ended = true
  }

  #wake(): void {
    const waiting = this.#changed
    this.#changed = []
    for (const resolve of waiting) resolve()
  }
}

function isBytes(block: readonly Field[] | Uint8Array): block is Uint8Array {
  return block instanceof Uint8Array
}

/** The fields of a request: the four pseudo fields, and what is added. */
export function request(method = 'GET', path = '/', fields: readonly Field[] = []): Field[] {
  return [[':method', method], [':scheme', 'http'], [':authority', 'a.test'], [':path', path], ...fields]
}
