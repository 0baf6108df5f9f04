import type { BlockList, Socket } from 'node:net'
import { AddressSet } from '../../admission/address-set.ts'
import { isXpsError, XpsError } from '../../errors.ts'
import { durationOption, integerOption, invalidOption, knownOptions } from '../../options.ts'
import type { ProxyHeader } from './proxy-header.ts'
import { defaultMaxLength, ProxyHeaderReader } from './proxy-header-reader.ts'
import { fixedLength } from './wire.ts'

/** How a listener learns from proxies before it who their clients are. */
export interface ProxyProtocolOptions {
  /**
   * The proxies: `'10.0.0.0/8'`, `'loopback'`, `'private'`, `'unix'`, or a `net.BlockList`. Their connections must begin
   * with a header, of version 1 or 2. Of all others no header is read: they are served with their own address.
   */
  trusted: readonly string[] | BlockList
  /** How long the header may take, in milliseconds. @default 3000 */
  headerTimeout?: number
  /** The longest header of version 2 that is taken, in bytes. @default 4096 */
  maxLength?: number
}

/** Who is told of a header. Exactly one of these is called, once, unless it is stopped before. */
export interface AwaitingHeader {
  /** It is whole; what followed is in the socket again, and the socket is paused. */
  introduced(header: ProxyHeader): void
  /** There is none; or the peer has left without a word (`XPS_CLOSED`), as those do who look whether we are here. */
  unannounced(error: XpsError): void
}

/** The headers of those who connect to a listener for others. */
export class ProxyAcceptor {
  readonly headerTimeout: number
  readonly #trusted: AddressSet
  readonly #maxLength: number

  /** Throws `XPS_INVALID_OPTION`. */
  constructor(options: ProxyProtocolOptions) {
    if (typeof options !== 'object' || options === null) {
      throw invalidOption('proxyProtocol', options, "an object such as { trusted: ['10.0.0.0/8'] }")
    }
    knownOptions('proxyProtocol', options, ['trusted', 'headerTimeout', 'maxLength'])
    this.#trusted = new AddressSet('proxyProtocol.trusted', options.trusted)
    // A lost packet is sent again after one second, or three in old systems; see the specification (2).
    this.headerTimeout = durationOption('proxyProtocol.headerTimeout', options.headerTimeout, 3_000)
    this.#maxLength = integerOption('proxyProtocol.maxLength', options.maxLength, defaultMaxLength, {
      min: fixedLength,
      max: fixedLength + 65_535,
    })
  }

  /** Whether who comes from the address speaks for others. No address is that of a Unix-domain socket. */
  trusts(address: string | undefined): boolean {
    return this.#trusted.has(address)
  }

  /** Reads the header of a socket that has been accepted, and is paused. Returns what stops it. */
  accept(socket: Socket, awaiting: AwaitingHeader): () => void {
    const reader = new ProxyHeaderReader(this.#maxLength)
    const stop = (): void => {
      socket.off('data', onData)
      socket.off('end', onEnd)
      socket.off('close', onEnd)
      socket.pause()
    }
    const onData = (chunk: Buffer): void => {
      let used = 0
      try {
        used = reader.read(chunk)
      } catch (error) {
        stop()
        if (!isXpsError(error)) throw error
        return awaiting.unannounced(error)
      }
      if (reader.header === undefined) return
      stop()
      if (used < chunk.length) socket.unshift(chunk.subarray(used))
      awaiting.introduced(reader.header)
    }
    const onEnd = (): void => {
      stop()
      awaiting.unannounced(
        reader.begun
          ? new XpsError('XPS_BAD_PROXY_HEADER', 'the PROXY header is not one: it is not whole', { origin: 'client' })
          : new XpsError('XPS_CLOSED', 'the proxy has left without a word', { origin: 'client' }),
      )
    }
    socket.on('data', onData)
    socket.once('end', onEnd)
    socket.once('close', onEnd)
    socket.resume()
    return stop
  }
}
