import { expect } from 'vitest'
import type { Reading, RequestRead, ResponseRead } from './support.ts'

/** What the other parser says of a message. */
export interface OtherMessage {
  method: string
  target: string
  status: number
  version: string
  fields: [string, string][]
  trailers: [string, string][]
  body: string
  complete: boolean
  /** What follows is for another protocol. */
  upgraded?: boolean
}

/** Methods that every parser knows. */
const common = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'])

/**
 * Fails unless the other parser accepts each request that we accept, and reads the same in it. It may accept more.
 *
 * Where we are laxer on purpose:
 *
 * - A method may be any token (RFC 9110, 9.1). llhttp knows a list of them; where it stops because of one that is not
 *   common, nothing is compared from there on.
 * - The target of a request in absolute form is handed on in origin form, with the host apart (RFC 9112, 3.2.2); llhttp
 *   gives it as it came.
 * - An upgrade is none in HTTP/1.0 (RFC 9110, 7.8), and none if there is a body: what follows is the body, or the next
 *   request. Node's server upgrades in both cases, but a proxy that sees no upgrade does not pass `Upgrade` on.
 */
export function expectSameRequests(
  ours: Reading<RequestRead>,
  others: readonly OtherMessage[],
  error: string | undefined,
): void {
  const accepted = ours.partial === undefined ? ours.messages : [...ours.messages, ours.partial]
  for (const [index, message] of accepted.entries()) {
    const other = others[index]
    if (other === undefined && !common.has(message.method) && isAboutMethod(error)) return
    if (other === undefined) throw new Error(`the other one has no such request: ${error ?? 'it waits for more'}`)
    expect({ method: message.method, version: message.version, fields: message.fields }).toEqual({
      method: other.method,
      version: other.version,
      fields: other.fields,
    })
    if (message.target !== other.target) {
      const form = /^https?:\/\/([^/?]+)(.*)$/i.exec(other.target)
      expect(message.authority).toBe(form?.[1])
      const rest = form?.[2] ?? ''
      const empty = message.method === 'OPTIONS' ? '*' : '/'
      expect(message.target).toBe(rest === '' ? empty : rest.startsWith('?') ? `/${rest}` : rest)
    }
    if (other.upgraded === true && message.upgrade === undefined && message.method !== 'CONNECT') return
    expectSameBody(message, other, message !== ours.partial)
  }
}

/** Fails unless the other parser accepts each response that we accept, and reads the same in it. */
export function expectSameResponses(
  ours: Reading<ResponseRead>,
  others: readonly OtherMessage[],
  error: string | undefined,
): void {
  const accepted = ours.partial === undefined ? ours.messages : [...ours.messages, ours.partial]
  for (const [index, message] of accepted.entries()) {
    const other = others[index]
    if (other === undefined) throw new Error(`the other one has no such response: ${error ?? 'it waits for more'}`)
    expect({ status: message.status, version: message.version, fields: message.fields }).toEqual({
      status: other.status,
      version: other.version,
      fields: other.fields,
    })
    expectSameBody(message, other, message !== ours.partial)
  }
}

function expectSameBody(
  message: { body: string; trailers: [string, string][] },
  other: OtherMessage,
  complete: boolean,
): void {
  if (complete) {
    expect({ complete, body: message.body, trailers: message.trailers }).toEqual({
      complete: other.complete,
      body: other.body,
      trailers: other.trailers,
    })
  } else if (!other.body.startsWith(message.body)) {
    expect(message.body, 'what there is of the body').toBe(other.body)
  }
}

function isAboutMethod(error: string | undefined): boolean {
  return error !== undefined && /method|Preface|Span callback error in on_method|SOURCE/i.test(error)
}
