import { compile, match, parse, type Token } from 'path-to-regexp'
import { reasonOf, XpsError } from '../../errors.ts'
import { invalidOption } from '../../options.ts'
import type { RequestHead } from '../messages.ts'
import { canonicalText, inAscii, pathBelow, readPath } from '../routing/path.ts'

/** What the path of a request becomes for the upstream; done in this order, and never to `*`. */
export interface PathRewriteOptions {
  /** Takes the route's prefix away: `/api/x` becomes `/x`. @default false */
  stripPrefix?: boolean
  /**
   * Replaces a path that fits a pattern (as path-to-regexp reads it) by another with the same parameters:
   * `{ from: '/old/:id', to: '/new/:id' }`. Parameters are taken over as they are spelled. Or a function, which is given
   * the path and returns what is sent instead; a query that it adds comes before the one that there is.
   */
  rewrite?: { readonly from: string; readonly to: string } | ((path: string, request: RequestHead) => string)
  /** Put in front: with `'/base'`, `/x` becomes `/base/x`. */
  prefix?: string
}

/** The names of the options, for checks of what is given. */
export const pathRewriteNames: readonly (keyof PathRewriteOptions)[] = ['stripPrefix', 'rewrite', 'prefix']

/** Makes the target of the request to an upstream from the target that came. */
export class PathRewrite {
  readonly #strip: boolean
  readonly #rewrite: ((path: string, request: RequestHead) => string) | undefined
  readonly #prefix: string
  readonly #nothing: boolean

  /** Throws `XPS_INVALID_OPTION`; `at` comes before the name of the option. */
  constructor(options: PathRewriteOptions, at = '') {
    const { stripPrefix = false, rewrite, prefix = '' } = options
    if (typeof stripPrefix !== 'boolean') throw invalidOption(`${at}stripPrefix`, stripPrefix, 'true or false')
    this.#strip = stripPrefix
    this.#rewrite = rewriteOption(`${at}rewrite`, rewrite)
    this.#prefix = prefixOption(`${at}prefix`, prefix)
    this.#nothing = !this.#strip && this.#rewrite === undefined && this.#prefix === ''
  }

  /** The target for the upstream; `prefix` is that of the route. Throws `XPS_FAULT` if a function returns no path. */
  target(request: RequestHead, prefix: string): string {
    if (this.#nothing || !request.target.startsWith('/')) return request.target
    let path = request.path
    if (this.#strip) path = pathBelow(path, prefix)
    if (this.#rewrite !== undefined) path = this.#rewrite(path, request)
    const { query } = request
    const both = query !== '' && path.includes('?')
    return `${this.#prefix}${path}${both ? `&${query.slice(1)}` : query}`
  }

  /**
   * What a client calls a path that the upstream has named, query and all: the opposite of {@link target}, as far as
   * there is one. A path that has the route's prefix already is left as it is, for some upstreams know of it.
   */
  reverse(path: string, prefix: string): string {
    if (this.#nothing || this.#rewrite !== undefined) return path
    let named = path
    if (this.#prefix !== '' && isBelow(named, this.#prefix)) {
      named = named.slice(this.#prefix.length)
      if (!named.startsWith('/')) named = `/${named}`
    }
    return this.#strip && prefix !== '' && !isBelow(named, prefix) ? `${prefix}${named}` : named
  }
}

function isBelow(path: string, prefix: string): boolean {
  return path.startsWith(prefix) && (path.length === prefix.length || '/?#'.includes(path[prefix.length] as string))
}

function prefixOption(name: string, given: string): string {
  if (given === '' || given === '/') return ''
  const what = "a path such as '/base'"
  if (typeof given !== 'string' || !given.startsWith('/') || /[?#]|[^\S ]/.test(given)) {
    throw invalidOption(name, given, what)
  }
  try {
    return readPath(inAscii(given)).forward.replace(/\/$/, '')
  } catch {
    throw invalidOption(name, given, what)
  }
}

function rewriteOption(
  name: string,
  given: PathRewriteOptions['rewrite'],
): ((path: string, request: RequestHead) => string) | undefined {
  if (given === undefined) return undefined
  if (typeof given === 'function') return (path, request) => checkedPath(given(path, request))
  const what = "{ from: '/old/:id', to: '/new/:id' } or a function"
  if (typeof given !== 'object' || given === null || typeof given.from !== 'string' || typeof given.to !== 'string') {
    throw invalidOption(name, given, what)
  }
  const { from, to } = given
  try {
    const source = parse(from, { encodePath: (text) => canonicalText(inAscii(text)) })
    const goal = parse(to, { encodePath: inAscii })
    const there = requiredNames(source.tokens)
    const missing = requiredNames(goal.tokens).filter((parameter) => !there.includes(parameter))
    if (!to.startsWith('/')) throw new TypeError("'to' does not start with a slash")
    if (missing.length > 0) throw new TypeError(`'from' does not always have ${missing.join(', ')}`)
    const fits = match<Record<string, string>>(source, { sensitive: true, decode: false })
    const make = compile(goal, { encode: false })
    return (path) => {
      // Compared as routes are, and taken over as they are spelled if it is the same.
      const found = fits(path) || fits(readPath(path).data)
      return found === false ? path : make(found.params)
    }
  } catch (error) {
    throw invalidOption(name, `${from} -> ${to}`, `${what} (${reasonOf(error)})`)
  }
}

/** The parameters that are there whatever optional parts are. */
function requiredNames(tokens: readonly Token[]): string[] {
  return tokens.flatMap((token) => (token.type === 'param' || token.type === 'wildcard' ? [token.name] : []))
}

/** What a function returns is sent as it is, so it must be something that can be sent. */
function checkedPath(path: unknown): string {
  if (typeof path === 'string' && /^\/[!-~]*$/.test(path) && !path.includes('#')) return path
  throw new XpsError('XPS_FAULT', 'a rewrite returned what is no path', { status: 500 })
}
