import { isXpsError } from '../../errors.ts'
import { SoapFault } from '../fault.ts'
import type { SoapMessage } from '../message.ts'
import { sessionNamespace } from '../names.ts'
import { ownSubcode } from '../outgoing.ts'
import { Rejection, type RejectionReason } from '../rejection.ts'
import type { XmlElement } from '../xml/element.ts'

/** A refused login: in the same words for all that can be wrong with credentials. */
export function loginRefused(reason: RejectionReason, detail: string): Rejection {
  const subcodes = [ownSubcode('LoginRefused')]
  const said = reason === 'login' || reason === 'throttled' ? 'the login is refused' : detail
  return new Rejection(reason, detail, new SoapFault('Sender', said, { subcodes }))
}

/** Reads what a login says; one that does not say it is refused like any other. */
export function readCredentials<T>({ body }: SoapMessage, name: string, read: (body: XmlElement) => T): T {
  if (body?.is(name, sessionNamespace) !== true) throw loginRefused('login', `there is no ${name} in the message`)
  try {
    return read(body)
  } catch (error) {
    if (isXpsError(error, 'XPS_PROTOCOL')) throw loginRefused('login', error.message)
    throw error
  }
}
