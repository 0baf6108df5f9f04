import type { Representation } from './representation.ts'

// What a resource takes besides its bodies, more or less: heads, texts and objects.
const resourceOverhead = 2048

/** A file that can be asked for, in the codings that there are of it. */
export class Resource {
  /** Below the folder. */
  readonly file: string
  /** By number of coding; identity is always there. */
  choices: readonly (Representation | undefined)[]
  /** Bit n: there is coding n. */
  available = 1
  /** When the disk was last looked at, by the clock. */
  checkedAt: number
  /** The version of the file that is not worth compressing; '' for none. */
  incompressible = ''
  /** How many paths lead to it. The cache's. */
  references = 0
  /** How many bytes it was last counted for. The cache's. */
  counted = 0

  constructor(file: string, choices: readonly (Representation | undefined)[], checkedAt: number) {
    this.file = file
    this.choices = choices
    this.checkedAt = checkedAt
    this.use(choices)
  }

  get identity(): Representation {
    return this.choices[0] as Representation
  }

  /** The memory that it takes, in bytes. */
  get bytes(): number {
    let sum = resourceOverhead
    for (const choice of this.choices) sum += choice?.body?.length ?? 0
    return sum
  }

  use(choices: readonly (Representation | undefined)[]): void {
    this.choices = choices
    this.available = choices.reduce((bits, choice, number) => bits | (choice === undefined ? 0 : 1 << number), 0)
  }

  /** Puts another one in the place of one, or nothing; does nothing if that one is not there any more. */
  replace(old: Representation, by: Representation | undefined): void {
    if (this.choices[old.coding] === old) this.use(this.choices.map((one) => (one === old ? by : one)))
  }
}
