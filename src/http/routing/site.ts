import type { RequestHead } from '../messages.ts'
import type { RequestPath } from './path.ts'
import type { PathPattern } from './path-pattern.ts'
import { RouteFound } from './route-found.ts'
import type { RouteParams } from './route-match.ts'
import type { RouteRule } from './route-rule.ts'

/**
 * The paths of one host: what begins with the longest literal text is looked at first.
 *
 * ```
 *  length 9   /users/me        a prefix: compared, or looked up if there are several of that length
 *  length 7   /users/:id       a pattern; those of one length before the prefixes
 *  length 6   /users
 *  length 0   (all)
 * ```
 */
export class Site<R> {
  readonly #levels: Level<R>[] = []

  add(path: string | PathPattern, rule: RouteRule<R>): void {
    const length = typeof path === 'string' ? path.length : path.start.length
    let level = this.#levels.find((one) => one.length === length)
    if (level === undefined) {
      level = new Level(length)
      this.#levels.push(level)
      this.#levels.sort((a, b) => b.length - a.length)
    }
    if (typeof path === 'string') level.addPrefix(path, rule)
    else level.addPattern(path, rule)
  }

  /** The first route that fits. `missed` gathers the methods of those that fit but for the method. */
  find(
    port: number,
    request: RequestHead,
    path: RequestPath,
    missed: Set<string> | undefined,
  ): RouteFound<R> | undefined {
    for (const level of this.#levels) {
      const found = level.find(port, request, path, missed)
      if (found !== undefined) return found
    }
    return undefined
  }
}

/** The rules of one prefix. */
interface Place<R> {
  readonly prefix: string
  readonly rules: RouteRule<R>[]
}

/** A rule of a pattern. */
interface Branch<R> {
  readonly pattern: PathPattern
  readonly rule: RouteRule<R>
}

const slash = 0x2f

/** All that have literal text of one length in front. */
class Level<R> {
  readonly length: number
  readonly #branches: Branch<R>[] = []
  /** The first prefix, which most often is the only one; a map as soon as there are more. */
  #first: Place<R> | undefined
  #more: Map<string, Place<R>> | undefined

  constructor(length: number) {
    this.length = length
  }

  addPrefix(prefix: string, rule: RouteRule<R>): void {
    const place = this.#more === undefined ? this.#first : this.#more.get(prefix)
    if (place?.prefix === prefix) {
      place.rules.push(rule)
      place.rules.sort(byConditions)
      return
    }
    const made = { prefix, rules: [rule] }
    if (this.#first === undefined) {
      this.#first = made
      return
    }
    this.#more ??= new Map([[this.#first.prefix, this.#first]])
    this.#more.set(prefix, made)
  }

  addPattern(pattern: PathPattern, rule: RouteRule<R>): void {
    this.#branches.push({ pattern, rule })
    // Those that fit more are asked later.
    this.#branches.sort(
      (a, b) =>
        a.pattern.wildcards - b.pattern.wildcards ||
        b.pattern.literals - a.pattern.literals ||
        byConditions(a.rule, b.rule),
    )
  }

  find(
    port: number,
    request: RequestHead,
    path: RequestPath,
    missed: Set<string> | undefined,
  ): RouteFound<R> | undefined {
    for (const { pattern, rule } of this.#branches) {
      const params = pattern.match(path)
      if (params === undefined || !rule.takes(port, request, missed)) continue
      return new RouteFound(rule.route, '', path.forward, params)
    }
    const place = this.#placeOf(path.match)
    if (place === undefined) return undefined
    for (const rule of place.rules) {
      if (rule.takes(port, request, missed)) return new RouteFound(rule.route, place.prefix, path.forward, noParams)
    }
    return undefined
  }

  #placeOf(path: string): Place<R> | undefined {
    const { length } = this
    if (length > 0 && path.length !== length && path.charCodeAt(length) !== slash) return undefined
    if (this.#more !== undefined) return this.#more.get(path.slice(0, length))
    return this.#first !== undefined && path.startsWith(this.#first.prefix) ? this.#first : undefined
  }
}

function byConditions(a: RouteRule<unknown>, b: RouteRule<unknown>): number {
  return b.conditions - a.conditions || a.order - b.order
}

const noParams: RouteParams = Object.freeze(Object.create(null) as RouteParams)
