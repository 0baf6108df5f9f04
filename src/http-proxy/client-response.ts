import type { IncomingMessage, ServerResponse } from 'node:http'
import { XpsError } from '../errors.ts'
import type { ResponseSink } from '../http/client-stream.ts'
import type { Fields } from '../http/fields.ts'
import { PipeSink } from '../pipe/sink.ts'
import { rawOf } from './node-fields.ts'
import type { ProxyResponse } from './proxy-response.ts'

/** The client waits for a 100 that nobody has sent: a program listens to `checkContinue` of Node's server. */
export function waitsForContinue(req: IncomingMessage, res: ServerResponse): boolean {
  return (
    /^100-continue$/i.test(req.headers.expect ?? '') &&
    '_sent100' in res &&
    res._sent100 === false &&
    typeof res.writeContinue === 'function'
  )
}

/** Sends an interim response as far as Node's server can. */
export function sendInterim(req: IncomingMessage, res: ServerResponse, status: number, fields: Fields): void {
  if (res.headersSent || res.writableEnded || req.httpVersion === '1.0') return
  if (status === 100) {
    if (waitsForContinue(req, res)) res.writeContinue()
  } else if (status === 102) {
    if (typeof res.writeProcessing === 'function') res.writeProcessing()
  } else if (status === 103 && typeof res.writeEarlyHints === 'function') {
    const hints: Record<string, string | string[]> = {}
    for (const [name, value] of Object.entries(fields.toObject())) {
      const text = Array.isArray(value) ? value.join(', ') : value
      hints[name] = name === 'link' ? linksOf(text) : text
    }
    try {
      res.writeEarlyHints(hints as Record<string, string> & { link: string | string[] })
    } catch {
      // Links that Node does not understand are not worth a failure.
    }
  }
}

/** The links in a value of `Link`, which Node wants one by one: commas may also be in a URL or in quotation marks. */
function linksOf(value: string): string[] {
  const links: string[] = []
  let start = 0
  let until = ''
  for (let at = 0; at <= value.length; at++) {
    const character = value[at]
    if (until !== '' && character !== undefined) {
      if (character === until) until = ''
    } else if (character === '<') until = '>'
    else if (character === '"') until = '"'
    else if (character === ',' || character === undefined) {
      const link = value.slice(start, at).trim()
      if (link !== '') links.push(link)
      start = at + 1
    }
  }
  return links
}

/** What is said of a response besides its fields. */
export interface ClientHead {
  readonly status: number
  readonly reason: string
  readonly fields: Fields
  /** Of the body, or of what it would be; less than 0 if nobody knows. */
  readonly length: number
  /** There is a body to come. */
  readonly body: boolean
  /** Names stay as they are spelled. */
  readonly keepCase: boolean
  /** The connection cannot be used again. */
  readonly close: boolean
}

/** Sets status and fields of a response, which are sent with the first of its body. Returns the names of the fields. */
export function setHead(req: IncomingMessage, res: ServerResponse, head: ClientHead): string[] {
  const { fields, length } = head
  // Node frames by itself, and throws if it is asked for trailers where it can send none.
  const chunked = head.body && length < 0 && req.httpVersion === '1.1'
  if (!chunked) fields.delete('trailer')
  const values = new Map<string, { name: string; values: string[] }>()
  for (const [name, value] of fields) {
    const key = name.toLowerCase()
    const known = values.get(key)
    if (known === undefined) values.set(key, { name: head.keepCase ? name : key, values: [value] })
    else known.values.push(value)
  }
  for (const one of values.values()) {
    res.setHeader(one.name, one.values.length === 1 ? (one.values[0] as string) : one.values)
  }
  if (length >= 0) res.setHeader('Content-Length', length)
  // Of a program, or of a response that was to be sent before this one.
  else if (res.hasHeader('content-length')) res.removeHeader('content-length')
  // A client that speaks HTTP/1.0 is never sent chunks, also if it says that it would take them.
  if (req.httpVersion === '1.0' && length < 0) res.removeHeader('transfer-encoding')
  if (head.close && req.httpVersionMajor < 2) res.setHeader('Connection', 'close')
  res.statusCode = head.status
  if (head.reason !== '' && req.httpVersionMajor < 2) res.statusMessage = head.reason
  return [...values.keys(), 'content-length', 'connection']
}

/** Told how the sending of a body went. */
export type Sent = (error: XpsError | undefined) => void

const noHandlers = { write(): void {} }

/** Sends a body to the client, by whatever `write` and `end` its response has: programs put their own in their place. */
export class ClientSink extends PipeSink implements ResponseSink {
  trailersOf: (() => Fields | undefined) | undefined
  readonly #res: ServerResponse
  readonly #sent: Sent
  #stalledSince: number | undefined
  readonly #now: () => number

  constructor(res: ServerResponse, now: () => number, sent: Sent) {
    super(noHandlers)
    this.#res = res
    this.#now = now
    this.#sent = sent
    res.on('drain', () => {
      this.#stalledSince = undefined
      this.ready = true
    })
    // Where its body takes a while to begin, the head is sent before it.
    process.nextTick(() => {
      if (!res.headersSent && !res.writableEnded && !res.destroyed && this.active) res.flushHeaders()
    })
  }

  /** Since when the client has taken nothing. */
  get stalledSince(): number | undefined {
    return this.#stalledSince
  }

  override take(chunk: Uint8Array): number {
    const res = this.#res
    if (res.writableEnded || res.destroyed) {
      this.close(new XpsError('XPS_CLOSED', 'the response was ended by the program', { origin: 'client' }))
      return chunk.length
    }
    // Node keeps what it is given, and the memory is only borrowed.
    if ((res.write(Buffer.from(chunk)) as unknown) === false) {
      this.ready = false
      this.#stalledSince = this.#now()
    }
    return chunk.length
  }

  override sourceEnded(error: XpsError | undefined): void {
    super.sourceEnded(error)
    this.#stalledSince = undefined
    if (error === undefined) {
      addTrailers(this.#res, this.trailersOf?.())
      if (!this.#res.writableEnded) this.#res.end()
    }
    this.#sent(error)
  }

  override aborted(error: XpsError): void {
    super.aborted(error)
    this.#sent(error)
  }
}

/** Hands a body to whoever reads a {@link ProxyResponse}. */
export class ListenerSink extends PipeSink implements ResponseSink {
  trailersOf: (() => Fields | undefined) | undefined
  readonly #response: ProxyResponse
  readonly #sent: Sent
  readonly #now: () => number
  #stalledSince: number | undefined

  constructor(response: ProxyResponse, now: () => number, sent: Sent) {
    super(noHandlers)
    this.#response = response
    this.#now = now
    this.#sent = sent
    response.whenWanted(() => {
      this.#stalledSince = undefined
      this.ready = true
    })
    response.once('close', () => {
      if (!response.complete) this.close(new XpsError('XPS_ABORTED', 'the response was destroyed by a listener'))
    })
  }

  get stalledSince(): number | undefined {
    return this.#stalledSince
  }

  override take(chunk: Uint8Array): number {
    if (!this.#response.push(Buffer.from(chunk))) {
      this.ready = false
      this.#stalledSince = this.#now()
    }
    return chunk.length
  }

  override sourceEnded(error: XpsError | undefined): void {
    super.sourceEnded(error)
    this.#stalledSince = undefined
    if (error === undefined) finishResponse(this.#response, this.trailersOf?.())
    else breakResponse(this.#response, error)
    this.#sent(error)
  }

  override aborted(error: XpsError): void {
    super.aborted(error)
    breakResponse(this.#response, error)
    this.#sent(error)
  }
}

/** A sink that takes everything and keeps nothing. */
export class NoSink extends PipeSink implements ResponseSink {
  trailersOf: (() => Fields | undefined) | undefined
  readonly #sent: Sent

  constructor(sent: Sent) {
    super(noHandlers)
    this.#sent = sent
  }

  override sourceEnded(error: XpsError | undefined): void {
    super.sourceEnded(error)
    this.#sent(error)
  }

  override aborted(error: XpsError): void {
    super.aborted(error)
    this.#sent(error)
  }
}

/** Adds trailers where Node sends them: behind chunks. */
export function addTrailers(res: ServerResponse, trailers: Fields | undefined): void {
  if (trailers === undefined || trailers.size === 0 || res.writableEnded) return
  try {
    res.addTrailers(trailers.toObject())
  } catch {
    // The body is whole without them.
  }
}

/** The body of a response has ended. */
export function finishResponse(response: ProxyResponse, trailers: Fields | undefined): void {
  response.complete = true
  if (trailers !== undefined) {
    response.trailers = trailers.toObject()
    response.rawTrailers = rawOf(trailers)
  }
  response.push(null)
}

/** The body of a response has broken off: told as Node tells it, but only to those who listen. */
export function breakResponse(response: ProxyResponse, error: XpsError): void {
  if (response.destroyed) return
  response.emit('aborted')
  response.destroy(response.listenerCount('error') > 0 ? error : undefined)
}
