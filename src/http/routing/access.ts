import { AddressSet } from '../../admission/address-set.ts'

/** Which clients a route is for, by their addresses; see {@link AddressSet} for how they are written. */
export interface AccessOptions {
  /** Only these clients; with an empty list, nobody. @default everybody */
  allow?: readonly string[]
  /** Not these clients, even if `allow` has them. @default nobody */
  deny?: readonly string[]
}

/** The names of the options, for checks of what is given. */
export const accessNames: readonly (keyof AccessOptions)[] = ['allow', 'deny']

/** Decides by its address whether a client is let in. Who is not, is answered 403. */
export class Access {
  readonly #allow: AddressSet | undefined
  readonly #deny: AddressSet | undefined

  /** Throws `XPS_INVALID_OPTION`; `name` comes before the name of the option: `routes[1].allow`. */
  constructor(options: AccessOptions, name = '') {
    const prefix = name === '' ? '' : `${name}.`
    // A list that is there counts, also if it is empty: what is left of a list must never let everybody in.
    this.#allow = options.allow === undefined ? undefined : new AddressSet(`${prefix}allow`, options.allow)
    this.#deny = options.deny === undefined ? undefined : new AddressSet(`${prefix}deny`, options.deny)
  }

  /** Whether the client may go on. One without an address came by a Unix-domain socket. */
  allows(address: string | undefined): boolean {
    if (this.#deny?.has(address) === true) return false
    return this.#allow === undefined || this.#allow.has(address)
  }
}
