import { networkOf } from '../core/network-of.ts'
import { durationOption, integerOption } from '../options.ts'

/** What becomes of those who open ids that nobody has. */
export interface GuessOptions {
  /**
   * How many opens of ids that nobody has are answered at once in a minute, for one address, or one network of 64 bits
   * of IPv6; 0 for as many as there are.
   * @default 10000
   */
  maxFailedOpens?: number
  /** How late those beyond are answered, in milliseconds. @default 1000 */
  failedOpenDelay?: number
}

/** The names of the options, for checks of what is given. */
export const guessNames: readonly string[] = ['maxFailedOpens', 'failedOpenDelay']

/** How many addresses are remembered; then who has been away longest is forgotten. */
const mostAddresses = 10_000
const minute = 60_000

interface Allowance {
  left: number
  at: number
}

/**
 * Makes it slow to guess ids: each address has an allowance of opens that fail, which grows again with time; without one,
 * it is answered late. Nothing is refused, and what can be opened is opened at once.
 */
export class Guesses {
  /** Opens that failed, and those of them that were answered late. */
  readonly numbers = { failedOpens: 0, lateAnswers: 0 }
  readonly #most: number
  readonly #delay: number
  readonly #allowances = new Map<string, Allowance>()

  /** Throws `XPS_INVALID_OPTION`. */
  constructor(options: GuessOptions) {
    this.#most = integerOption('maxFailedOpens', options.maxFailedOpens, 10_000, { min: 0, max: 1_000_000_000 })
    this.#delay = durationOption('failedOpenDelay', options.failedOpenDelay, 1_000)
  }

  /** How many addresses are remembered. */
  get size(): number {
    return this.#allowances.size
  }

  /** An open of this address has failed: how late to say so, in milliseconds. `now` is of any clock. */
  failed(address: string, now: number): number {
    this.numbers.failedOpens++
    if (this.#most === 0) return 0
    const network = networkOf(address)
    const allowance = this.#allowances.get(network) ?? { left: this.#most, at: now }
    allowance.left = Math.min(this.#most, allowance.left + ((now - allowance.at) * this.#most) / minute)
    allowance.at = now
    // Those who were here last stand last.
    this.#allowances.delete(network)
    this.#allowances.set(network, allowance)
    if (this.#allowances.size > mostAddresses) {
      const [longest = ''] = this.#allowances.keys()
      this.#allowances.delete(longest)
    }
    if (allowance.left >= 1) {
      allowance.left--
      return 0
    }
    this.numbers.lateAnswers++
    return this.#delay
  }
}
