import type { Deadlines } from '../../admission/deadlines.ts'
import type { Connection } from '../../core/connection.ts'
import { Upstream } from '../../core/upstream.ts'
import { asXpsError, XpsError } from '../../errors.ts'
import type { ReadyHead } from '../client-stream.ts'
import { Fields } from '../fields.ts'
import type { Forwarder, IncomingResponse, TunnelTimes } from '../forwarder.ts'
import { ResponseHead } from '../messages.ts'
import { OwnHead } from '../ready-head.ts'
import type { Transaction } from '../transaction.ts'
import type { Tunnel } from '../tunnel.ts'
import type { ConnectRules } from './connect-rules.ts'

/** Connects a client to where it asks to be by CONNECT (RFC 9110, 9.3.6). */
export class ConnectForward implements Forwarder, IncomingResponse {
  readonly length = 0
  readonly body: Uint8Array = new Uint8Array(0)
  readonly head: ResponseHead = new ResponseHead(200, 'Connection Established', '1.1', new Fields())
  tunnel: Tunnel | undefined
  readonly tunnelTimes: Partial<TunnelTimes>
  readonly #transaction: Transaction
  readonly #rules: ConnectRules
  /** Chosen by a hook, which is believed. */
  #chosen: string | undefined
  #connection: Connection | undefined
  #retreated = false

  constructor(transaction: Transaction, rules: ConnectRules, tunnelTimes: Partial<TunnelTimes>) {
    this.#transaction = transaction
    this.#rules = rules
    this.tunnelTimes = tunnelTimes
    transaction.scope.mayTunnel()
  }

  get address(): string {
    return this.#chosen ?? this.#connection?.address ?? this.#transaction.request.target
  }

  get lastActive(): number {
    const connection = this.#connection
    return connection === undefined ? 0 : Math.max(connection.lastIn, connection.lastOut)
  }

  choose(address: string): void {
    this.#chosen = address
  }

  connect(): void {
    this.#dial().catch((error: unknown) => {
      if (!this.#retreated) this.#transaction.fail(asXpsError(error, 'XPS_FAULT', 'the check of CONNECT failed'))
    })
  }

  /** Nothing is sent: the connection is all that was asked for. */
  send(): void {}

  deliverTo(): void {}

  ready(): ReadyHead {
    return new OwnHead(this.head)
  }

  retreat(error: XpsError): void {
    this.#retreated = true
    this.#connection?.abort(error)
  }

  deadlines(deadlines: Deadlines): void {
    const transaction = this.#transaction
    const connection = this.#connection
    if (transaction.state === 'upstream') deadlines.offer(transaction.stateSince, this.#connectTimeout, 'connect')
    else if (connection?.stalled === true) {
      deadlines.offer(connection.lastOut, transaction.session.timeouts.upstreamIdleTimeout, 'upstream-idle')
    }
  }

  get #connectTimeout(): number {
    return this.#rules.connectTimeout ?? this.#transaction.session.connectTimeout
  }

  async #dial(): Promise<void> {
    const transaction = this.#transaction
    const upstream = new Upstream(this.#chosen ?? (await this.#targets()))
    if (this.#retreated) return
    const { clock } = transaction.session
    const connection = upstream.connect({ connectTimeout: this.#connectTimeout, clock })
    this.#connection = connection
    transaction.carry(connection)
    connection.on('open', () => {
      this.tunnel = { source: connection.source, sink: connection.sink }
      transaction.accept(this)
    })
    connection.on('close', (error) => {
      if (this.tunnel !== undefined || this.#retreated) return
      const lost = new XpsError('XPS_CONNECT', `cannot connect to ${this.address}`, { origin: 'upstream' })
      transaction.fail(error ?? lost)
    })
  }

  async #targets(): Promise<{ host: string; port: number }[]> {
    const { addresses, port } = await this.#rules.addresses(this.#transaction)
    return addresses.map((host) => ({ host, port }))
  }
}
