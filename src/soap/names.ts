/** A version of SOAP. */
export type SoapVersion = '1.1' | '1.2'

/** The namespaces of envelopes, by version. */
export const envelopeNamespaces: Readonly<Record<SoapVersion, string>> = {
  '1.1': 'http://schemas.xmlsoap.org/soap/envelope/',
  '1.2': 'http://www.w3.org/2003/05/soap-envelope',
}

/** The version that a namespace of an envelope belongs to. */
export function versionOf(namespace: string): SoapVersion | undefined {
  if (namespace === envelopeNamespaces['1.2']) return '1.2'
  return namespace === envelopeNamespaces['1.1'] ? '1.1' : undefined
}

/** The namespace of what this library adds to SOAP: logging in, the session's header, the call-back's challenge. */
export const sessionNamespace = 'urn:xps:soap:session'

/** The XML namespace, which `xml:lang` is in. */
export const xmlNamespace = 'http://www.w3.org/XML/1998/namespace'

/** A name with its namespace. */
export interface QName {
  readonly namespace: string
  readonly name: string
}
