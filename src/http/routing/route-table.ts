import { invalidOption } from '../../options.ts'
import type { RequestHead } from '../messages.ts'
import { isPlain, type RequestPath, readPath } from './path.ts'
import type { RouteFound } from './route-found.ts'
import type { RouteMatch } from './route-match.ts'
import { hostsOf, pathsOf, RouteRule } from './route-rule.ts'
import { Site } from './site.ts'

/**
 * Finds the route of a request. Of several that fit, it is the one with
 *
 * 1. the more exact host: a name before a wildcard, a long wildcard before a short one, any before none;
 * 2. the longer literal text in front of its path, a prefix of it or all that comes before a pattern's first
 *    parameter; then a pattern before a prefix, and of patterns the one with fewer wildcards and with more text;
 * 3. more conditions: listener, method and each header field count one;
 * 4. the earlier place in the list.
 *
 * The next one in this order is tried where one does not fit, so a route with a method does not hide a shorter one
 * without.
 *
 * Paths are compared in one spelling, whatever spelling came: `/x/../api`, `/x/%2e%2e/api`, `//api`, `/%61pi` and
 * `/api%2Fx` all get to the route of `/api`. A path that servers behind might read in another way than this one is
 * refused: see {@link readPath}. Upper and lower case are different; a server behind for which they are not has to
 * check for itself.
 */
export class RouteTable<R extends RouteMatch> {
  readonly #exact: Map<string, Site<R>> = new Map()
  readonly #wildcards: Map<string, Site<R>> = new Map()
  readonly #any: Site<R> = new Site()
  #lastAuthority = ''
  #lastHost = ''

  /** Checks all routes at once. Throws `XPS_INVALID_OPTION`, which names the route: `routes[2].path must be …`. */
  constructor(routes: readonly R[]) {
    if (!Array.isArray(routes)) throw invalidOption('routes', routes, 'a list of routes')
    for (const [index, route] of (routes as readonly R[]).entries()) {
      const name = `routes[${index}]`
      if (typeof route !== 'object' || route === null) throw invalidOption(name, route, 'an object')
      const rule = new RouteRule<R>(name, route, index)
      const paths = new Set(pathsOf(`${name}.path`, route.path))
      for (const host of new Set(hostsOf(`${name}.host`, route.host))) {
        const site = this.#siteOf(host)
        for (const path of paths) site.add(path, rule)
      }
    }
  }

  /**
   * The best route for a request that came in on the port; undefined if there is none.
   *
   * Throws `XPS_BAD_REQUEST` for a path that could be read in two ways. An upstream should be sent `path` of what is
   * found, not the path that came.
   */
  find(port: number, request: RequestHead): RouteFound<R> | undefined {
    return this.#find(port, request, undefined)
  }

  /**
   * The methods that there is a route for, for a request that there is none for only because of its method: what
   * `Allow` says in a 405. Empty if a 404 is the answer.
   */
  allowed(port: number, request: RequestHead): readonly string[] {
    const missed = new Set<string>()
    return this.#find(port, request, missed) === undefined ? [...missed].sort() : []
  }

  #find(port: number, request: RequestHead, missed: Set<string> | undefined): RouteFound<R> | undefined {
    const text = request.path
    const path = isPlain(text) ? plain(text) : readPath(text)
    if (this.#exact.size > 0 || this.#wildcards.size > 0) {
      const host = this.#hostOf(request)
      const found = this.#exact.get(host)?.find(port, request, path, missed)
      if (found !== undefined) return found
      if (this.#wildcards.size > 0) {
        for (let at = host.indexOf('.', 1); at > 0; at = host.indexOf('.', at + 1)) {
          const wild = this.#wildcards.get(host.slice(at))?.find(port, request, path, missed)
          if (wild !== undefined) return wild
        }
      }
    }
    return this.#any.find(port, request, path, missed)
  }

  /** The host in the spelling that is compared. The last one is remembered: the same come again and again. */
  #hostOf(request: RequestHead): string {
    if (request.authority === this.#lastAuthority) return this.#lastHost
    const { host } = request
    this.#lastAuthority = request.authority
    // A name with a dot at its end is the same name.
    this.#lastHost = host.endsWith('.') ? host.slice(0, -1) : host
    return this.#lastHost
  }

  #siteOf(host: string): Site<R> {
    if (host === '') return this.#any
    const sites = host.startsWith('.') ? this.#wildcards : this.#exact
    let site = sites.get(host)
    if (site === undefined) {
      site = new Site()
      sites.set(host, site)
    }
    return site
  }
}

/** All shapes of a plain path are one. It is not kept: a route that was found has made what it needs of it. */
const plainPath = { match: '', data: '', forward: '' }

function plain(text: string): RequestPath {
  plainPath.match = plainPath.data = plainPath.forward = text
  return plainPath
}
