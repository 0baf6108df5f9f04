import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { XpsError } from '../../errors.ts'
import { keptText } from '../kept-text.ts'
import { sessionNamespace } from '../names.ts'
import { xml } from '../xml/build.ts'
import type { XmlElement } from '../xml/element.ts'

/** The actions of the messages by which sessions begin and end. */
export const sessionActions = {
  login: 'urn:xps:soap:session/login',
  resume: 'urn:xps:soap:session/resume',
  accepted: 'urn:xps:soap:session/accepted',
  logout: 'urn:xps:soap:session/logout',
  alive: 'urn:xps:soap:session/alive',
  challenge: 'urn:xps:soap:session/challenge',
  proof: 'urn:xps:soap:session/proof',
} as const

/** Where a client wants to be called back. */
export interface CallBackWish {
  readonly port: number
  /** The path of the receiver; empty or with a slash before it. */
  readonly path: string
  /** Known to the client and the server only: by it they prove to each other who they are. */
  readonly key: Buffer
}

/** What a login says. */
export interface LoginRequest {
  readonly sessionId: string
  readonly username: string
  readonly password: string
  readonly callBack: CallBackWish | undefined
}

/** What is said to go on with a session on another connection. */
export interface ResumeRequest {
  readonly sessionId: string
  readonly token: string
  readonly callBack: CallBackWish | undefined
}

/** What a server says of a session that has begun. */
export interface Accepted {
  readonly sessionId: string
  readonly token: string
  /** How long the session waits for its client to come back, in milliseconds. */
  readonly graceTime: number
  /** How long its client may be silent, in milliseconds. */
  readonly staleTimeout: number
}

/** What ids of sessions are made of: a GUID is, in braces or not. */
const sessionIds = /^[A-Za-z0-9_:.{}-]{1,128}$/

/** The longest user name and the longest password, in characters. */
const longestCredential = 1_024
/** The longest path of a receiver, in characters. */
const longestPath = 2_048

/** Whether a text can be the id of a session. */
export function isSessionId(text: string): boolean {
  return sessionIds.test(text)
}

export function writeLogin(login: LoginRequest): XmlElement {
  const { sessionId, username, password, callBack } = login
  return xml(sessionNamespace, 'Login', {
    Session: sessionId,
    Username: username,
    Password: password,
    ...wishContent(callBack),
  })
}

export function writeResume({ sessionId, token, callBack }: ResumeRequest): XmlElement {
  return xml(sessionNamespace, 'Resume', { Session: sessionId, Token: token, ...wishContent(callBack) })
}

function wishContent(wish: CallBackWish | undefined): Record<string, string | number | Uint8Array> {
  return wish === undefined ? {} : { Port: wish.port, Path: wish.path, Key: wish.key }
}

/** Reads a login. Throws `XPS_PROTOCOL` if it is none. */
export function readLogin(body: XmlElement): LoginRequest {
  return {
    sessionId: keptText(body.string('Session').trim()),
    username: keptText(short(body, 'Username')),
    password: short(body, 'Password'),
    callBack: readWish(body),
  }
}

function short(body: XmlElement, name: string): string {
  const text = body.string(name)
  if (text.length > longestCredential) throw new XpsError('XPS_PROTOCOL', `${name} in ${body.name} is too long`)
  return text
}

export function readResume(body: XmlElement): ResumeRequest {
  return { sessionId: body.string('Session').trim(), token: body.string('Token').trim(), callBack: readWish(body) }
}

function readWish(body: XmlElement): CallBackWish | undefined {
  if (body.child('Port') === undefined) return undefined
  const path = body.string('Path', '').trim()
  if (path.length > longestPath) throw new XpsError('XPS_PROTOCOL', `Path in ${body.name} is too long`)
  return { port: body.integer('Port'), path: keptText(path), key: Buffer.from(body.bytes('Key')) }
}

export function writeAccepted({ sessionId, token, graceTime, staleTimeout }: Accepted): XmlElement {
  return xml(sessionNamespace, 'Accepted', {
    Session: sessionId,
    Token: token,
    GraceTime: graceTime,
    StaleTimeout: staleTimeout,
  })
}

export function readAccepted(body: XmlElement): Accepted {
  return {
    sessionId: body.string('Session'),
    token: body.string('Token'),
    graceTime: body.integer('GraceTime', 0),
    staleTimeout: body.integer('StaleTimeout', 0),
  }
}

/** The header block that says which session a message belongs to. */
export function sessionHeader(sessionId: string): XmlElement {
  return xml(sessionNamespace, 'Session', sessionId)
}

/** The session that a message says it belongs to. */
export function sessionIdOf(headers: readonly XmlElement[]): string | undefined {
  for (const header of headers) if (header.is('Session', sessionNamespace)) return header.text.trim()
  return undefined
}

/** What a server says on a connection that it has made to a client. */
export function writeChallenge(sessionId: string, nonce: string, key: Buffer): XmlElement {
  const proof = proofOf('server', sessionId, nonce, key)
  return xml(sessionNamespace, 'Challenge', { Session: sessionId, Nonce: nonce, Proof: proof })
}

/** The answer of a client to a challenge; undefined if it did not come from the server that it has logged in to. */
export function answerChallenge(body: XmlElement, sessionId: string, key: Buffer): XmlElement | undefined {
  const nonce = body.string('Nonce')
  const proven = isProof(body.string('Proof'), proofOf('server', sessionId, nonce, key))
  if (body.string('Session') !== sessionId || !proven) return undefined
  return xml(sessionNamespace, 'Proof', proofOf('client', sessionId, nonce, key))
}

/** Whether an answer to a challenge comes from the client that logged in. */
export function isAnswered(body: XmlElement | undefined, sessionId: string, nonce: string, key: Buffer): boolean {
  return body?.is('Proof', sessionNamespace) === true && isProof(body.text, proofOf('client', sessionId, nonce, key))
}

function proofOf(side: 'server' | 'client', sessionId: string, nonce: string, key: Buffer): string {
  return createHmac('sha256', key).update(`xps-soap ${side}\n${sessionId}\n${nonce}`).digest('base64')
}

/** Compares in the same time wherever they differ. */
export function isProof(given: string, expected: string): boolean {
  const [one, other] = [Buffer.from(given), Buffer.from(expected)]
  return one.length === other.length && timingSafeEqual(one, other)
}

/** A secret that nobody can guess. */
export function newToken(): string {
  return randomBytes(24).toString('base64url')
}
