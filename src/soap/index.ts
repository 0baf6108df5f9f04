// `xps/soap`: SOAP over TCP, with sessions that a login makes.
export type { Addressing, AddressingVersion, EndpointReference } from './addressing.ts'
export type { CallBackOptions } from './call-back.ts'
export { SoapClient, type SoapClientEvents } from './client.ts'
export type { ClientCallBackOptions, SoapClientOptions, SoapRequestOptions } from './client-options.ts'
export { type FaultCode, SoapFault, type SoapFaultOptions } from './fault.ts'
export type { Attachment, FramingName } from './framing/framing.ts'
export type { SoapLimitOptions } from './limits.ts'
export { hashPassword, verifyPassword } from './login/passwords.ts'
export type { SoapMessage, SoapOutgoing } from './message.ts'
export { type QName, type SoapVersion, sessionNamespace } from './names.ts'
export {
  type Processor,
  type ProcessorFunction,
  type ProcessorOptions,
  processor,
  type SoapAnswer,
  type SoapAnswers,
} from './processors.ts'
export { type Receive, SoapReceiver, type SoapReceiverEvents, type SoapReceiverOptions } from './receiver.ts'
export type { SoapPeer } from './receiver-channel.ts'
export { type RejectionReason, rejectionReasons } from './rejection.ts'
export type { SoapServerEvents, SoapStats } from './scope.ts'
export { type SoapDialOptions, SoapSender, type SoapSenderEvents, type SoapSenderOptions } from './sender.ts'
export { type SoapChannel, type SoapServer, soapServer } from './server.ts'
export type { Credentials, SoapServerOptions } from './server-options.ts'
export { SoapSession, type SoapSessionEvents } from './session.ts'
export type { StandardIssue, StandardResult, StandardSchema } from './standard-schema.ts'
export { type XmlContent, type XmlScalar, xml } from './xml/build.ts'
export { type XmlAttribute, XmlElement } from './xml/element.ts'
