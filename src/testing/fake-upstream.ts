import type { Duplex } from 'node:stream'
import { TestPeer } from './test-peer.ts'

/**
 * An upstream without a port: give its `target` to a route or an `Upstream`, and play its part by the peers that
 * {@link accept} resolves to.
 */
export class FakeUpstream {
  /** True lets the next connections fail as if nobody listened. */
  refusing = false
  readonly #peers: TestPeer[] = []
  readonly #waiting: ((peer: TestPeer) => void)[] = []
  #accepted = 0

  /** How many connections were made to it. */
  get accepted(): number {
    return this.#accepted
  }

  /** What a route takes for `upstream`. */
  readonly target = (socket: Duplex): void => {
    if (this.refusing) {
      throw Object.assign(new Error('connect ECONNREFUSED (fake upstream)'), { code: 'ECONNREFUSED' })
    }
    this.#accepted++
    const peer = new TestPeer(socket)
    const waiting = this.#waiting.shift()
    if (waiting === undefined) this.#peers.push(peer)
    else waiting(peer)
  }

  /** The next connection, which may have been made already. */
  accept(): Promise<TestPeer> {
    const peer = this.#peers.shift()
    return peer === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(peer)
  }
}
