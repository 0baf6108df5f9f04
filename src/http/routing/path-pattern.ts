import { type MatchFunction, match, type ParamData, parse, type Token } from 'path-to-regexp'
import { reasonOf } from '../../errors.ts'
import { invalidOption } from '../../options.ts'
import { canonicalText, inAscii, type RequestPath } from './path.ts'
import type { RouteParams } from './route-match.ts'

/** A path with parameters. */
export class PathPattern {
  /** What a path has to begin with, up to the first parameter or optional part. */
  readonly start: string
  /** How many characters are given, in all of it. */
  readonly literals: number
  readonly wildcards: number
  readonly #match: MatchFunction<ParamData>

  /** Throws `XPS_INVALID_OPTION` for what path-to-regexp cannot read. */
  constructor(name: string, text: string) {
    try {
      const data = parse(text, { encodePath: (part) => canonicalText(inAscii(part)) })
      const [first] = data.tokens
      this.start = first?.type === 'text' ? first.value : ''
      this.#match = match(data, { sensitive: true, decode: decoded })
      const counts = countTokens(data.tokens)
      this.literals = counts.literals
      this.wildcards = counts.wildcards
    } catch (error) {
      throw invalidOption(name, text, `a pattern that path-to-regexp can read (${reasonOf(error)})`)
    }
  }

  /** The parameters of a path that fits. */
  match(path: RequestPath): RouteParams | undefined {
    if (path.data.startsWith(this.start)) {
      const found = this.#match(path.data)
      if (found !== false) return found.params as RouteParams
    }
    // Somebody behind us may take an encoded slash for a slash.
    if (path.match === path.data || !path.match.startsWith(this.start)) return undefined
    const found = this.#match(path.match)
    return found === false ? undefined : (found.params as RouteParams)
  }
}

function countTokens(tokens: readonly Token[]): { literals: number; wildcards: number } {
  let literals = 0
  let wildcards = 0
  for (const token of tokens) {
    if (token.type === 'text') literals += token.value.length
    else if (token.type === 'wildcard') wildcards++
    else if (token.type === 'group') {
      const inner = countTokens(token.tokens)
      literals += inner.literals
      wildcards += inner.wildcards
    }
  }
  return { literals, wildcards }
}

/** What is no valid escape stays as it is: a router is no place to fail for it. */
function decoded(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
