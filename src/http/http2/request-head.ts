import { randomBytes } from 'node:crypto'
import { XpsError } from '../../errors.ts'
import { checkAuthority } from '../authority.ts'
import { Fields, kinds, known, underscores } from '../fields.ts'
import { bitsOf } from '../forwarding/hop-by-hop.ts'
import { pathBytes, queryBytes } from '../http1/grammar.ts'
import { type HeadLimits, longestMethod } from '../http1/head-reader.ts'
import { RequestHead } from '../messages.ts'
import type { LastFields } from './last-fields.ts'

/** What the head of a request says. */
export interface ReadRequest {
  readonly head: RequestHead
  /** Bytes of the body: 0 for none, less if nobody said. */
  readonly length: number
  /** The client waits for a 100 before it sends the body. */
  readonly expectsContinue: boolean
  /** Nothing follows. */
  readonly ended: boolean
  /** What the stream is to be switched to: `websocket` for an extended CONNECT (RFC 8441), `connect` for one that is not. */
  readonly upgrade: string | undefined
}

/** Fields that HTTP/2 has other means for (RFC 9113, 8.2.2); nghttp2 refuses them too. */
const lengthBit = bitsOf('content-length')
const forbidden = bitsOf('connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade')

/**
 * Reads the head of a request from the list that `node:http2` makes of it, pseudo-fields first; `ended` says that no body
 * follows. What HTTP/1 would refuse is refused here, with the same errors, whatever nghttp2 lets pass.
 *
 * The list of its fields has `host` in front, whether the client said so by that name or by `:authority`, and one `cookie`
 * where there were crumbs (RFC 9113, 8.2.3).
 */
export function readRequest(
  raw: readonly string[],
  ended: boolean,
  limits: HeadLimits,
  last?: LastFields,
): ReadRequest {
  let method = ''
  let path: string | undefined
  let scheme: string | undefined
  let authority: string | undefined
  let protocol: string | undefined
  let bytes = 16
  let at = 0
  for (; at < raw.length; at += 2) {
    const name = raw[at] as string
    if (name.charCodeAt(0) !== colon) break
    const value = raw[at + 1] as string
    bytes += value.length
    if (name === ':method') method = value
    else if (name === ':path') path = value
    else if (name === ':scheme') scheme = value
    else if (name === ':authority') authority = value
    else if (name === ':protocol') protocol = value
    else throw bad('a pseudo-field that requests do not have')
  }
  const same = last?.repeated(raw, at, authority)
  if (last !== undefined && same !== undefined && method !== 'CONNECT') {
    if (bytes + last.bytes > limits.headBytes) throw tooLarge('head that is too long', 431)
    checkMethod(method)
    checkTarget(path ?? '', method, scheme, limits)
    return {
      head: new RequestHead(method, path ?? '', '2', Fields.parsed(same), authority as string),
      length: ended ? 0 : -1,
      expectsContinue: false,
      ended,
      upgrade: undefined,
    }
  }
  const from = at
  const before = bytes
  if (raw.length - at > limits.fields * 2) throw tooLarge('head with too many fields', 431)
  const list: string[] = ['host', '']
  const listed: number[] = [known.host]
  let present = 1 << known.host
  let length = ended ? 0 : -1
  let expectation: string | undefined
  let cookieAt = 0
  let hosted = false
  for (; at < raw.length; at += 2) {
    const name = raw[at] as string
    const value = raw[at + 1] as string
    bytes += name.length + value.length + 4
    const kind = kinds.get(name) ?? 0
    if (kind === 0) {
      if (name === 'cookie') {
        if (cookieAt > 0) {
          list[cookieAt] += `; ${value}`
          continue
        }
        cookieAt = list.length + 1
      } else if (name.includes('_')) present |= underscores
    } else if (kind === known.host) {
      if (authority !== undefined && authority.toLowerCase() !== value.toLowerCase()) {
        throw bad('a Host that is not its :authority')
      }
      authority ??= value
      hosted = true
      continue
    } else {
      if (((forbidden >>> kind) & 1) === 1) throw bad('a field that HTTP/2 does not have')
      if (kind === known['content-length']) {
        if (!/^\d{1,15}$/.test(value)) throw bad('a length that is none')
        if (!ended) length = Number(value)
      } else if (kind === known.expect) expectation = expectation === undefined ? value : `${expectation}, ${value}`
      present |= 1 << kind
    }
    list.push(name, value)
    listed.push(kind)
  }
  if (bytes > limits.headBytes) throw tooLarge('head that is too long', 431)
  if (authority === undefined || authority === '' || !checkAuthority(authority)) {
    throw bad(authority ? 'an invalid :authority' : 'neither :authority nor Host')
  }
  list[1] = authority
  checkMethod(method)
  let upgrade: string | undefined
  if (method === 'CONNECT') {
    if (protocol !== undefined && protocol !== 'websocket') throw unknownProtocol(protocol)
    upgrade = protocol ?? 'connect'
    // What follows is not a body.
    length = 0
  }
  const target = upgrade === 'connect' ? connectTarget(authority) : (path ?? '')
  if (upgrade !== 'connect') checkTarget(target, method, scheme, limits)
  // What else decides than the fields themselves is not kept.
  if (upgrade === undefined && expectation === undefined && !hosted && (present & lengthBit) === 0) {
    last?.keep(raw, from, authority, { list, kinds: listed, present, bytes: bytes - before })
  }
  const fields = Fields.listed(list, listed, present)
  if (upgrade === 'websocket') asUpgrade(fields)
  return {
    head: new RequestHead(upgrade === 'websocket' ? 'GET' : method, target, '2', fields, authority),
    length,
    expectsContinue: upgrade === undefined && expectation !== undefined && readExpectation(expectation),
    ended,
    upgrade,
  }
}

/** The fields of HTTP/1.1 that say the same as an extended CONNECT (RFC 6455, 4.1): so it is for hooks, routes and upstreams. */
function asUpgrade(fields: Fields): void {
  fields.set('upgrade', 'websocket')
  fields.set('connection', 'Upgrade')
  fields.set('sec-websocket-key', randomBytes(16).toString('base64'))
}

const colon = 0x3a
const questionMark = 0x3f

function checkMethod(method: string): void {
  if (method === 'GET' || method === 'POST') return
  if (!/^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/.test(method)) throw bad('no method')
  if (method.length > longestMethod) throw bad('a method that is too long')
}

function checkTarget(target: string, method: string, scheme: string | undefined, limits: HeadLimits): void {
  if (target.length > limits.targetBytes) throw tooLarge('target that is too long', 414)
  if (!isPath(target) && !(target === '*' && method === 'OPTIONS')) throw bad('an invalid :path')
  if (scheme !== 'https' && scheme !== 'http') throw bad('an unknown :scheme')
}

let lastPath = ''

/** Whether it is a path with or without a query. The last good one is remembered: the same come again and again. */
function isPath(target: string): boolean {
  if (target === lastPath) return true
  if (target.charCodeAt(0) !== 0x2f) return false
  let at = 1
  while (at < target.length && pathBytes[target.charCodeAt(at)] === 1) at++
  if (target.charCodeAt(at) === questionMark) {
    while (at < target.length && queryBytes[target.charCodeAt(at)] === 1) at++
  }
  if (at < target.length) return false
  lastPath = target
  return true
}

/** RFC 9113, 8.5: a host and a port. */
function connectTarget(authority: string): string {
  if (!/[^:]:\d{1,5}$/.test(authority)) throw bad('an invalid :authority')
  return authority
}

function readExpectation(expectation: string): boolean {
  if (expectation.toLowerCase() === '100-continue') return true
  const message = `the client expects what is unknown here (${JSON.stringify(expectation.slice(0, 40))})`
  throw new XpsError('XPS_EXPECTATION', message, { origin: 'client', status: 417 })
}

function unknownProtocol(protocol: string): XpsError {
  const message = `the client wants to speak what is unknown here (${JSON.stringify(protocol.slice(0, 40))})`
  return new XpsError('XPS_BAD_REQUEST', message, { origin: 'client', status: 501 })
}

function bad(what: string): XpsError {
  return new XpsError('XPS_BAD_REQUEST', `the request has ${what}`, { origin: 'client', status: 400 })
}

function tooLarge(what: string, status: number): XpsError {
  return new XpsError('XPS_TOO_LARGE', `the request has a ${what}`, { origin: 'client', status })
}
