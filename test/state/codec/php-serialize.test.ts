import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  PhpValue,
  readPhpArray,
  type StateData,
  type StateValue,
  writePhpArray,
} from '../../../src/state/codec/php-serialize.ts'
import { busy } from '../../support/busy.ts'
import { fuzzing } from '../../support/fuzzing.ts'

const anyBytes = fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('latin1'))
const key = fc.oneof(anyBytes, fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n }).map(String))
const flat: fc.Arbitrary<StateValue> = fc.oneof(
  anyBytes,
  fc.constantFrom('N;', 'b:0;', 'b:1;', 'd:0.1;', 'd:-INF;', 'd:NAN;', 'd:1.0E+25;').map((text) => new PhpValue(text)),
  fc.integer().map((number) => new PhpValue(`i:${number};`)),
)
const dataOf = (value: fc.Arbitrary<StateValue>): fc.Arbitrary<StateData> =>
  fc.array(fc.tuple(key, value), { maxLength: 6 }).map((entries) => new Map(entries))
const nested = dataOf(flat).map((data): StateValue => new PhpValue(writePhpArray(data)))

const read = (text: string): StateData | undefined => {
  const array = readPhpArray(text)
  return array?.end === text.length ? array.data : undefined
}

describe('PHP serialize', () => {
  it('is written as PHP writes it: keys like numbers are numbers', () => {
    const data = new Map([
      ['1', 'x'],
      ['01', 'y'],
      ['-5', ''],
      ['-0', 'caf\u00c3\u00a9'],
      ['9223372036854775807', 'a'],
      ['9223372036854775808', 'b'],
    ])
    const text =
      'a:6:{i:1;s:1:"x";s:2:"01";s:1:"y";i:-5;s:0:"";s:2:"-0";s:5:"caf\u00c3\u00a9";' +
      'i:9223372036854775807;s:1:"a";s:19:"9223372036854775808";s:1:"b";}'
    expect(writePhpArray(data)).toBe(text)
    expect(read(text)).toEqual(data)
    expect(writePhpArray(new Map())).toBe('a:0:{}')
  })

  it('comes back as it was, whatever the keys and values', () => {
    fc.assert(
      fc.property(dataOf(fc.oneof(flat, nested)), (data) => {
        expect([...(read(writePhpArray(data)) ?? [])]).toEqual([...data])
      }),
      { numRuns: 200 },
    )
  })

  it('knows what PHP makes of a value where it wants a string', () => {
    const data = read('a:7:{i:0;N;i:1;b:1;i:2;b:0;i:3;i:-7;i:4;d:1.5;i:5;s:1:"s";i:6;a:0:{}}')
    const texts = [...(data?.values() ?? [])].map((value) => (typeof value === 'string' ? value : value.text))
    expect(texts).toEqual(['', '1', '', '-7', '1.5', 's', undefined])
  })

  it('writes numbers as PHP would, however they came', () => {
    expect(read('a:1:{i:+07;i:-0;}')).toEqual(new Map([['7', new PhpValue('i:0;')]]))
  })

  it('takes a length that only fits as a count of characters for that', () => {
    expect(read('a:1:{s:1:"u";s:4:"caf\u00c3\u00a9";}')).toEqual(new Map([['u', 'caf\u00c3\u00a9']]))
    expect(read('a:1:{s:1:"u";s:5:"caf\u00c3\u00a9";}')).toEqual(new Map([['u', 'caf\u00c3\u00a9']]))
    expect(read('a:1:{s:1:"u";s:3:"caf\u00c3\u00a9";}')).toBeUndefined()
  })

  it('keeps a nested array whose lengths count characters, in bytes', () => {
    const nestedValue = read('a:1:{s:1:"a";a:1:{i:0;s:4:"caf\u00c3\u00a9";}}')?.get('a')
    expect(nestedValue).toEqual(new PhpValue('a:1:{i:0;s:5:"caf\u00c3\u00a9";}'))
  })

  it('is not read where it holds an object, a reference, or anything that is not whole', () => {
    const refused = [
      '', 'garbage', 'a:0:{', 'a:-1:{}', 'a:1:{}', 'a:0:{}}', 'i:1;', 's:1:"a";', 'a:1:{s:1:"a"}', 'a:1:{s:9:"a";i:1;}',
      'O:8:"stdClass":0:{}', 'a:1:{i:0;O:8:"stdClass":0:{}}', 'a:1:{i:0;C:3:"Foo":0:{}}', 'a:2:{i:0;i:1;i:1;R:2;}',
      'a:2:{i:0;i:1;i:1;r:2;}', 'a:1:{i:0;E:3:"A:B";}', 'a:1:{N;i:1;}', 'a:1:{i:0;i:99999999999999999999;}',
      'a:1:{i:0;d:1,5;}', 'a:1:{i:0;d:0x1;}', 'a:1:{i:0;b:2;}', 'a:1:{b:1;i:1;}', 'a:1000000000:{}', 'a:1:{s:1000000000:"a";i:1;}',
    ] // biome-ignore format: one list
    for (const text of refused) expect(read(text), text).toBeUndefined()
  })

  it('bounds depth and count before anything is made', () => {
    const deep = (levels: number): string => `${'a:1:{i:0;'.repeat(levels)}N;${'}'.repeat(levels)}`
    expect(readPhpArray(deep(32))).toBeDefined()
    expect(readPhpArray(deep(33))).toBeUndefined()
    expect(readPhpArray(deep(50_000))).toBeUndefined()
    const wide = writePhpArray(new Map(Array.from({ length: 11 }, (_, index) => [`k${index}`, ''])))
    expect(readPhpArray(wide, { items: 11 })?.data.size).toBe(11)
    expect(readPhpArray(wide, { items: 10 })).toBeUndefined()
  })

  const random = fuzzing(1_000)
  it(`reads or refuses what is nearly right, and never throws (seed ${random.seed})`, {
    timeout: random.timeout,
  }, () => {
    const piece = fc.constantFrom('a:1:{', 'a:2:{', 'i:1;', 's:1:"a";', 's:2:"', '";', 'N;', 'b:1;', 'd:1;', '}', 'O:1:"a":', '\u00e9') // biome-ignore format: one list
    const pieced = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''))
    const change = fc.tuple(
      fc.nat(),
      fc.nat(3),
      fc.oneof(piece, fc.constantFrom(...'0123456789:;"{}-+.aisbdNORrCE\0\u00ff')),
    )
    const spoilt = fc
      .tuple(dataOf(fc.oneof(flat, nested)), fc.array(change, { minLength: 1, maxLength: 3 }))
      .map(([data, changes]) => changes.reduce(spoil, writePhpArray(data)))
    fc.assert(
      fc.property(fc.oneof(pieced, spoilt), (text) => {
        const data = read(text)
        if (data !== undefined) expect([...(read(writePhpArray(data)) ?? [])]).toEqual([...data])
      }),
      random.parameters as fc.Parameters<[string]>,
    )
  })

  it('takes a time that grows with the length, whatever is in it', () => {
    for (const text of [
      'a:1:{i:0;'.repeat(100_000),
      `a:1:{s:500000:"${'\u00c3'.repeat(900_000)}`,
      `a:1:{i:${'1'.repeat(900_000)};}`,
    ]) {
      expect(busy(() => expect(readPhpArray(text)).toBeUndefined())).toBeLessThan(500)
    }
  })
})

/** Puts something in the place of a few bytes. */
function spoil(text: string, [place, length, put]: [place: number, length: number, put: string]): string {
  const at = place % (text.length + 1)
  return text.slice(0, at) + put + text.slice(at + length)
}
