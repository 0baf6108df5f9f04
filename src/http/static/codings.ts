import Negotiator from 'negotiator'

/** How the bytes of a file can be coded; the place in the list is the number of the coding. */
export const codings = ['identity', 'br', 'zstd', 'gzip'] as const

/** The name of a coding, as `Content-Encoding` has it. */
export type Coding = (typeof codings)[number]

/** What the names of precompressed files end with. */
export const suffixes: Readonly<Record<Exclude<Coding, 'identity'>, string>> = { br: '.br', zstd: '.zst', gzip: '.gz' }

/** Chooses between codings by what a client accepts (RFC 9110, 12.5.3), and by our order where it does not care. */
export class CodingChooser {
  readonly #order: readonly Coding[]
  readonly #best = new Remembered((accepted) => this.#bestOf(accepted))

  constructor(preferred: readonly Coding[]) {
    this.#order = [...preferred, ...codings.filter((one) => one !== 'identity' && !preferred.includes(one)), 'identity']
  }

  /**
   * The number of the coding to send; bit n of `available` says that there is coding n. A client that refuses all of
   * them, identity too, gets identity: an answer that it can look at is of more use than 406.
   */
  choose(accepted: string | undefined, available: number): number {
    return accepted === undefined ? 0 : (this.#best.of(accepted)[available] as number)
  }

  /** The number of the best coding for each set of codings that there can be. */
  #bestOf(accepted: string): Uint8Array {
    const headers = { 'accept-encoding': accepted }
    // The types are those of an older version: they lack the second argument, which decides between equals.
    const ranked = (new Negotiator({ headers }) as RankingNegotiator).encodings(this.#order, { preferred: this.#order })
    const numbers = ranked.map((name) => codings.indexOf(name as Coding))
    const best = new Uint8Array(1 << codings.length)
    for (let available = 0; available < best.length; available++) {
      best[available] = numbers.find((number) => ((available >> number) & 1) === 1) ?? 0
    }
    return best
  }
}

interface RankingNegotiator {
  encodings(available: readonly string[], options: { preferred: readonly string[] }): string[]
}

/**
 * Tells whether a client asks for a page, and not for just anything: it names `text/html` itself, and does not refuse
 * it. What a script, a style sheet or an image asks for is named otherwise, or not at all.
 */
export class PageChooser {
  readonly #pages = new Remembered(acceptsPage)

  accepts(accepted: string | undefined): boolean {
    return accepted !== undefined && this.#pages.of(accepted)
  }
}

function acceptsPage(accept: string): boolean {
  return new Negotiator({ headers: { accept } }).mediaTypes().some((type) => type.toLowerCase() === 'text/html')
}

// Browsers send a handful of values; who makes up new ones only makes the table start anew.
const maxRemembered = 100
const maxRememberedLength = 512

/** What was made of a text before need not be made again. */
class Remembered<T> {
  readonly #make: (text: string) => T
  readonly #known = new Map<string, T>()

  constructor(make: (text: string) => T) {
    this.#make = make
  }

  of(text: string): T {
    const known = this.#known.get(text)
    if (known !== undefined) return known
    const made = this.#make(text)
    if (text.length <= maxRememberedLength) {
      if (this.#known.size >= maxRemembered) this.#known.clear()
      this.#known.set(text, made)
    }
    return made
  }
}
