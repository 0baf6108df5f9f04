import type { IncomingMessage } from 'node:http'
import { PassThrough, Readable } from 'node:stream'
import { XpsError } from '../errors.ts'
import type { Fields } from '../http/fields.ts'
import type { BodyLike } from '../pipe/from.ts'
import { PipeSource } from '../pipe/source.ts'
import { fieldsOfRaw } from './node-fields.ts'
import type { ProxyRequest } from './proxy-request.ts'

/** The body of a request to a target, wherever it is from. */
export interface RequestBody {
  /** In bytes; 0 for none, less if nobody knows. */
  readonly length: number
  /** All of it, if it is at hand. */
  readonly bytes: Uint8Array | undefined
  /** It has come whole. */
  readonly complete: boolean
  /** What followed it, once it is complete. */
  readonly trailers: Fields | undefined
  /** It is the client's, and nobody reads it any more. */
  readonly abandoned: boolean
  /** Since when the client is waited for, by the given clock; undefined if it is not. */
  readonly waitingSince: number | undefined
  /** To be read once. */
  source(): PipeSource
  /** Nobody reads it any more, if anybody did. */
  release(): void
}

/** The body that goes to the target: what listeners wrote, what the options give, or the client's. */
export function bodyOf(req: IncomingMessage, buffer: unknown, asked: ProxyRequest, now: () => number): RequestBody {
  const { written } = asked
  const declared = declaredLength(req)
  if (written !== undefined && (asked.ended || declared === 0 || req.readableEnded)) return new GivenBody(written)
  if (buffer !== undefined && buffer !== null) return givenBody(buffer, declared)
  if (written !== undefined) return new GivenBody(inFront(written, req), declared < 0 ? -1 : declared + written.length)
  if (declared === 0) return noBody
  if (req.readableEnded) {
    const what = 'the body of the request was read before: give it by the option `buffer`, or write it in `proxyReq`'
    throw new XpsError('XPS_STREAM', what, { status: 500 })
  }
  return new ClientBody(req, declared, now)
}

/** The same body twice, for two targets. The slower of them sets the pace; one that stops does not stop the other. */
export function twice(body: RequestBody): [RequestBody, RequestBody] {
  if (body.bytes !== undefined || body.length === 0) return [body, body]
  const streams = [new PassThrough(), new PassThrough()] as const
  const from = body instanceof ClientBody ? body.req : Readable.from(body instanceof GivenBody ? body.content : [])
  for (const stream of streams) {
    // Whoever reads it hears of its errors; until then there is nobody to tell.
    stream.on('error', () => {})
    from.pipe(stream)
  }
  from.once('close', () => {
    if (from.readableEnded) return
    const error = new XpsError('XPS_TRUNCATED', 'the body of the request broke off', { origin: 'client' })
    for (const stream of streams) stream.destroy(error)
  })
  from.once('error', () => {})
  return [new CopiedBody(streams[0], body, from), new CopiedBody(streams[1], body, from)]
}

/** Bytes of the client's body as its head says; less than 0 if it does not say. */
function declaredLength(req: IncomingMessage): number {
  if (req.headers['transfer-encoding'] !== undefined) return -1
  const length = req.headers['content-length']
  if (length !== undefined && /^\d+$/.test(length)) return Number(length)
  if (req.httpVersionMajor < 2) return 0
  // HTTP/2 need not say so, and says by the end of the stream that there is none.
  return 'stream' in req && (req.stream as { endAfterHeaders?: boolean }).endAfterHeaders === true ? 0 : -1
}

function givenBody(buffer: unknown, declared: number): RequestBody {
  if (typeof buffer === 'string') return new GivenBody(Buffer.from(buffer))
  if (buffer instanceof Uint8Array) return new GivenBody(buffer)
  // It is taken to be the client's body again, so that its length is known; the length is enforced.
  return new GivenBody(buffer as BodyLike, declared > 0 ? declared : -1)
}

async function* generate(first: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first
  yield* rest
}

function inFront(written: Uint8Array, req: IncomingMessage): BodyLike {
  // The request itself must not be iterated over: its connection would end with the loop.
  const rest = new PassThrough()
  req.pipe(rest)
  req.once('close', () => {
    if (!req.readableEnded) rest.destroy(new XpsError('XPS_TRUNCATED', 'the body of the request broke off'))
  })
  return generate(written, rest)
}

/** No body. */
export const noBody: RequestBody = {
  length: 0,
  bytes: undefined,
  complete: true,
  trailers: undefined,
  abandoned: false,
  waitingSince: undefined,
  source: () => PipeSource.from(new Uint8Array(0)),
  release: () => {},
}

/** A body that a program gives. */
class GivenBody implements RequestBody {
  readonly content: BodyLike
  readonly length: number
  readonly bytes: Uint8Array | undefined
  readonly complete = true
  readonly trailers: undefined = undefined
  readonly abandoned = false
  readonly waitingSince: undefined = undefined

  constructor(content: BodyLike, length = -1) {
    this.content = content
    this.bytes = content instanceof Uint8Array ? content : undefined
    this.length = content instanceof Uint8Array ? content.length : length
  }

  source(): PipeSource {
    return PipeSource.from(this.content)
  }

  release(): void {}
}

/** One of two copies. */
class CopiedBody implements RequestBody {
  readonly length: number
  readonly bytes: undefined = undefined
  readonly abandoned = false
  readonly waitingSince: undefined = undefined
  readonly #stream: PassThrough
  readonly #of: RequestBody
  readonly #from: Readable

  constructor(stream: PassThrough, of: RequestBody, from: Readable) {
    this.#stream = stream
    this.#of = of
    this.#from = from
    this.length = of.length
    stream.once('close', () => {
      // Without a reader, what is left is read and thrown away, so that the client can go on.
      from.unpipe(stream)
      if (from.listenerCount('data') === 0) from.resume()
    })
  }

  get complete(): boolean {
    return this.#of.complete && this.#from.readableEnded
  }

  get trailers(): Fields | undefined {
    return this.#of.trailers
  }

  source(): PipeSource {
    return PipeSource.from(this.#stream)
  }

  /** The other copy is not held up by this one. */
  release(): void {
    this.#stream.destroy()
  }
}

/** The client's own body. */
class ClientBody implements RequestBody {
  readonly req: IncomingMessage
  readonly length: number
  readonly bytes: undefined = undefined
  readonly #now: () => number
  #source: ClientSource | undefined

  constructor(req: IncomingMessage, length: number, now: () => number) {
    this.req = req
    this.length = length
    this.#now = now
  }

  get complete(): boolean {
    return this.req.readableEnded
  }

  get trailers(): Fields | undefined {
    const { rawTrailers } = this.req
    return rawTrailers === undefined || rawTrailers.length === 0 ? undefined : fieldsOfRaw(rawTrailers)
  }

  get abandoned(): boolean {
    return !this.complete && this.#source?.active !== true
  }

  get waitingSince(): number | undefined {
    return this.#source?.waitingSince
  }

  source(): PipeSource {
    this.#source ??= new ClientSource(this.req, this.#now)
    return this.#source
  }

  /** What nobody has begun to read is up to Node's server, and to the program. */
  release(): void {}
}

/** Reads the body of a client's request. The request, and so the connection, lives on when nobody wants more of it. */
class ClientSource extends PipeSource {
  readonly #req: IncomingMessage
  readonly #now: () => number
  #started = false
  #rest: Uint8Array | undefined
  #ending = false
  #waitingSince: number | undefined

  constructor(req: IncomingMessage, now: () => number) {
    super()
    this.#req = req
    this.#now = now
  }

  get waitingSince(): number | undefined {
    return this.#waitingSince
  }

  override pulled(): void {
    if (this.ended) return
    const rest = this.#rest
    if (rest !== undefined) {
      const taken = this.write(rest)
      this.#rest = taken < rest.length ? rest.subarray(taken) : undefined
      if (this.#rest !== undefined) return
    }
    if (this.#ending || this.#req.readableEnded) return this.end()
    if (!this.#started) {
      this.#started = true
      this.#req.on('data', this.#onData)
      this.#req.once('end', this.#onEnd)
      this.#req.once('close', this.#onClose)
    }
    this.#waitingSince = this.#now()
    this.#req.resume()
  }

  readonly #onData = (chunk: Buffer | string): void => {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
    const taken = this.write(bytes)
    this.#waitingSince = this.#now()
    if (taken < bytes.length) this.#rest = bytes.subarray(taken)
    if (this.#rest === undefined && this.ready) return
    this.#waitingSince = undefined
    this.#req.pause()
  }

  readonly #onEnd = (): void => {
    this.#waitingSince = undefined
    if (this.#rest === undefined) this.end()
    else this.#ending = true
  }

  readonly #onClose = (): void => {
    this.#waitingSince = undefined
    if (!this.#req.readableEnded) {
      this.end(new XpsError('XPS_TRUNCATED', 'the client ended in the middle of a request', { origin: 'client' }))
    }
  }

  override over(error: XpsError | undefined): void {
    super.over(error)
    this.#waitingSince = undefined
    const req = this.#req
    req.off('data', this.#onData)
    req.off('end', this.#onEnd)
    req.off('close', this.#onClose)
    // What nobody wants is read and thrown away: the client may look at the answer only when it has sent everything.
    if (!req.readableEnded && !req.destroyed) req.resume()
  }
}
