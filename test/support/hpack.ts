import { huffmanDecode, huffmanEncode } from './huffman.ts'

/** A field line: its name and its value, one character per byte. */
export type Field = readonly [name: string, value: string]

/** The table of RFC 7541 appendix A; the first entry has index 1. */
export const staticTable: readonly Field[] = `:authority|:method GET|:method POST|:path /|:path /index.html|:scheme http
:scheme https|:status 200|:status 204|:status 206|:status 304|:status 400|:status 404|:status 500|accept-charset
accept-encoding gzip, deflate|accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|authorization
cache-control|content-disposition|content-encoding|content-language|content-length|content-location|content-range
content-type|cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range
if-unmodified-since|last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh
retry-after|server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate`
  .split(/[|\n]/)
  .map((entry): Field => {
    const space = entry.indexOf(' ')
    return space < 0 ? [entry, ''] : [entry.slice(0, space), entry.slice(space + 1)]
  })

/** An integer after the bits of `first` (RFC 7541 5.1). */
export function integer(value: number, prefix: number, first = 0): Buffer {
  const most = 2 ** prefix - 1
  if (value < most) return Buffer.from([first | value])
  const bytes = [first | most]
  let rest = value - most
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80)
  bytes.push(rest)
  return Buffer.from(bytes)
}

/** A string (RFC 7541 5.2), plain or in the Huffman code. */
export function string(text: string | Uint8Array, huffman = false): Buffer {
  const bytes = typeof text === 'string' ? Buffer.from(text, 'latin1') : text
  const coded = huffman ? huffmanEncode(bytes) : bytes
  return Buffer.concat([integer(coded.length, 7, huffman ? 0x80 : 0), coded])
}

/** A field that stands in a table (RFC 7541 6.1). */
export function indexed(index: number): Buffer {
  return integer(index, 7, 0x80)
}

/** How a literal is marked: added to the dynamic table, not added, or never to be. */
export type Indexing = 'incremental' | 'without' | 'never'

const patterns = { incremental: [6, 0x40], without: [4, 0], never: [4, 0x10] } as const

/** A literal field (RFC 7541 6.2), its name in letters or by its index. */
export function literal(name: string | number, value: string, indexing: Indexing = 'without', huffman = false): Buffer {
  const [prefix, first] = patterns[indexing]
  if (typeof name === 'number') return Buffer.concat([integer(name, prefix, first), string(value, huffman)])
  return Buffer.concat([Buffer.from([first]), string(name, huffman), string(value, huffman)])
}

/** A change of the dynamic table's size (RFC 7541 6.3). */
export function tableSize(size: number): Buffer {
  return integer(size, 5, 0x20)
}

/** A block of fields that leaves no trace in the dynamic table: whole static entries, else literals. */
export function encodeFields(fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.map(([name, value]) => {
      const index = value === '' ? -1 : staticTable.findIndex((entry) => entry[0] === name && entry[1] === value)
      return index < 0 ? literal(name, value) : indexed(index + 1)
    }),
  )
}

/** Reads blocks of fields, with Huffman strings and a dynamic table; throws at what RFC 7541 forbids. */
export class HpackDecoder {
  /** What our SETTINGS_HEADER_TABLE_SIZE allows the other side. */
  limit = 4096
  #size = 4096
  #used = 0
  #table: Field[] = []
  #bytes: Uint8Array = new Uint8Array()
  #at = 0

  decode(block: Uint8Array): Field[] {
    this.#bytes = block
    this.#at = 0
    const fields: Field[] = []
    while (this.#at < block.length) {
      const first = block[this.#at] ?? 0
      if (first >= 0x80) fields.push(this.#entry(this.#integer(7)))
      else if (first >= 0x40) fields.push(this.#add(this.#literal(6)))
      else if (first >= 0x20) {
        if (fields.length > 0) throw new Error('the size of the table changes in the middle of a block')
        this.#resize(this.#integer(5))
      } else fields.push(this.#literal(4))
    }
    return fields
  }

  #integer(prefix: number): number {
    const most = 2 ** prefix - 1
    let value = this.#byte() & most
    if (value < most) return value
    for (let weight = 1; ; weight *= 128) {
      if (weight > 2 ** 28) throw new Error('an integer is too long')
      const byte = this.#byte()
      value += (byte & 0x7f) * weight
      if (byte < 0x80) return value
    }
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++]
    if (byte === undefined) throw new Error('a block ends in the middle')
    return byte
  }

  #literal(prefix: number): Field {
    const index = this.#integer(prefix)
    const name = index === 0 ? this.#string() : this.#entry(index)[0]
    return [name, this.#string()]
  }

  #string(): string {
    const huffman = (this.#bytes[this.#at] ?? 0) >= 0x80
    const length = this.#integer(7)
    if (this.#at + length > this.#bytes.length) throw new Error('a string is longer than its block')
    const bytes = Buffer.from(this.#bytes.subarray(this.#at, this.#at + length))
    this.#at += length
    return (huffman ? huffmanDecode(bytes) : bytes).toString('latin1')
  }

  #entry(index: number): Field {
    const entry = index <= staticTable.length ? staticTable[index - 1] : this.#table[index - staticTable.length - 1]
    if (entry === undefined) throw new Error(`no entry ${index}`)
    return entry
  }

  #add(field: Field): Field {
    this.#table.unshift(field)
    this.#used += 32 + field[0].length + field[1].length
    this.#evict()
    return field
  }

  #resize(size: number): void {
    if (size > this.limit) throw new Error(`a table of ${size} is larger than the ${this.limit} that we allow`)
    this.#size = size
    this.#evict()
  }

  #evict(): void {
    while (this.#used > this.#size) {
      const [name, value] = this.#table.pop() ?? ['', '']
      this.#used -= 32 + name.length + value.length
    }
  }
}
