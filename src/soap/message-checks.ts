import { AddressingRejection, addressingNames } from './addressing.ts'
import { SoapFault } from './fault.ts'
import { sessionIdOf } from './login/login-messages.ts'
import type { SoapMessage } from './message.ts'
import { isAnonymous, isNone, ownSubcode } from './outgoing.ts'
import { Rejection } from './rejection.ts'
import type { SoapSession } from './session.ts'
import { pathOf, readSoapAddress, samePath } from './soap-address.ts'

/** Refuses a message that is for another path than the server's, if that has one. */
export function checkDestination({ addressing }: SoapMessage, path: string | undefined): void {
  const { to, version, messageId } = addressing
  if (path === undefined || to === undefined || to === addressingNames[version].anonymous) return
  if (samePath(pathOf(to) ?? '', path)) return
  throw new AddressingRejection(version, 'DestinationUnreachable', 'nobody is at that address', {
    problem: 'To',
    messageId,
  })
}

/** The session that a message belongs to: the one of its connection, if it names that. Refuses any other. */
export function checkSession(
  { headers, action }: SoapMessage,
  session: SoapSession | undefined,
  sessions: ReadonlyMap<string, SoapSession>,
): SoapSession {
  const id = sessionIdOf(headers)
  if (session !== undefined && id === session.id) return session
  // The same words whether or not there is such a session; but if there is, somebody should know.
  const foreign = id !== undefined && sessions.has(id)
  const reason = session !== undefined || foreign ? 'wrong-session' : 'not-logged-in'
  const detail = foreign ? 'the id of a session on another connection' : `a message without a session: ${action}`
  throw new Rejection(
    reason,
    detail,
    new SoapFault('Sender', 'not logged in', { subcodes: [ownSubcode('NotLoggedIn')] }),
  )
}

/** Refuses a message that the host does not say yes to. */
export function checkEntitled({ action }: SoapMessage, { username }: SoapSession, entitled: boolean): void {
  if (entitled === true) return
  const fault = new SoapFault('Sender', 'not entitled', { subcodes: [ownSubcode('NotEntitled')] })
  throw new Rejection('not-entitled', `${username} may not send ${action}`, fault)
}

/** Refuses a message whose id the session has seen before. */
export function checkNew({ addressing }: SoapMessage, session: SoapSession): void {
  const { messageId, version } = addressing
  if (messageId === undefined || session.isNew(messageId)) return
  throw new AddressingRejection(version, 'DuplicateMessageID', 'a message with that id has come before', {
    problem: 'MessageID',
    messageId,
  })
}

/** Refuses a message whose answers would go to anybody but the client, who may listen on the port of its call-back. */
export function checkAnswersTo({ addressing }: SoapMessage, port: number | undefined): void {
  const { version, messageId } = addressing
  for (const name of ['replyTo', 'faultTo'] as const) {
    const reference = addressing[name]
    if (reference === undefined || isAnonymous(reference, version) || isNone(reference.address, version)) continue
    if (port !== undefined && readSoapAddress(reference.address)?.port === port) continue
    throw new AddressingRejection(version, 'InvalidAddress', 'answers are sent to nobody but the client', {
      problem: name === 'replyTo' ? 'ReplyTo' : 'FaultTo',
      messageId,
    })
  }
}
