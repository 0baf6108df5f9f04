import { invalidOption } from '../../options.ts'

/** A new value for all, or by the one that there is (`'*'` for all others); `''` takes the attribute away. */
export type CookieRewrite = string | Readonly<Record<string, string>>

/** Rewrites one attribute of `Set-Cookie`. */
export class CookieAttribute {
  readonly #pattern: RegExp
  readonly #values: ReadonlyMap<string, string>

  /** Throws `XPS_INVALID_OPTION` with the name of the option. */
  constructor(option: string, attribute: 'domain' | 'path', given: CookieRewrite) {
    this.#pattern = new RegExp(`(;\\s*${attribute}\\s*=\\s*)([^;]*)`, 'gi')
    const what = `text, or an object such as { 'old': 'new', '*': 'other' }`
    if (typeof given !== 'string' && (typeof given !== 'object' || given === null || Array.isArray(given))) {
      throw invalidOption(option, given, what)
    }
    const values = Object.entries(typeof given === 'string' ? { '*': given } : given)
    for (const [, value] of values) {
      if (typeof value !== 'string' || !/^[ -:<-~]*$/.test(value)) throw invalidOption(option, value, what)
    }
    this.#values = new Map(values)
  }

  rewrite(cookie: string): string {
    return cookie.replace(this.#pattern, (all: string, before: string, value: string) => {
      const chosen = this.#values.get(value.trim()) ?? this.#values.get('*')
      if (chosen === undefined) return all
      return chosen === '' ? '' : `${before}${chosen}`
    })
  }
}
