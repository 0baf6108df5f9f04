import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkField, Fields, known, knownNames } from '../../src/http/fields.ts'
import { defaultHeadLimits } from '../../src/http/http1/head-reader.ts'
import { knownField } from '../../src/http/http1/known-field.ts'
import { RequestReader } from '../../src/http/http1/request-reader.ts'

/** A list as a decoder makes it. */
function parsed(lines: readonly string[]): Fields {
  const head = Buffer.from(`GET / HTTP/1.0\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`, 'latin1')
  const reader = new RequestReader(defaultHeadLimits)
  expect(reader.read(head, 0)).toBe(head.length)
  return reader.head.headers
}

const pairs: [string, string][] = [
  ['Host', 'a.test'],
  ['Set-Cookie', 'a=b'],
  ['X-One', '1'],
  ['set-cookie', 'c=d'],
  ['X-Empty', ''],
]

/** The same fields, as a decoder and as a program gives them. */
const makers: Record<string, () => Fields> = {
  'that was parsed': () => parsed(pairs.map(([name, value]) => `${name}: ${value}`)),
  'of pairs': () => new Fields(pairs),
  'that is a copy': () => new Fields(parsed(pairs.map(([name, value]) => `${name}: ${value}`))),
  'that is a copy of pairs': () => new Fields(new Fields(pairs)),
  'of objects': () =>
    new Fields([...new Fields({ Host: 'a.test', 'Set-Cookie': 'a=b', 'X-One': 1 }), ...new Fields(pairs.slice(3))]),
}

describe.each(Object.entries(makers))('A list %s', (_name, make) => {
  it('keeps the order and the spelling', () => {
    const fields = make()
    expect([...fields]).toEqual(pairs)
    expect(fields.size).toBe(5)
  })

  it('finds fields in either case, and joins those of one name', () => {
    const fields = make()
    expect(fields.get('host')).toBe('a.test')
    expect(fields.get('HOST')).toBe('a.test')
    expect(fields.get('SET-cookie')).toBe('a=b, c=d')
    expect(fields.getAll('Set-Cookie')).toEqual(['a=b', 'c=d'])
    expect(fields.get('x-empty')).toBe('')
    expect(fields.getAll('x-empty')).toEqual([''])
    expect(fields.get('x-on')).toBeUndefined()
    expect(fields.get('x-one1')).toBeUndefined()
    expect(fields.getAll('x-two')).toEqual([])
    expect([fields.has('x-empty'), fields.has('X-ONE'), fields.has('x'), fields.has('')]).toEqual([
      true,
      true,
      false,
      false,
    ])
  })

  it('sets a field in its place, and takes others of the name away', () => {
    const fields = make().set('SET-COOKIE', 'e=f').set('x-two', 2).set('x-one', 'one')
    expect([...fields]).toEqual([
      ['Host', 'a.test'],
      ['Set-Cookie', 'e=f'],
      ['X-One', 'one'],
      ['X-Empty', ''],
      ['x-two', '2'],
    ])
  })

  it('appends a field behind the others', () => {
    expect([...make().append('host', 'b.test')]).toEqual([...pairs, ['host', 'b.test']])
  })

  it('deletes all fields of a name', () => {
    const fields = make()
    expect(fields.delete('SET-COOKIE')).toBe(true)
    expect(fields.delete('Set-Cookie')).toBe(false)
    expect(fields.delete('nothing')).toBe(false)
    expect([...fields]).toEqual(pairs.filter(([name]) => name.toLowerCase() !== 'set-cookie'))
    expect(fields.size).toBe(3)
  })

  it('becomes an object with names in lower case', () => {
    expect({ ...make().toObject() }).toEqual({
      host: 'a.test',
      'set-cookie': ['a=b', 'c=d'],
      'x-one': '1',
      'x-empty': '',
    })
  })

  it('is written as HTTP/1 has it, without what is dropped', () => {
    const fields = make()
    const text = (kept: [string, string][]): string => kept.map(([name, value]) => `${name}: ${value}\r\n`).join('')
    expect(fields.serialize(0)).toBe(text(pairs))
    expect(fields.serialize(1 << known.host)).toBe(text(pairs.slice(1)))
    expect(fields.serialize(0, new Set(['x-one', 'x-empty']))).toBe(
      text(pairs.filter(([name]) => !name.startsWith('X-'))),
    )
    expect(fields.serialize(1 << known.host, new Set(['set-cookie', 'x-one', 'x-empty']))).toBe('')
  })

  it('knows what is known of its names', () => {
    const fields = make()
    expect(pairs.map((_, index) => fields.kindAt(index))).toEqual([
      known.host,
      known['set-cookie'],
      0,
      known['set-cookie'],
      0,
    ])
  })

  it('changes without those that it was copied from or to', () => {
    const fields = make()
    const copy = new Fields(fields)
    copy.delete('host')
    fields.set('x-one', 'changed')
    expect(copy.has('host')).toBe(false)
    expect(copy.get('x-one')).toBe('1')
    expect(fields.get('host')).toBe('a.test')
    const third = new Fields(copy)
    third.append('a', 'b')
    expect(copy.has('a')).toBe(false)
  })
})

describe('A list', () => {
  it('is made of nothing, an object, pairs, a map, or fetch headers', () => {
    expect([...new Fields()]).toEqual([])
    expect(new Fields().serialize(0)).toBe('')
    expect([...new Fields({})]).toEqual([])
    expect([...new Fields({ A: 'b', C: 1, D: undefined, E: ['f', 'g'], H: [] })]).toEqual([
      ['A', 'b'],
      ['C', '1'],
      ['E', 'f'],
      ['E', 'g'],
    ])
    expect([...new Fields(new Map([['A', 'b']]))]).toEqual([['A', 'b']])
    expect([...new Fields(new Headers({ A: 'b' }))]).toEqual([['a', 'b']])
  })

  it('of a head without fields is empty, and can be added to', () => {
    const fields = parsed([])
    expect([fields.size, fields.serialize(0), fields.get('a')]).toEqual([0, '', undefined])
    expect(fields.append('A', 'b').serialize(0)).toBe('A: b\r\n')
  })

  it('has no name that an object has from elsewhere', () => {
    const object = parsed(['__proto__: a', 'constructor: b', 'toString: c', '__proto__: d']).toObject()
    expect(Object.getPrototypeOf(object)).toBeNull()
    expect(Object.entries(object)).toEqual([
      ['__proto__', ['a', 'd']],
      ['constructor', 'b'],
      ['tostring', 'c'],
    ])
    expect(parsed(['A: b']).get('__proto__')).toBeUndefined()
    const copied = new Fields(parsed(['constructor: b', 'hasOwnProperty: c']))
    copied.append('__proto__', 'd')
    expect([0, 1, 2].map((index) => copied.kindAt(index))).toEqual([0, 0, 0])
  })

  it('that was parsed is written as it was spelled', () => {
    const lines = ['a:b', 'C:   d\t e', 'Host: a.test', 'E:', 'F:  ']
    expect(parsed(lines).serialize(0)).toBe(lines.map((line) => `${line}\r\n`).join(''))
    expect(parsed(lines).serialize(1 << known.host, new Set(['e']))).toBe('a:b\r\nC:   d\t e\r\nF:  \r\n')
  })

  it('can be read while it is being changed', () => {
    const fields = parsed(['A: b', 'C: d', 'E: f'])
    const seen: string[] = []
    for (const [name] of fields) {
      seen.push(name)
      if (name === 'A') fields.append('G', 'h')
    }
    expect(seen).toEqual(['A', 'C', 'E', 'G'])
  })

  it.each([
    ['an empty name', '', 'a'],
    ['a name with a blank', 'a b', 'c'],
    ['a name with a colon', 'a:', 'c'],
    ['a name with a line end', 'a\r\nb', 'c'],
    ['a name with a line end behind it', 'a\n', 'c'],
    ['a name of 8 bits', 'ä', 'c'],
    ['a value with a line end', 'a', 'b\r\nc: d'],
    ['a value with LF', 'a', 'b\nc'],
    ['a value with CR', 'a', 'b\rc'],
    ['a value with LF behind it', 'a', 'b\n'],
    ['a value with NUL', 'a', 'b\0c'],
    ['a value with a control character', 'a', 'b\x7f'],
    ['a value with a blank before it', 'a', ' b'],
    ['a value with a tab behind it', 'a', 'b\t'],
    ['a value of a blank', 'a', ' '],
    ['a value beyond 8 bits', 'a', 'č'],
    ['a value that is LF when cut to 8 bits', 'a', 'b\u010ac'],
    ['a value with half of a surrogate pair', 'a', '\ud83d'],
  ])('takes no %s', (_what, name, value) => {
    const error = expect.objectContaining({ code: 'XPS_INVALID_HEADER' })
    expect(() => checkField(name, value)).toThrow(error)
    const fields = parsed(['a: 1'])
    expect(() => fields.set(name, value)).toThrow(error)
    expect(() => fields.append(name, value)).toThrow(error)
    expect(() => new Fields([[name, value]])).toThrow(error)
    expect([...fields]).toEqual([['a', '1']])
  })

  it('does the same, parsed or made, whatever is done with it', () => {
    const name = fc.constantFrom('Host', 'host', 'A', 'a', 'Via', 'X-B', 'Content-Length', 'TE')
    const value = fc.constantFrom('', '1', 'b c', 'd, e')
    const step = fc.oneof(
      fc.tuple(fc.constant('set' as const), name, value),
      fc.tuple(fc.constant('append' as const), name, value),
      fc.tuple(fc.constant('delete' as const), name, value),
    )
    const head = fc.array(fc.tuple(name, value), { maxLength: 8 }).filter(
      // What a reader would refuse.
      (list) =>
        list.filter(([one]) => /host/i.test(one)).length <= 1 &&
        list.every(([one, given]) => !/content|host/i.test(one) || given === '1') &&
        list.filter(([one]) => /content/i.test(one)).length <= 1,
    )
    fc.assert(
      fc.property(
        head,
        fc.array(step, { maxLength: 6 }),
        fc.nat(0xffffe),
        fc.subarray(['a', 'x-b']),
        (list, steps, drop, names) => {
          const one = parsed(list.map(([key, given]) => `${key}: ${given}`))
          const other = new Fields(list)
          // A plain list of pairs says what should come out.
          let plain = list.map(([key, given]): [string, string] => [key, given])
          const same = (key: string) => (pair: [string, string]) => pair[0].toLowerCase() === key.toLowerCase()
          const check = (): void => {
            for (const fields of [one, other]) {
              expect([...fields]).toEqual(plain)
              expect(fields.size).toBe(plain.length)
              for (const key of ['host', 'A', 'x-b', 'nothing']) {
                const values = plain.filter(same(key)).map(([, given]) => given)
                expect(fields.getAll(key)).toEqual(values)
                expect(fields.get(key)).toBe(values.length === 0 ? undefined : values.join(', '))
                expect(fields.has(key)).toBe(values.length > 0)
              }
              const kept = plain.filter(([key]) => {
                const kind = (knownNames as readonly string[]).indexOf(key.toLowerCase())
                return !(kind > 0 && ((drop >>> kind) & 1) === 1) && !names.includes(key.toLowerCase())
              })
              expect(fields.serialize(drop & ~1, new Set(names))).toBe(
                kept.map(([key, given]) => `${key}: ${given}\r\n`).join(''),
              )
            }
          }
          check()
          for (const [what, key, given] of steps) {
            if (what === 'append') plain = [...plain, [key, given]]
            else if (what === 'delete') plain = plain.filter((pair) => !same(key)(pair))
            else {
              const first = plain.findIndex(same(key))
              if (first < 0) plain = [...plain, [key, given]]
              else {
                plain = plain
                  .map((pair, index): [string, string] => (index === first ? [pair[0], given] : pair))
                  .filter((pair, index) => index === first || !same(key)(pair))
              }
            }
            for (const fields of [one, other]) fields[what](key, given)
            check()
          }
        },
      ),
      { numRuns: 200 },
    )
  })
})

describe('The number of a known name', () => {
  const kindOf = (name: string): number => knownField(Buffer.from(`  ${name}: `, 'latin1'), 2, 2 + name.length)

  it('is its place in the list, in either case', () => {
    expect(knownNames.length).toBeLessThanOrEqual(32)
    for (const [index, name] of knownNames.entries()) {
      if (name === '') continue
      expect(known[name]).toBe(index)
      expect([kindOf(name), kindOf(name.toUpperCase()), kindOf(name.replace(/^./, (c) => c.toUpperCase()))]).toEqual([
        index,
        index,
        index,
      ])
    }
  })

  it('is 0 for every other name', () => {
    for (const name of [
      '',
      'a',
      'hos',
      'hosts',
      'x-content-length',
      'content_length',
      'a-very-long-name-that-nobody-knows',
    ]) {
      expect(kindOf(name)).toBe(0)
    }
    // Any byte in the place of one of a known name, but for the other case of its letter.
    for (const name of knownNames) {
      for (let at = 0; at < name.length; at++) {
        for (let code = 0; code < 256; code++) {
          const other = name.slice(0, at) + String.fromCharCode(code) + name.slice(at + 1)
          const letter = String.fromCharCode(code)
          const isSame = /^[A-Za-z-]$/.test(letter) && letter.toLowerCase() === name[at]
          const kind = kindOf(other)
          if ((kind === known[name as keyof typeof known]) !== isSame) expect([name, at, code, kind]).toEqual(isSame)
        }
      }
    }
  })
})
