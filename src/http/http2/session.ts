import { performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { Duplex } from 'node:stream'
import { Deadlines } from '../../admission/deadlines.ts'
import type { Alarm } from '../../clock.ts'
import type { Connection } from '../../core/connection.ts'
import { asXpsError, systemCode, XpsError } from '../../errors.ts'
import type { Lifetime } from '../../lifetime/lifetime.ts'
import { ClientHttpSession, ofTransactions } from '../client-http-session.ts'
import { Fields } from '../fields.ts'
import { RequestHead } from '../messages.ts'
import type { HttpScope } from '../scope.ts'
import { Transaction } from '../transaction.ts'
import { codeOfEnd, codes } from './codes.ts'
import { FloodGuard } from './flood-guard.ts'
import { LastFields } from './last-fields.ts'
import { nodeOptions } from './node-options.ts'
import type { Flood, Http2Rules } from './options.ts'
import { type ReadRequest, readRequest } from './request-head.ts'
import { Http2Stream, type StreamOwner } from './stream.ts'

/** How long a client may take to say that it has got the first GOAWAY, in milliseconds. */
const goAwayWait = 1_000

/**
 * An HTTP/2 connection of a client: transactions beside each other, each on a stream of its own.
 *
 * ```
 *  client's socket ◄─► node:http2 ─► 'stream' ─► Http2Stream, Transaction
 *                                 └► pings, settings, resets ─► FloodGuard
 * ```
 *
 * It ends by GOAWAY: the first says that the end is near, the second, when the client has that, which of its requests
 * were taken; then the connection closes with its last stream.
 */
export class Http2Session extends ClientHttpSession implements StreamOwner {
  readonly #rules: Http2Rules
  readonly #guard: FloodGuard
  #node: ServerHttp2Session | undefined
  #socket: Duplex | undefined
  /** Streams that have not closed; the transactions of some have. Linked, so that many short ones cost no collection. */
  #first: Http2Stream | undefined
  #open = 0
  readonly #last = new LastFields()
  /** The client has begun: its preface and settings came. */
  #greeted = false
  /** Since when it has had no stream. */
  #idleSince: number
  #leaving = false
  #alarm: Alarm | undefined
  #flooded = false
  /** For {@link #probe}: the bytes of the client at the last look, and whether it has lived since. */
  #seen = 0
  #alive = true
  /** How often in a row it did not look alive. */
  #suspicions = 0
  #stuck = false

  constructor(client: Connection, scope: HttpScope, rules: Http2Rules) {
    super(client, scope)
    this.#rules = rules
    this.#idleSince = client.since
    this.#guard = new FloodGuard(rules, this.time())
  }

  /** No stream is open. */
  override get idle(): boolean {
    return this.#open === 0
  }

  override get lastActive(): number {
    let last = super.lastActive
    for (let child = this.firstChild; child !== undefined; child = child.nextSibling) {
      if (child instanceof Transaction) last = Math.max(last, child.lastActive)
    }
    return last
  }

  protected override listen(): void {
    const { client } = this
    if (client.phase !== 'open') return
    const socket = client.takeSocket()
    const node = performServerHandshake(socket, nodeOptions(this.#rules, this.scope.limits))
    this.#node = node
    this.#socket = socket
    // What breaks the protocol, or Node's own limits, ends here: only now can the client be told what for.
    const destroy = node.destroy.bind(node)
    node.destroy = (error, code) => {
      const reason = this.#endingOf(error)
      destroy(error, code ?? (reason === undefined ? undefined : codeOfEnd(reason)))
      if (reason !== undefined) this.#ended(reason)
    }
    node.on('stream', (stream, _headers, flags, raw?: string[]) => this.#begin(stream, flags, raw ?? []))
    node.on('remoteSettings', () => {
      this.#greeted = true
      this.client.movedIn()
      this.#count('settings')
    })
    node.on('ping', () => this.#count('pings'))
    ;(node as NodeJS.EventEmitter).on('priority', () => this.#count('priorities'))
    node.on('goaway', () => this.#left())
    node.on('error', ignore)
    // In HTTP/2 a client has no reason to end its direction but that it has gone.
    socket.once('end', () => node.destroy())
    socket.read(0)
  }

  #begin(node: ServerHttp2Stream, flags: number, raw: readonly string[]): void {
    node.on('error', ignore)
    if (node.destroyed || node.closed) return this.#count('resets')
    if (this.phase === 'closed') return node.close(codes.refused)
    this.client.movedIn()
    let stream: Http2Stream
    try {
      stream = new Http2Stream(node, readRequest(raw, (flags & endStream) !== 0, this.scope.limits, this.#last), this)
    } catch (error) {
      return this.#refuse(node, asXpsError(error, 'XPS_BAD_REQUEST', 'the request cannot be read'))
    }
    this.#add(stream)
    const transaction = this.begin(stream)
    stream.transaction = transaction
    transaction.start()
    if (this.lastRequest) this.#goAway()
  }

  #add(stream: Http2Stream): void {
    stream.next = this.#first
    if (this.#first !== undefined) this.#first.previous = stream
    this.#first = stream
    this.#open++
  }

  /** Those that are open now. */
  #streams(): Http2Stream[] {
    const list: Http2Stream[] = []
    for (let stream = this.#first; stream !== undefined; stream = stream.next) list.push(stream)
    return list
  }

  /** What came is no request: the client is told so, on its stream. */
  #refuse(node: ServerHttp2Stream, error: XpsError): void {
    const stream = new Http2Stream(node, noRequest, this)
    this.#add(stream)
    try {
      this.refusal(error, (answer, body) => stream.refuse(answer, body))
    } catch (failure) {
      this.fault(failure)
      stream.reset(codes.protocol)
    }
  }

  /** @internal */
  moved(direction: 'in' | 'out'): void {
    if (direction === 'in') this.client.movedIn()
    else this.client.movedOut()
  }

  /** @internal */
  streamClosed(stream: Http2Stream, early: boolean): void {
    if (stream.next !== undefined) stream.next.previous = stream.previous
    if (stream.previous !== undefined) stream.previous.next = stream.next
    else this.#first = stream.next
    // One that V8 still holds for living, as its generation is not looked through often, would keep those that came after it.
    stream.next = stream.previous = undefined
    this.#open--
    if (early) this.#count('resets')
    if (this.#open > 0) return
    this.#idleSince = this.time()
    this.#left()
  }

  protected override onChildClosed(child: Lifetime): void {
    if (child instanceof Transaction) this.counted(child)
    super.onChildClosed(child)
  }

  #count(what: Exclude<Flood, 'frames'>): void {
    if (this.#flooded || !this.#guard.count(what, this.time())) return
    this.#flooded = true
    this.scope.flooded(what)
    // What has come with it is read first: nghttp2 cannot be ended while it reads.
    setImmediate(() => this.#end(new XpsError('XPS_FLOOD', `the client sends too many ${what}`, { origin: 'client' })))
  }

  /** Ends it now, but not before the client has been told why. */
  #end(error: XpsError): void {
    const node = this.#node
    if (node !== undefined && !node.destroyed) end(node, codeOfEnd(error))
    this.#ended(error)
  }

  /** Node is ending it: when the client has taken the GOAWAY, the socket closes, and all with it. */
  #ended(error: XpsError): void {
    this.finish(error)
    this.#linger()
  }

  /** Why Node ends it, where it is not because of us. */
  #endingOf(error: unknown): XpsError | undefined {
    if (error === undefined || error === null || typeof error === 'number' || this.phase === 'closed') return undefined
    const code = systemCode(error)
    if (code?.startsWith('ERR_HTTP2') !== true) return undefined
    const errno = Number((error as { errno?: unknown }).errno)
    if (code === 'ERR_HTTP2_TOO_MANY_INVALID_FRAMES' || floodErrors.has(errno)) {
      this.scope.flooded('frames')
      return new XpsError('XPS_FLOOD', 'the client sends too many frames', { origin: 'client', cause: error })
    }
    if (code === 'ERR_HTTP2_SESSION_ERROR') {
      return new XpsError('XPS_RESET', 'the client ended the connection with an error', {
        origin: 'client',
        cause: error,
      })
    }
    return asXpsError(error, 'XPS_BAD_REQUEST', 'the client broke the protocol', { origin: 'client' })
  }

  // The end.

  endAfter(): void {
    this.#goAway()
  }

  protected override onDraining(draining: boolean): void {
    if (draining) this.#goAway()
  }

  protected override onDrain(): void {
    this.#goAway()
    super.onDrain()
  }

  /** Says that no more requests are taken, and ends the connection with the last that was. */
  #goAway(): void {
    const node = this.#node
    if (this.#leaving || node === undefined || node.destroyed) return
    this.#leaving = true
    node.goaway(codes.none, 2 ** 31 - 1)
    // Without a stream nghttp2 reads no more from here on.
    if (this.#open === 0) return this.#close(node)
    // What the client had sent before it got the first is known when it answers: the second names the last that was taken.
    this.#alarm = this.clock.after(goAwayWait, () => this.#close(node))
    node.ping(() => this.#close(node))
  }

  /** The second GOAWAY. Node ends the connection with its last stream. */
  #close(node: ServerHttp2Session): void {
    if (!node.closed && !node.destroyed) node.close()
    this.#left()
  }

  /** If no more streams can come, and none is left, the client has a little time to end the connection. */
  #left(): void {
    const node = this.#node
    if (node === undefined || this.#open > 0 || this.#stuck) return
    if (node.closed || node.destroyed) this.#linger()
    else if (this.#leaving) this.#close(node)
  }

  #linger(): void {
    this.#alarm?.cancel()
    this.#alarm =
      this.phase === 'closed' ? undefined : this.clock.after(this.client.lingerTimeout, () => this.client.abort())
  }

  // Time.

  protected override deadlines(deadlines: Deadlines): void {
    const { client, timeouts } = this
    const { bodyTimeout, keepAliveTimeout } = this.scope.timeouts
    if (this.#leaving && this.#open === 0) {
      // It is about to end: see above.
    } else if (!this.#greeted) deadlines.offer(client.since, timeouts.firstByteTimeout, 'first-byte')
    else if (this.#open === 0) {
      // There may be thousands that are silent.
      if (this.time() - this.#idleSince > forgetAfter) this.#last.forget()
      deadlines.offer(this.#idleSince, keepAliveTimeout, 'keep-alive')
    }
    if (endsSilently) {
      this.#probe()
      deadlines.mayBegin(probeLook)
    }
    for (let stream = this.#first; stream !== undefined; stream = stream.next) {
      stream.deadlines(deadlines, bodyTimeout, timeouts.clientIdleTimeout)
    }
    super.deadlines(deadlines)
  }

  /**
   * Node 20 tells nobody that nghttp2 has ended a connection for an error in its frames: it reads no more and does not close, so
   * that not even the client's leaving is seen. Such a connection sends no PING, though its socket takes bytes. That is tried
   * after the client has sent something and fallen silent; and once more, since a machine with too much to do looks like it.
   */
  #probe(): void {
    const node = this.#node
    const { bytesIn } = this.client
    if (node === undefined || node.destroyed || node.closed) return
    if (bytesIn !== this.#seen) {
      this.#seen = bytesIn
      this.#alive = false
      this.#suspicions = 0
      return
    }
    if (this.#alive) return
    this.#alive = true
    node.ping(() => {
      this.#seen = this.client.bytesIn
    })
    // Of no byte, behind all that the socket still has to send.
    this.#socket?.write(nothing, () => {
      setImmediate(() => {
        if (node.destroyed || (node.state.outboundQueueSize ?? 0) === 0) return
        if (++this.#suspicions > 1) this.stuck()
        else this.#alive = false
      })
    })
  }

  /** @internal Nothing moves that has to. */
  stuck(): void {
    const node = this.#node
    if (this.#stuck || node === undefined) return
    this.#stuck = true
    const error = new XpsError('XPS_BAD_REQUEST', 'the client broke the protocol', { origin: 'client' })
    // Node must have let go of its streams before it lets go of a session like this.
    for (const stream of this.#streams()) stream.discard()
    this.finish(error)
    this.#alarm?.cancel()
    this.#alarm = this.clock.after(stuckWait, () => this.#end(error))
  }

  protected override timedOut(error: XpsError): void {
    const { reason } = error
    if (reason === 'keep-alive') {
      this.#goAway()
      this.finish(error)
    } else if (reason !== undefined && (ofTransactions.has(reason) || reason === 'client-idle')) {
      const { bodyTimeout } = this.scope.timeouts
      for (const stream of this.#streams()) {
        const own = new Deadlines(this.clock.now())
        stream.deadlines(own, bodyTimeout, this.timeouts.clientIdleTimeout)
        // Those that ran out of another time are seen at the next look.
        if (own.passed && own.reason === reason) stream.timedOut(error)
      }
    } else this.#end(error)
  }

  protected override onAbort(error: XpsError): void {
    const node = this.#node
    if (node !== undefined && !node.destroyed) end(node, codeOfEnd(error))
    super.onAbort(error)
  }

  protected override onClosed(error: XpsError | undefined): void {
    this.#alarm?.cancel()
    this.#alarm = undefined
    super.onClosed(error)
  }
}

function ignore(): void {}

const nothing = new Uint8Array(0)
/** Of a connection that is silent for so long nothing is kept for its next request, in milliseconds. */
const forgetAfter = 5_000

const endsSilently = Number.parseInt(process.versions.node, 10) < 22
/** How long Node is given to let go of the streams of a connection that is dead, in milliseconds. */
const stuckWait = 100
/** How often it is looked whether Node has ended a connection without a word, in milliseconds. */
const probeLook = 1_000

/** Ends it with a code; the declarations know only errors there, Node a code too. */
function end(node: ServerHttp2Session, code: number): void {
  node.destroy(code as unknown as Error)
}

/** The flag of HEADERS that no body follows (RFC 9113, 6.2). */
const endStream = 0x1
/** What nghttp2 calls a flood of answers that are owed, and one of CONTINUATION frames. */
const floodErrors: ReadonlySet<number> = new Set([-904, -905])
const noRequest: ReadRequest = {
  head: new RequestHead('GET', '/', '2', new Fields(), ''),
  length: -1,
  expectsContinue: false,
  ended: false,
  upgrade: undefined,
}
