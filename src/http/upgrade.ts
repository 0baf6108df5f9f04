import { invalidOption } from '../options.ts'
import { withoutBlanks } from './fields.ts'

/** Which upgrades a route passes on: all (`true`), none, or those of the list, by the names of their protocols. */
export type UpgradeOption = boolean | readonly string[]

/**
 * Protocols that are never passed on. Behind a proxy that took them for opaque a client could ask for whatever it likes,
 * past all routes and hooks: they carry HTTP again (`h2c`, `HTTP/2.0`), or hide it (`TLS/1.0`).
 */
const never: ReadonlySet<string> = new Set(['h2c', 'h2', 'http', 'tls'])

/** Says which upgrades are passed on. */
export class UpgradeRule {
  readonly #names: ReadonlySet<string> | undefined
  readonly #none: boolean

  /** Throws `XPS_INVALID_OPTION`. */
  constructor(name: string, given: UpgradeOption = true) {
    this.#none = given === false
    if (typeof given === 'boolean') return
    if (!Array.isArray(given)) throw invalidOption(name, given, "true, false or a list such as ['websocket']")
    for (const protocol of given as readonly unknown[]) {
      if (typeof protocol !== 'string' || !token.test(protocol)) {
        throw invalidOption(name, protocol, "made of names of protocols such as 'websocket'")
      }
      if (never.has(protocol.toLowerCase())) {
        throw invalidOption(name, protocol, 'made of protocols that can be passed on, which this one never is')
      }
    }
    this.#names = new Set((given as readonly string[]).map((protocol) => protocol.toLowerCase()))
  }

  /** What is left of a client's `Upgrade` for the upstream; undefined if that is nothing. */
  passed(asked: string): string | undefined {
    if (this.#none) return undefined
    const left = asked
      .split(',')
      .map(withoutBlanks)
      .filter((one) => {
        const name = one.replace(/\/.*$/, '').toLowerCase()
        return versioned.test(one) && !never.has(name) && (this.#names === undefined || this.#names.has(name))
      })
    return left.length === 0 ? undefined : left.join(', ')
  }
}

const token = /^[!#$%&'*+\-.^_`|~\da-z]+$/i
const versioned = /^[!#$%&'*+\-.^_`|~\da-z]+(?:\/[!#$%&'*+\-.^_`|~\da-z]+)?$/i

/** Whether a 101 names only what was asked for (RFC 9110, 7.8). */
export function answersUpgrade(asked: string, answered: string | undefined): boolean {
  if (answered === undefined) return false
  const wanted = asked.toLowerCase().split(',').map(withoutBlanks)
  return answered
    .toLowerCase()
    .split(',')
    .every((one) => wanted.includes(withoutBlanks(one)))
}
