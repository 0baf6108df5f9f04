import { Readable } from 'node:stream'
import { XpsError } from '../errors.ts'
import { PipeSource } from '../pipe/source.ts'
import { toReadable } from '../pipe/streams.ts'
import type { Answer } from './messages.ts'
import type { Transaction } from './transaction.ts'

/** A handler of web standards, as Hono and its like have one: `app.fetch`. */
export type FetchHandler = (request: Request, transaction: Transaction) => Response | Promise<Response>

/** Answers a transaction by a fetch handler. The request's `signal` is aborted when nobody waits for the answer any more. */
export async function answerByFetch(handler: FetchHandler, transaction: Transaction): Promise<Answer> {
  const response = await handler(requestOf(transaction), transaction)
  if (!(response instanceof Response)) {
    throw new XpsError('XPS_FAULT', 'the fetch handler did not return a Response')
  }
  return answerOf(response)
}

function requestOf(transaction: Transaction): Request {
  const { request, session, signal } = transaction
  const authority = request.authority === '' ? 'localhost' : request.authority
  const url = `${session.secure ? 'https' : 'http'}://${authority}${request.target === '*' ? '/' : request.target}`
  const headers: [string, string][] = [...request.headers]
  const init: RequestInit & { duplex?: 'half' } = { method: request.method, headers, signal }
  if (transaction.stream.requestLength !== 0 && request.method !== 'GET' && request.method !== 'HEAD') {
    init.body = Readable.toWeb(toReadable(transaction.body)) as ReadableStream<Uint8Array>
    init.duplex = 'half'
  }
  return new Request(url, init)
}

function answerOf(response: Response): Answer {
  const headers: [string, string][] = []
  for (const [name, value] of response.headers) headers.push([name, value])
  const { body, status } = response
  if (body?.locked === true) throw new XpsError('XPS_FAULT', 'the body of the Response has been read already')
  if (body === null) return { status, headers }
  const length = Number(response.headers.get('content-length') ?? Number.NaN)
  return { status, headers, body: PipeSource.from(body), ...(Number.isInteger(length) ? { length } : {}) }
}
