import { domainToASCII } from 'node:url'
import { integerOption, invalidOption } from '../../options.ts'
import type { RequestHead } from '../messages.ts'
import { inAscii, readPath } from './path.ts'
import { PathPattern } from './path-pattern.ts'
import type { RouteMatch } from './route-match.ts'

/** What a route asks of a request besides its host and path, checked and made ready. */
export class RouteRule<R> {
  readonly route: R
  /** Of two rules for the same host and path, the one with more conditions is asked first, then the one given first. */
  readonly conditions: number
  readonly order: number
  readonly #listeners: readonly number[] | undefined
  readonly #methods: readonly string[] | undefined
  readonly #headers: readonly (readonly [name: string, value: string | true])[] | undefined

  /** Throws `XPS_INVALID_OPTION`; `name` says which route it is. */
  constructor(name: string, route: R & RouteMatch, order: number) {
    this.route = route
    this.order = order
    this.#listeners = listeners(`${name}.listener`, route.listener)
    this.#methods = methods(`${name}.method`, route.method)
    this.#headers = headers(`${name}.headers`, route.headers)
    this.conditions =
      (this.#listeners === undefined ? 0 : 1) +
      (this.#methods === undefined ? 0 : 1) +
      (this.#headers === undefined ? 0 : this.#headers.length)
  }

  /** Whether the request fits. If only its method does not, the methods that would are added to `missed`. */
  takes(port: number, request: RequestHead, missed: Set<string> | undefined): boolean {
    // A tunnel to anywhere is nothing that a route is for by the way.
    if (this.#methods === undefined && request.method === 'CONNECT') return false
    if (this.conditions === 0) return true
    if (this.#listeners !== undefined && !this.#listeners.includes(port)) return false
    const methodFits = this.#methods === undefined || this.#methods.includes(request.method)
    if (!methodFits && missed === undefined) return false
    if (this.#headers !== undefined) {
      for (const [name, wanted] of this.#headers) {
        const value = request.headers.get(name)
        if (value === undefined || (wanted !== true && value !== wanted)) return false
      }
    }
    if (!methodFits) for (const method of this.#methods ?? []) missed?.add(method)
    return methodFits
  }
}

/** A list of one or more, from what may be given as one thing. */
function listOf<T>(name: string, given: T | readonly T[], what: string): readonly T[] {
  const list = Array.isArray(given) ? (given as readonly T[]) : [given as T]
  if (list.length === 0) throw invalidOption(name, given, `${what}, or a list of one or more`)
  return list
}

function listeners(name: string, given: RouteMatch['listener']): readonly number[] | undefined {
  if (given === undefined) return undefined
  return listOf(name, given, 'a port').map((port) =>
    integerOption(name, port ?? Number.NaN, 0, { min: 1, max: 65_535 }),
  )
}

function methods(name: string, given: RouteMatch['method']): readonly string[] | undefined {
  if (given === undefined) return undefined
  const found = new Set<string>()
  for (const method of listOf(name, given, 'a method')) {
    if (typeof method !== 'string' || !/^[!#$%&'*+\-.^_`|~\dA-Z]+$/.test(method)) {
      throw invalidOption(name, method, "a method in capital letters, such as 'GET'")
    }
    found.add(method)
    if (method === 'GET') found.add('HEAD')
  }
  return [...found]
}

function headers(name: string, given: RouteMatch['headers']): (readonly [string, string | true])[] | undefined {
  if (given === undefined) return undefined
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw invalidOption(name, given, "an object such as { 'x-version': '2' }")
  }
  const found: [string, string | true][] = []
  for (const [field, value] of Object.entries(given)) {
    if (!/^[!#$%&'*+\-.^_`|~\da-z]+$/i.test(field)) throw invalidOption(name, field, 'made of names of header fields')
    if (typeof value !== 'string' && value !== true) throw invalidOption(`${name}['${field}']`, value, 'text or true')
    found.push([field.toLowerCase(), value])
  }
  return found.length === 0 ? undefined : found
}

/** A host of a route: `''` for all, `'app.test'`, or `'.app.test'` for all names that end so. */
export function hostsOf(name: string, given: RouteMatch['host']): readonly string[] {
  if (given === undefined) return ['']
  return listOf(name, given, 'a host').map((host) => {
    const what = "a host without a port, such as 'app.test' or '*.app.test'"
    if (typeof host !== 'string') throw invalidOption(name, host, what)
    const wildcard = host.startsWith('*.')
    const rest = (wildcard ? host.slice(2) : host).toLowerCase().replace(/\.$/, '')
    // Clients send names of other scripts in ASCII.
    const ascii = /^[!-~]+$/.test(rest) ? rest : domainToASCII(rest)
    const good = wildcard ? domain.test(ascii) : domain.test(ascii) || /^\[[\da-f:.]+\]$/.test(ascii)
    if (!good) throw invalidOption(name, host, what)
    return wildcard ? `.${ascii}` : ascii
  })
}

const domain = /^[\w-]+(?:\.[\w-]+)*$/

/** The paths of a route: prefixes in the spelling that is compared (`''` for all), and patterns. */
export function pathsOf(name: string, given: RouteMatch['path']): readonly (string | PathPattern)[] {
  if (given === undefined) return ['']
  return listOf(name, given, 'a path').map((path) => {
    const what = "a path such as '/api' or '/users/:id'"
    if (typeof path !== 'string' || !path.startsWith('/') || /[?#]|[^\S ]/.test(path)) {
      throw invalidOption(name, path, what)
    }
    return /[:*{}]/.test(path) ? new PathPattern(name, path) : prefixOf(name, path, what)
  })
}

function prefixOf(name: string, path: string, what: string): string {
  try {
    const { match } = readPath(inAscii(path))
    return match.endsWith('/') ? match.slice(0, -1) : match
  } catch {
    throw invalidOption(name, path, what)
  }
}
