import { createHmac, randomBytes } from 'node:crypto'
import { integerOption, invalidOption, knownOptions } from '../../options.ts'
import { checkField, type Fields } from '../fields.ts'
import type { Origin } from './origin.ts'

/** A client goes on to the address that it has gone to before, by a cookie of ours. */
export interface StickyOptions {
  /** The name of the cookie. @default 'xps-sticky' */
  name?: string
  /**
   * What its values are made with: with the same secret they are the same in another process, and after a restart. No value
   * tells the address, or can be made by somebody who does not know the secret.
   * @default one for this process
   */
  secret?: string
  /** @default '/' */
  path?: string
  /** Without it the cookie is for the host that was asked for. @default none */
  domain?: string
  /** How long it is kept, in seconds. @default until the browser is closed */
  maxAge?: number
  /** `Secure`; with `'auto'` where the client came by TLS. @default 'auto' */
  secure?: boolean | 'auto'
  /** Keeps it from scripts. @default true */
  httpOnly?: boolean
  /** @default 'lax' */
  sameSite?: 'strict' | 'lax' | 'none'
}

const optionNames = ['name', 'secret', 'path', 'domain', 'maxAge', 'secure', 'httpOnly', 'sameSite']

/** Knows which address a client has gone to before. */
export class Sticky {
  readonly #name: string
  readonly #secure: boolean | 'auto'
  readonly #attributes: string
  readonly #origins = new Map<string, Origin>()
  readonly #values = new Map<Origin, string>()

  /** Throws `XPS_INVALID_OPTION`, with `name` in it. */
  constructor(name: string, given: true | StickyOptions, origins: readonly Origin[]) {
    const options = given === true ? {} : given
    if (typeof options !== 'object' || options === null) throw invalidOption(name, given, 'true, false or an object')
    knownOptions(name, options, optionNames)
    const { secret, path = '/', domain, maxAge, secure = 'auto', httpOnly = true, sameSite = 'lax' } = options
    this.#name = options.name ?? 'xps-sticky'
    if (!/^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/.test(this.#name)) throw invalidOption(`${name}.name`, this.#name, 'a token')
    if (secret !== undefined && (typeof secret !== 'string' || secret === '')) {
      throw invalidOption(`${name}.secret`, 'something else', 'a text that is not empty')
    }
    for (const [key, value] of Object.entries({ path, domain })) {
      if (value !== undefined && !/^[\x21-\x3a\x3c-\x7e]+$/.test(value)) {
        throw invalidOption(`${name}.${key}`, value, 'what a cookie can have')
      }
    }
    if (secure !== 'auto' && typeof secure !== 'boolean')
      throw invalidOption(`${name}.secure`, secure, `true, false or 'auto'`)
    if (typeof httpOnly !== 'boolean') throw invalidOption(`${name}.httpOnly`, httpOnly, 'true or false')
    const site = { strict: 'Strict', lax: 'Lax', none: 'None' }[sameSite]
    if (site === undefined) throw invalidOption(`${name}.sameSite`, sameSite, `'strict', 'lax' or 'none'`)
    const age =
      maxAge === undefined ? '' : `; Max-Age=${integerOption(`${name}.maxAge`, maxAge, 0, { min: 1, max: 2 ** 31 })}`
    this.#secure = secure
    this.#attributes = `; Path=${path}${domain === undefined ? '' : `; Domain=${domain}`}${age}${httpOnly ? '; HttpOnly' : ''}; SameSite=${site}`
    checkField('set-cookie', this.#attributes.slice(2))
    const key = secret ?? randomBytes(32)
    for (const origin of origins) {
      // The same address twice, as with several servers of this process, is two.
      let value = ''
      for (let count = 0; value === '' || this.#origins.has(value); count++) {
        value = createHmac('sha256', key).update(`${count} ${origin.address}`).digest('base64url').slice(0, 22)
      }
      this.#origins.set(value, origin)
      this.#values.set(origin, value)
    }
  }

  /** Takes our cookie out of a request, and says which address it names; undefined if there is none that it names. */
  take(headers: Fields): Origin | undefined {
    const cookies = headers.getAll('cookie')
    if (!cookies.some((one) => one.includes(this.#name))) return undefined
    let found: Origin | undefined
    const others: string[] = []
    for (const pair of cookies.flatMap((one) => one.split(';'))) {
      const text = pair.trim()
      const mark = text.indexOf('=')
      if (mark >= 0 && text.slice(0, mark).trim() === this.#name) {
        found ??= this.#origins.get(
          text
            .slice(mark + 1)
            .trim()
            .replace(/^"(.*)"$/, '$1'),
        )
      } else if (text !== '') others.push(text)
    }
    if (others.length === 0) headers.delete('cookie')
    else headers.set('cookie', others.join('; '))
    return found
  }

  /** The `Set-Cookie` by which the client comes back to an address; undefined for one that is not of the route. */
  cookieFor(origin: Origin, secure: boolean): string | undefined {
    const value = this.#values.get(origin)
    if (value === undefined) return undefined
    const marked = this.#secure === 'auto' ? secure : this.#secure
    return `${this.#name}=${value}${this.#attributes}${marked ? '; Secure' : ''}`
  }
}
