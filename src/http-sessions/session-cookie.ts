import type { Fields } from '../http/fields.ts'
import { integerOption, invalidOption, knownOptions } from '../options.ts'
import type { Signer } from './signature.ts'

/** The cookie that says which session a browser has. */
export interface SessionCookieOptions {
  /**
   * With `__Host-` or `__Secure-` in front, browsers take it over TLS only; `__Host-` besides for one host only, which keeps
   * other hosts of its domain from setting it. What a prefix demands is checked.
   * @default 'xps-session'
   */
  name?: string
  /** @default '/' */
  path?: string
  /** Without it the cookie is for the host that was asked for. @default none */
  domain?: string
  /** @default 'lax' */
  sameSite?: 'strict' | 'lax' | 'none'
  /**
   * `Secure`; with `'auto'` where the client came by TLS, as far as we or a trusted proxy say, and always where the name's
   * prefix or `sameSite: 'none'` demands it.
   * @default 'auto'
   */
  secure?: boolean | 'auto'
  /** Keeps it from scripts. @default true */
  httpOnly?: boolean
  /**
   * How long browsers keep it: seconds, as long as the session lives (`'lifetime'`), or until they are closed
   * (`'browser'`).
   * @default 'lifetime'
   */
  maxAge?: number | 'lifetime' | 'browser'
}

const sites: ReadonlyMap<string, string> = new Map([
  ['strict', 'Strict'],
  ['lax', 'Lax'],
  ['none', 'None'],
])
const optionNames = ['name', 'path', 'domain', 'sameSite', 'secure', 'httpOnly', 'maxAge']

/** What a cookie of ours says, once its signature has been checked. */
export interface Claim {
  readonly id: string
  /** When the session was made, and when the cookie was: seconds since 1970. */
  readonly created: number
  readonly issued: number
  /** It was signed by a key that is not the newest. */
  readonly aged: boolean
}

/** A request's cookies of our name: what the one says; or that there was one which says nothing. */
export type Taken = Claim | 'forged' | undefined

/** How long sessions live, in seconds; 0 for ever. */
export interface CookieLifetimes {
  readonly idle: number
  readonly absolute: number
}

/** The longest that browsers keep a cookie: 400 days, in seconds (RFC 6265bis, 5.5). */
const longestAge = 34_560_000

// The id; when the session was made, and how much later the cookie was (seconds, base 36); the signature of all that.
const form = /^([\w-]{16,100})\.([\da-z]{1,8})\.([\da-z]{1,8})\.([\w-]{43})$/
/** More than the form allows is not even looked at. */
const longestValue = 200

/** Reads, strips and writes the cookie of sessions. */
export class SessionCookie {
  readonly name: string
  readonly #secure: boolean | 'auto'
  readonly #signer: Signer
  readonly #lifetimes: CookieLifetimes
  readonly #maxAge: number | 'lifetime' | 'browser'
  readonly #attributes: string
  readonly #ownSetCookie: RegExp

  /** Throws `XPS_INVALID_OPTION`. */
  constructor(options: SessionCookieOptions, signer: Signer, lifetimes: CookieLifetimes) {
    if (typeof options !== 'object' || options === null) throw invalidOption('cookie', options, 'an object')
    knownOptions('cookie', options, optionNames)
    const { name = 'xps-session', path = '/', domain, sameSite = 'lax', secure = 'auto', httpOnly = true } = options
    if (typeof name !== 'string' || !/^[!#$%&'*+\-.^_`|~\dA-Za-z]{1,100}$/.test(name)) {
      throw invalidOption('cookie.name', name, 'a token of up to 100 characters')
    }
    if (typeof path !== 'string' || !/^\/[\x21-\x3a\x3c-\x7e]*$/.test(path)) {
      throw invalidOption('cookie.path', path, "a path such as '/'")
    }
    if (domain !== undefined && (typeof domain !== 'string' || !/^[a-z\d-]+(?:\.[a-z\d-]+)*$/i.test(domain))) {
      throw invalidOption('cookie.domain', domain, "a domain such as 'app.test'")
    }
    const site = sites.get(sameSite)
    if (site === undefined) throw invalidOption('cookie.sameSite', sameSite, `'strict', 'lax' or 'none'`)
    if (secure !== 'auto' && typeof secure !== 'boolean') {
      throw invalidOption('cookie.secure', secure, `true, false or 'auto'`)
    }
    if (typeof httpOnly !== 'boolean') throw invalidOption('cookie.httpOnly', httpOnly, 'true or false')
    const mustBeSecure = checkPrefix(name, path, domain, secure, httpOnly) || sameSite === 'none'
    if (mustBeSecure && secure === false) throw invalidOption('cookie.secure', secure, `true where sameSite is 'none'`)
    this.name = name
    this.#secure = mustBeSecure ? true : secure
    this.#signer = signer
    this.#lifetimes = lifetimes
    this.#maxAge = maxAgeOption(options.maxAge)
    this.#attributes = `; Path=${path}${domain === undefined ? '' : `; Domain=${domain}`}${httpOnly ? '; HttpOnly' : ''}; SameSite=${site}`
    // Browsers send a cookie without a name as its value alone, which may look like another's name and value.
    this.#ownSetCookie = new RegExp(`^[\\t ]*(?:=[\\t ]*)?${name.replace(/[$*+.^|]/g, '\\$&')}[\\t ]*(?:=|;|$)`)
  }

  /** Takes our cookie out of a request, leaving those of others as they are, and says what it is. */
  take(headers: Fields): Taken {
    const joined = headers.get('cookie')
    if (joined === undefined || !joined.includes(this.name)) return undefined
    let count = 0
    let value = ''
    const left: string[] = []
    for (const field of headers.getAll('cookie')) {
      const pairs = field.split(';')
      const others = pairs.filter((pair) => {
        const mark = pair.indexOf('=')
        if (trim(mark < 0 ? pair : pair.slice(0, mark)) !== this.name) return true
        count++
        value = mark < 0 ? '' : trim(pair.slice(mark + 1))
        return false
      })
      if (others.length === pairs.length) left.push(field)
      else if (others.some((pair) => trim(pair) !== '')) left.push(trim(others.join(';')))
    }
    if (count === 0) return undefined
    headers.delete('cookie')
    for (const field of left) headers.append('cookie', field)
    // Who can set cookies for a part of our host could put one of theirs before ours: which is whose cannot be known.
    return count > 1 ? 'forged' : this.#read(value)
  }

  #read(value: string): Claim | 'forged' {
    const match = value.length > longestValue ? null : form.exec(value)
    if (match === null) return 'forged'
    const [, id = '', made = '', later = '', signature = ''] = match
    const key = this.#signer.signedBy(this.#signed(`${id}.${made}.${later}`), signature)
    if (key < 0) return 'forged'
    const created = Number.parseInt(made, 36)
    return { id, created, issued: created + Number.parseInt(later, 36), aged: key > 0 }
  }

  /** What is signed has the name in it, so that no other cookie of the same keys can be taken for this one. */
  #signed(text: string): string {
    return `${this.name}=${text}`
  }

  /** The session's time is over, whoever has it. */
  expired({ created }: Claim, now: number): boolean {
    const { absolute } = this.#lifetimes
    return absolute > 0 && now >= created + absolute
  }

  /** It is time for a new cookie: the browser would forget this one, or an old key will be gone. */
  isDue({ aged, issued, created }: Claim, now: number, rolling: boolean): boolean {
    if (aged) return true
    const age = this.#age(created, issued)
    return rolling && age !== undefined && now - issued >= Math.max(1, age / 16)
  }

  /** `Set-Cookie` for a session. Times in seconds since 1970. */
  give(id: string, created: number, now: number, secure: boolean): string {
    const text = `${id}.${created.toString(36)}.${Math.max(0, now - created).toString(36)}`
    const value = `${text}.${this.#signer.sign(this.#signed(text))}`
    const age = this.#age(created, now)
    const maxAge = age === undefined ? '' : `; Max-Age=${age}`
    return `${this.name}=${value}${maxAge}${this.#attributes}${this.#mark(secure)}`
  }

  /** `Set-Cookie` that takes the cookie away. */
  remove(secure: boolean): string {
    return `${this.name}=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT${this.#attributes}${this.#mark(secure)}`
  }

  /** Takes cookies of our name out of a response: nobody else gives them. */
  strip(headers: Fields): void {
    if (!headers.has('set-cookie')) return
    const all = headers.getAll('set-cookie')
    const others = all.filter((one) => !this.#ownSetCookie.test(one))
    if (others.length === all.length) return
    headers.delete('set-cookie')
    for (const one of others) headers.append('set-cookie', one)
  }

  #mark(secure: boolean): string {
    return (this.#secure === 'auto' ? secure : this.#secure) ? '; Secure' : ''
  }

  /** Seconds that a browser keeps a cookie which is given now; undefined until it is closed. */
  #age(created: number, now: number): number | undefined {
    const { idle, absolute } = this.#lifetimes
    if (this.#maxAge === 'browser') return undefined
    const wanted = this.#maxAge === 'lifetime' ? idle || longestAge : this.#maxAge
    const left = absolute === 0 ? longestAge : created + absolute - now
    return Math.max(1, Math.min(wanted, left, longestAge))
  }
}

function trim(text: string): string {
  return text.replace(/^[\t ]+|[\t ]+$/g, '')
}

function maxAgeOption(given: SessionCookieOptions['maxAge'] = 'lifetime'): number | 'lifetime' | 'browser' {
  if (given === 'lifetime' || given === 'browser') return given
  if (typeof given === 'number') return integerOption('cookie.maxAge', given, 0, { min: 1, max: longestAge })
  throw invalidOption('cookie.maxAge', given, `seconds, 'lifetime' or 'browser'`)
}

/** What browsers demand of names with a prefix (RFC 6265bis, 4.1.3), in any case; true if it must be `Secure`. */
function checkPrefix(
  name: string,
  path: string,
  domain: string | undefined,
  secure: boolean | 'auto',
  httpOnly: boolean,
): boolean {
  const [prefix] = /^__(?:host-http|http|host|secure)-/.exec(name.toLowerCase()) ?? []
  if (prefix === undefined) return false
  if (secure === false) throw invalidOption('cookie.secure', secure, `true for a name with '${prefix}'`)
  if (prefix.includes('http-') && !httpOnly) {
    throw invalidOption('cookie.httpOnly', httpOnly, `true for a name with '${prefix}'`)
  }
  if (prefix.startsWith('__host-')) {
    if (path !== '/') throw invalidOption('cookie.path', path, `'/' for a name with '${prefix}'`)
    if (domain !== undefined) throw invalidOption('cookie.domain', domain, `left out for a name with '${prefix}'`)
  }
  return true
}
