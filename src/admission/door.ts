import type { Alarm } from '../clock.ts'
import { AcceptQueue } from './accept-queue.ts'
import type { Admission, Doorway } from './admission.ts'
import { Gate } from './gate.ts'
import type { Limits } from './limits.ts'
import { plainAddress } from './plain-address.ts'
import { Counters, type RefusalReason } from './stats.ts'

/** What a door must know of a connection: a socket, in practice. */
export interface Visitor {
  readonly remoteAddress?: string | undefined
  readonly destroyed: boolean
  on(event: 'error', listener: () => void): unknown
  once(event: 'close', listener: () => void): unknown
  /** Ends it politely, and does not wait. */
  destroySoon(): void
}

/** What a door asks of its listener. */
export interface DoorKeeper<V extends Visitor> {
  /** Whether it comes for others, who are counted by their addresses when they are known, and not by its own. */
  comesForOthers(visitor: V): boolean
  /** Makes a session of the connection. */
  serve(visitor: V): void
  refused(visitor: V, reason: RefusalReason): void
  /** The queue has become full, or has room again. */
  full(full: boolean): void
  /** At the limit, and eviction is asked for: ends sessions, of this listener or of all, to make room. */
  evict(everywhere: boolean): void
}

/**
 * Where one listener's connections come in:
 *
 * ```
 *  kernel backlog ──► accepted ──► gate open: served at once
 *                        │   └──► gate shut: queue (≤ maxQueue, ≤ queueTimeout) ──► served, newest first
 *                        └──────► too many of one address, or the queue is full: closed, and counted
 * ```
 */
export class Door<V extends Visitor> implements Doorway {
  readonly gate: Gate
  readonly counters: Counters = new Counters()
  readonly #admission: Admission
  readonly #keeper: DoorKeeper<V>
  readonly #queue = new AcceptQueue<{ visitor: V; ip: string | undefined }>()
  #limits: Limits
  #alarm: Alarm | undefined
  #full = false
  #shut = false

  constructor(admission: Admission, limits: Limits, maxConnections: number, keeper: DoorKeeper<V>) {
    this.#admission = admission
    this.#limits = limits
    this.#keeper = keeper
    this.gate = new Gate(maxConnections)
    admission.join(this)
  }

  get queued(): number {
    return this.#queue.length
  }

  /** New limits: for those who come from now on, and for those who wait. */
  tune(limits: Limits, maxConnections: number): void {
    this.#limits = limits
    this.gate.limit = maxConnections
    this.#setFull(this.#queue.length >= limits.maxQueue)
    this.#admission.serveWaiting()
  }

  /** A connection has come. */
  offer(visitor: V): void {
    this.counters.accepted++
    this.#admission.counters.accepted++
    if (this.#shut) return this.#refuse(visitor, 'closing')
    const ip = this.#keeper.comesForOthers(visitor) ? undefined : this.#ipToCount(visitor.remoteAddress)
    if (this.#tooMany(ip)) return this.#refuse(visitor, 'per-ip')
    // Nobody waits unless there is no room, so who comes when there is room is first.
    if (this.#queue.length === 0 && this.#admission.hasRoom() && this.gate.hasRoom()) {
      this.#admission.enter(ip)
      return this.#serve(visitor, ip, 0)
    }
    if (this.#queue.length >= this.#limits.maxQueue) return this.#refuse(visitor, 'queue-full')
    this.#admission.enter(ip)
    visitor.on('error', ignore) // Nobody else listens to it while it waits.
    this.#queue.push({ visitor, ip }, this.#admission.clock.now())
    this.#setFull(this.#queue.length >= this.#limits.maxQueue)
    this.#watchOldest()
    if (this.#limits.evict === 'idle') this.#makeRoom()
    this.#admission.serveWaiting()
  }

  /** A connection that has come and gone; it is told of, unless those that do so are only probing. */
  vanished(visitor: V, told: boolean): void {
    this.count((counters) => counters.accepted++)
    if (told) return this.#refuse(visitor, 'gone')
    this.count((counters) => counters.probes++)
    visitor.on('error', ignore)
    visitor.destroySoon()
  }

  /** A connection that Node closed by itself, because the queue was full. */
  dropped(): void {
    this.count((counters) => {
      counters.accepted++
      counters.refused['queue-full']++
    })
  }

  /** A session has ended. If it made room for somebody, that one need not wait for more to leave. */
  left(madeRoom: boolean): void {
    this.gate.leave()
    this.#admission.gate.leave()
    if (madeRoom) {
      this.gate.reopen()
      this.#admission.gate.reopen()
    }
    this.#admission.serveWaiting()
  }

  /** Nobody is served any more; those that wait are refused. */
  shut(): void {
    if (this.#shut) return
    this.#shut = true
    for (let entry = this.#queue.take('oldest'); entry !== undefined; entry = this.#queue.take('oldest')) {
      this.#admission.leave(entry.item.ip)
      this.#refuse(entry.item.visitor, 'closing')
    }
    this.#alarm?.cancel()
    this.#alarm = undefined
    this.#admission.quit(this)
  }

  /** Whether somebody waits here, and could come in as far as this door is concerned. */
  canServe(): boolean {
    return this.#queue.length > 0 && this.gate.hasRoom()
  }

  /** Whether its next one is to be served before that of another door. */
  goesBefore(other: Doorway): boolean {
    const [mine, theirs] = [this.nextSince, other.nextSince]
    return this.#limits.order === 'newest' ? mine > theirs : mine < theirs
  }

  /** Since when the one waits that would be served next. */
  get nextSince(): number {
    const next = this.#limits.order === 'newest' ? this.#queue.newest : this.#queue.oldest
    return next?.since ?? 0
  }

  serveNext(): void {
    const entry = this.#queue.take(this.#limits.order)
    if (entry === undefined) return
    this.#setFull(this.#queue.length >= this.#limits.maxQueue)
    const { visitor, ip } = entry.item
    if (visitor.destroyed) {
      this.#admission.leave(ip)
      return this.#refuse(visitor, 'gone')
    }
    this.#serve(visitor, ip, this.#admission.clock.now() - entry.since)
  }

  /** One that is inside has come for somebody of that address: false if there are too many of it. */
  introduce(visitor: V, address: string | undefined): boolean {
    const ip = this.#ipToCount(address)
    if (this.#tooMany(ip)) return false
    this.#admission.enter(ip)
    if (ip !== undefined) visitor.once('close', () => this.#admission.leave(ip))
    return true
  }

  /** One that was inside has not become a session; without a reason, it did not want to. */
  lost(reason: RefusalReason | undefined): void {
    this.count((counters) => {
      if (reason === undefined) counters.probes++
      else counters.refused[reason]++
    })
    this.left(false)
  }

  /** Counts for the listener and for the core. */
  count(change: (counters: Counters) => void): void {
    change(this.counters)
    change(this.#admission.counters)
  }

  #serve(visitor: V, ip: string | undefined, waited: number): void {
    this.gate.enter()
    this.#admission.gate.enter()
    this.counters.wait(waited)
    this.#admission.counters.wait(waited)
    if (ip !== undefined) visitor.once('close', () => this.#admission.leave(ip))
    this.#keeper.serve(visitor)
  }

  #refuse(visitor: V, reason: RefusalReason): void {
    this.count((counters) => counters.refused[reason]++)
    visitor.on('error', ignore)
    visitor.destroySoon()
    this.#keeper.refused(visitor, reason)
  }

  /** The address to count, if addresses are counted and this one is not exempt. */
  #ipToCount(address: string | undefined): string | undefined {
    if (this.#limits.maxConnectionsPerIp === 0) return undefined
    const ip = plainAddress(address)
    return ip === undefined || this.#limits.exempt.has(ip) ? undefined : ip
  }

  #tooMany(ip: string | undefined): boolean {
    return ip !== undefined && this.#admission.countOf(ip) >= this.#limits.maxConnectionsPerIp
  }

  #setFull(full: boolean): void {
    if (this.#full === full) return
    this.#full = full
    this.#keeper.full(full)
  }

  /** For those that wait, and for no more than those. */
  #makeRoom(): void {
    const { gate, evicting, draining } = this.#admission
    if (draining || evicting >= this.#admission.queued) return
    if (!gate.open) this.#keeper.evict(true)
    else if (!this.gate.open) this.#keeper.evict(false)
  }

  /** One alarm, for the one that has waited the longest. */
  #watchOldest(): void {
    const oldest = this.#queue.oldest
    if (this.#alarm !== undefined || oldest === undefined) return
    const left = oldest.since + this.#limits.queueTimeout - this.#admission.clock.now()
    this.#alarm = this.#admission.clock.after(Math.max(0, left), () => this.#expire())
  }

  #expire(): void {
    this.#alarm = undefined
    const now = this.#admission.clock.now()
    for (let oldest = this.#queue.oldest; oldest !== undefined; oldest = this.#queue.oldest) {
      if (now - oldest.since < this.#limits.queueTimeout) break
      this.#queue.take('oldest')
      this.#admission.leave(oldest.item.ip)
      this.#refuse(oldest.item.visitor, 'queue-timeout')
    }
    this.#setFull(this.#queue.length >= this.#limits.maxQueue)
    this.#watchOldest()
  }
}

function ignore(): void {}
