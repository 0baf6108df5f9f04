import { type ErrorOrigin, XpsError } from '../errors.ts'
import { invalidOption, knownOptions } from '../options.ts'
import type { QName } from './names.ts'
import type { XmlElement } from './xml/element.ts'

/** Who or what is to blame, in the words of SOAP 1.2; 1.1 says `Client` for `Sender` and `Server` for `Receiver`. */
export type FaultCode = 'VersionMismatch' | 'MustUnderstand' | 'DataEncodingUnknown' | 'Sender' | 'Receiver'

/** All codes of faults. */
export const faultCodes: readonly FaultCode[] = [
  'VersionMismatch',
  'MustUnderstand',
  'DataEncodingUnknown',
  'Sender',
  'Receiver',
]

/** What a {@link SoapFault} can say besides its code and reason. */
export interface SoapFaultOptions {
  /** What it is more exactly, the general first. @default none */
  subcodes?: readonly QName[]
  /** Elements that tell more. In SOAP 1.1 a fault with detail says that the body could not be processed. @default none */
  detail?: readonly XmlElement[]
  /** Header blocks that go with it, such as `NotUnderstood`. @default none */
  headers?: readonly XmlElement[]
  /** The URI of the role that failed: `Role` in SOAP 1.2, `faultactor` in 1.1. @default none */
  role?: string
  /** @default 'internal' */
  origin?: ErrorOrigin
}

/**
 * A fault: thrown by a processor it is the answer, and nothing of it but what it says here is sent. Received as an
 * answer it is what a request rejects with.
 */
export class SoapFault extends XpsError {
  readonly faultCode: FaultCode
  readonly subcodes: readonly QName[]
  readonly detail: readonly XmlElement[]
  readonly faultHeaders: readonly XmlElement[]
  readonly role: string | undefined

  constructor(faultCode: FaultCode, reason: string, options: SoapFaultOptions = {}) {
    super('XPS_SOAP_FAULT', reason, options.origin === undefined ? {} : { origin: options.origin })
    knownOptions('fault options', options, ['subcodes', 'detail', 'headers', 'role', 'origin'])
    if (!faultCodes.includes(faultCode)) throw invalidOption('faultCode', faultCode, `one of ${faultCodes.join(', ')}`)
    this.faultCode = faultCode
    this.subcodes = options.subcodes ?? []
    this.detail = options.detail ?? []
    this.faultHeaders = options.headers ?? []
    this.role = options.role
  }

  /** Whether it has the subcode; any namespace will do if none is given. */
  has(name: string, namespace?: string): boolean {
    return this.subcodes.some((one) => one.name === name && (namespace === undefined || one.namespace === namespace))
  }
}
