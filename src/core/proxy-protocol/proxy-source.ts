import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Address } from '../address.ts'
import type { Connection } from '../connection.ts'
import type { TlsState } from '../tls/tls-state.ts'
import type { ProxySource } from './proxy-header.ts'
import { type ProxyTlv, tlvTypes, writeTls } from './tlv.ts'

/**
 * What a server behind is told of a client: who he is, where he called, and the TLS that he speaks with us. What a proxy
 * before us has said of him is told on. `bytes` says that the client's bytes are passed on as they are, decrypted or not:
 * then what was agreed to speak holds for the server too.
 */
export function proxySourceOf(client: Connection, bytes: boolean): ProxySource {
  const { proxied, tls } = client
  const own = tls === undefined ? [] : valuesOf(tls)
  const said =
    proxied?.source === undefined ? [] : proxied.tlvs.filter(({ type }) => !own.some((one) => one.type === type))
  const tlvs = [...said, ...own].filter(({ type }) => bytes || type !== tlvTypes.alpn)
  // A proxy that does not say for whom it has come is the client.
  if (proxied?.source !== undefined) return { source: proxied.source, destination: proxied.destination, tlvs }
  const { peerAddress, peerPort, localAddress, localPort } = client
  return { source: addressOf(peerAddress, peerPort), destination: addressOf(localAddress, localPort), tlvs }
}

/** A connection of our own: from us to the server. */
export function ownSource(socket: Duplex): ProxySource {
  const { localAddress, localPort, remoteAddress, remotePort } = socket as Partial<Socket>
  return { source: addressOf(localAddress, localPort), destination: addressOf(remoteAddress, remotePort), tlvs: [] }
}

function addressOf(host: string | undefined, port: number | undefined): Address | undefined {
  return host === undefined || port === undefined ? undefined : { host, port }
}

function valuesOf(tls: TlsState): ProxyTlv[] {
  const { version, cipher, alpn, servername, reused, authorized, certificate } = tls
  const values: ProxyTlv[] = []
  if (alpn !== undefined) values.push({ type: tlvTypes.alpn, value: Buffer.from(alpn) })
  if (servername !== undefined) values.push({ type: tlvTypes.authority, value: Buffer.from(servername) })
  const shown = certificate === undefined ? {} : ({ certificate: reused ? 'session' : 'connection' } as const)
  const commonName = /^CN=(.*)$/m.exec(certificate?.subject ?? '')?.[1]
  values.push({ type: tlvTypes.tls, value: writeTls({ version, cipher, commonName, ...shown, verified: authorized }) })
  return values
}
