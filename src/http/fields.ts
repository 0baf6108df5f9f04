import { XpsError } from '../errors.ts'
import { FieldBlock } from './field-block.ts'

/** Header or trailer fields as a program gives them: an object, pairs, or a list that exists already. */
export type FieldsInit =
  | Readonly<Record<string, string | number | readonly string[] | undefined>>
  | Iterable<readonly [name: string, value: string]>

/**
 * Names that are asked for in most messages. A decoder notes which of them a field is, so that nobody has to compare
 * names later; the number is the place in the list, 0 stands for every other name. There is a bit for each, hence no
 * more than 30.
 */
export const knownNames = [
  '',
  'connection',
  'content-length',
  'transfer-encoding',
  'host',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'proxy-authenticate',
  'te',
  'trailer',
  'upgrade',
  'expect',
  'via',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'date',
  'server',
  'location',
  'content-location',
  'refresh',
  'set-cookie',
  'accept-encoding',
  'range',
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
  'if-range',
] as const

/** The name of a known field. */
export type KnownName = Exclude<(typeof knownNames)[number], ''>

/** The number of a known name, by the name. */
export const known: Readonly<Record<KnownName, number>> = Object.fromEntries(
  knownNames.map((name, index) => [name, index]).slice(1),
) as Record<KnownName, number>

/** @internal The same for any name in lower case; not the object, which would know `constructor`. */
export const kinds: ReadonlyMap<string, number> = new Map(Object.entries(known))

/** How many numbers a {@link FieldBlock} has per field: start and end of name and value, and what it is. */
export const marksPerField = 5

/**
 * The fields of one head or trailer section, in order, as they were spelled.
 *
 * A parsed list keeps the text of its block and where each name and value lies; strings are made when somebody asks,
 * and a list that nobody changed can be written on in long pieces. Names are matched without regard to case.
 */
export class Fields implements Iterable<[name: string, value: string]> {
  /** What was parsed; empty for a list that was made or changed. */
  #block: FieldBlock = noBlock
  /** Name, value, name, value; undefined while the block says it all. */
  #list: string[] | undefined
  /** Bit n: a field is of known kind n; bit 31: some name has an underscore. Of a list it is known while its kinds are. */
  #present = 0
  /** What each field of the list is; undefined until somebody asks, and after each change. */
  #kinds: readonly number[] | undefined

  constructor(init?: FieldsInit) {
    if (init === undefined) return
    if (init instanceof Fields) {
      this.#block = init.#block
      this.#list = init.#list?.slice()
      this.#present = init.#present
      this.#kinds = init.#kinds
      return
    }
    for (const [name, value] of pairsOf(init)) this.append(name, value)
  }

  /** @internal What a decoder has read and checked. The block may be that of other messages too: it is never changed. */
  static parsed(block: FieldBlock): Fields {
    const fields = new Fields()
    fields.#block = block
    fields.#present = block.present
    return fields
  }

  /** @internal The same for what comes as a list (name, value, name, value), which is then this one's own. */
  static listed(list: string[], kinds: readonly number[], present: number): Fields {
    const fields = new Fields()
    fields.#list = list
    fields.#kinds = kinds
    fields.#present = present
    return fields
  }

  /** @internal The block, as long as it says it all: nobody has changed the list. */
  get block(): FieldBlock | undefined {
    return this.#list === undefined && this.#block !== noBlock ? this.#block : undefined
  }

  /** @internal Bit n: there is a field of known kind n. */
  get present(): number {
    if (this.#list !== undefined && this.#kinds === undefined) this.#findKinds(this.#list)
    return this.#present & ~underscores
  }

  /** @internal Some name has an underscore in it. */
  get underscored(): boolean {
    if (this.#list !== undefined && this.#kinds === undefined) this.#findKinds(this.#list)
    return (this.#present & underscores) !== 0
  }

  /** How many fields there are; a name that comes twice counts twice. */
  get size(): number {
    return this.#list === undefined ? this.#block.marks.length / marksPerField : this.#list.length / 2
  }

  /** The value of a field; of several with the name, all, joined by commas. Undefined if there is none. */
  get(name: string): string | undefined {
    let kind = kinds.get(name)
    let wanted = name
    if (kind === undefined) {
      wanted = name.toLowerCase()
      kind = kinds.get(wanted) ?? 0
    }
    if (this.#list !== undefined) return this.#getFromList(this.#list, wanted)
    if (kind !== 0 && ((this.#present >>> kind) & 1) === 0) return undefined
    let found: string | undefined
    const { marks, text } = this.#block
    for (let at = 0; at < marks.length; at += marksPerField) {
      if (marks[at + 4] !== kind) continue
      if (kind === 0) {
        const start = marks[at] as number
        const end = marks[at + 1] as number
        if (end - start !== wanted.length || text.slice(start, end).toLowerCase() !== wanted) continue
      }
      const value = text.slice(marks[at + 2], marks[at + 3])
      found = found === undefined ? value : `${found}, ${value}`
    }
    return found
  }

  #getFromList(list: readonly string[], wanted: string): string | undefined {
    let found: string | undefined
    for (let at = 0; at < list.length; at += 2) {
      const name = list[at] as string
      if (name.length !== wanted.length || (name !== wanted && name.toLowerCase() !== wanted)) continue
      const value = list[at + 1] as string
      found = found === undefined ? value : `${found}, ${value}`
    }
    return found
  }

  /** The values of all fields of that name, in order: what `set-cookie` needs. */
  getAll(name: string): string[] {
    const wanted = name.toLowerCase()
    const values: string[] = []
    for (const [key, value] of this) if (key.toLowerCase() === wanted) values.push(value)
    return values
  }

  has(name: string): boolean {
    return this.get(name) !== undefined
  }

  /** Gives the name this one value, in the place of the first field that had it. Throws `XPS_INVALID_HEADER`. */
  set(name: string, value: string | number): this {
    checkField(name, String(value))
    const list = this.#changeable()
    const wanted = name.toLowerCase()
    let placed = false
    for (let at = 0; at < list.length; at += 2) {
      if ((list[at] as string).toLowerCase() !== wanted) continue
      if (placed) {
        list.splice(at, 2)
        at -= 2
      } else {
        list[at + 1] = String(value)
        placed = true
      }
    }
    if (!placed) list.push(name, String(value))
    return this
  }

  /** Adds a field, whether or not there is one of that name. Throws `XPS_INVALID_HEADER`. */
  append(name: string, value: string | number): this {
    checkField(name, String(value))
    this.#changeable().push(name, String(value))
    return this
  }

  /** Takes all fields of that name away; true if there were any. */
  delete(name: string): boolean {
    const wanted = name.toLowerCase()
    if (!this.has(wanted)) return false
    const list = this.#changeable()
    for (let at = list.length - 2; at >= 0; at -= 2) {
      if ((list[at] as string).toLowerCase() === wanted) list.splice(at, 2)
    }
    return true
  }

  *[Symbol.iterator](): Generator<[name: string, value: string], void, undefined> {
    for (let index = 0; index < this.size; index++) yield [this.nameAt(index), this.valueAt(index)]
  }

  /** As an object, names in lower case, several values of one name in a list. */
  toObject(): Record<string, string | string[]> {
    const object: Record<string, string | string[]> = Object.create(null)
    for (const [name, value] of this) {
      const key = name.toLowerCase()
      const other = object[key]
      object[key] = other === undefined ? value : Array.isArray(other) ? [...other, value] : [other, value]
    }
    return object
  }

  /** @internal */
  nameAt(index: number): string {
    if (this.#list !== undefined) return this.#list[index * 2] as string
    const { marks, text } = this.#block
    return text.slice(marks[index * marksPerField], marks[index * marksPerField + 1])
  }

  /** @internal */
  valueAt(index: number): string {
    if (this.#list !== undefined) return this.#list[index * 2 + 1] as string
    const { marks, text } = this.#block
    return text.slice(marks[index * marksPerField + 2], marks[index * marksPerField + 3])
  }

  /** @internal Which of the {@link knownNames} the field is. */
  kindAt(index: number): number {
    if (this.#list === undefined) return this.#block.marks[index * marksPerField + 4] as number
    return (this.#kinds ?? this.#findKinds(this.#list))[index] as number
  }

  /** Looks at all names of the list, so that nobody has to look at them again until it is changed. */
  #findKinds(list: readonly string[]): readonly number[] {
    const found: number[] = []
    let present = 0
    for (let at = 0; at < list.length; at += 2) {
      const name = list[at] as string
      const kind = kinds.get(name.toLowerCase()) ?? 0
      if (kind !== 0) present |= 1 << kind
      else if (name.includes('_')) present |= underscores
      found.push(kind)
    }
    this.#kinds = found
    this.#present = present
    return found
  }

  /**
   * @internal The fields as HTTP/1 writes them, without those of a kind that `drop` has a bit for (bit n for kind n)
   * and without those whose names (in lower case) are in `names`.
   */
  serialize(drop: number, names?: ReadonlySet<string>): string {
    return this.#list === undefined ? this.#serializeBlock(drop, names) : this.#serializeList(drop, names)
  }

  /** What is left of the block, in pieces that are as long as can be. */
  #serializeBlock(drop: number, names: ReadonlySet<string> | undefined): string {
    const { marks, text } = this.#block
    let out = ''
    let from = -1
    for (let at = 0; at < marks.length; at += marksPerField) {
      const start = marks[at] as number
      const dropped =
        ((drop >>> (marks[at + 4] as number)) & 1) === 1 ||
        names?.has(text.slice(start, marks[at + 1]).toLowerCase()) === true
      if (!dropped) {
        if (from < 0) from = start
      } else if (from >= 0) {
        out += text.slice(from, start)
        from = -1
      }
    }
    // A parsed field ends with CRLF where the next one starts; the last one where the block does.
    return from < 0 ? out : out + text.slice(from)
  }

  #serializeList(drop: number, names: ReadonlySet<string> | undefined): string {
    let out = ''
    for (let index = 0; index < this.size; index++) {
      const kind = this.kindAt(index)
      const name = this.nameAt(index)
      if (kind !== 0 && ((drop >>> kind) & 1) === 1) continue
      if (names?.has(name.toLowerCase()) === true) continue
      out += `${name}: ${this.valueAt(index)}\r\n`
    }
    return out
  }

  /**
   * @internal Adds the fields as HTTP/2 writes them to a list (name, value, name, value): with their names in lower case, and
   * without those that {@link serialize} would leave out.
   */
  pairs(pairs: string[], drop: number, names?: ReadonlySet<string>): string[] {
    for (let index = 0; index < this.size; index++) {
      const kind = this.kindAt(index)
      if (kind !== 0 && ((drop >>> kind) & 1) === 1) continue
      const name = kind === 0 ? this.nameAt(index).toLowerCase() : (knownNames[kind] as string)
      if (names?.has(name) !== true) pairs.push(name, this.valueAt(index))
    }
    return pairs
  }

  #changeable(): string[] {
    this.#kinds = undefined
    if (this.#list !== undefined) return this.#list
    const list: string[] = []
    const { size } = this
    for (let index = 0; index < size; index++) list.push(this.nameAt(index), this.valueAt(index))
    this.#list = list
    this.#block = noBlock
    return list
  }
}

const noBlock = new FieldBlock('', [], 0)
/** The bit of {@link FieldBlock.present} that says that some name has an underscore. */
export const underscores: number = 1 << 31

// RFC 9110, 5.6.2 and 5.5: a token; visible characters, spaces and tabs between them, and obsolete text.
const token = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/
const fieldValue = /^(?:[\x21-\x7e\x80-\xff](?:[\t \x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/

/** Throws `XPS_INVALID_HEADER` for what cannot be sent as a header or trailer field. */
export function checkField(name: string, value: string): void {
  if (typeof name !== 'string' || !token.test(name)) {
    throw new XpsError('XPS_INVALID_HEADER', `'${String(name).slice(0, 40)}' is no name of a header field`)
  }
  if (!fieldValue.test(value)) {
    throw new XpsError('XPS_INVALID_HEADER', `the value of the header field '${name}' cannot be sent`)
  }
}

/** Throws `XPS_INVALID_HEADER` if some of the fields cannot be sent. */
export function checkFields(init: FieldsInit | undefined): void {
  new Fields(init)
}

function* pairsOf(init: FieldsInit): Generator<readonly [string, string]> {
  if (Symbol.iterator in init) {
    yield* init as Iterable<readonly [string, string]>
    return
  }
  for (const [name, value] of Object.entries(init)) {
    if (value === undefined) continue
    if (Array.isArray(value)) for (const one of value) yield [name, String(one)]
    else yield [name, String(value)]
  }
}

/** Without spaces and tabs around it; `trim` would take more, which then names another field, or says something else, than we think. */
export function withoutBlanks(word: string): string {
  return word.replace(/^[\t ]+|[\t ]+$/g, '')
}
