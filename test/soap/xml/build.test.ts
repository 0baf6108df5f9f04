import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isXpsError } from '../../../src/errors.ts'
import { xml } from '../../../src/soap/xml/build.ts'
import type { XmlElement } from '../../../src/soap/xml/element.ts'
import { readXml } from '../../../src/soap/xml/reader.ts'

describe('XML, built', () => {
  it('is written with its namespaces, once each', () => {
    const order = xml('urn:o', 'Order', {
      symbol: 'A&B',
      lines: [{ n: 1 }, { n: 2 }],
      note: undefined,
      tag: xml('urn:t', 'T'),
    })
    expect(order.toString()).toBe(
      '<Order xmlns="urn:o"><symbol>A&amp;B</symbol><lines><n>1</n></lines><lines><n>2</n></lines><tag><T xmlns="urn:t"/></tag></Order>',
    )
    expect(xml('', 'a', xml('urn:b', 'b', xml('', 'c'))).toString()).toBe('<a><b xmlns="urn:b"><c xmlns=""/></b></a>')
  })

  it('writes values as XML Schema does', () => {
    const values = [1.5, Number.NaN, Number.POSITIVE_INFINITY, 12n, true, new Date(0), Buffer.from('hé')] as const
    expect(values.map((value) => xml('', 'v', value).text)).toEqual([
      '1.5',
      'NaN',
      'INF',
      '12',
      'true',
      '1970-01-01T00:00:00.000Z',
      'aMOp',
    ])
  })

  it('writes attributes, with a prefix where they have a namespace', () => {
    const element = xml('urn:a', 'a', 'x', { b: 'say "<&>"\n', '{urn:c}d': 1, '{urn:c}e': 2, f: undefined })
    expect(element.toString()).toBe(
      '<a xmlns="urn:a" b="say &quot;&lt;&amp;>&quot;&#10;" xmlns:n1="urn:c" n1:d="1" n1:e="2">x</a>',
    )
    expect(readXml(element.toString()).attribute('e', 'urn:c')).toBe('2')
  })

  it.each([
    ['a name with a colon', () => xml('u', 'a:b')],
    ['a name with a space', () => xml('u', 'a b')],
    ['an empty name', () => xml('u', '')],
    ['a name of an attribute that is none', () => xml('u', 'a', '', { '1': 2 })],
    ['a control character', () => xml('u', 'a', '\u0000').toString()],
    ['half a character', () => xml('u', 'a', '\ud83d').toString()],
    ['a function', () => xml('u', 'a', (() => {}) as unknown as string).toString()],
    ['a date that is none', () => xml('u', 'a', new Date(Number.NaN))],
  ])('refuses %s', (_what, build) => {
    expect(build).toThrow(expect.toSatisfy((error: unknown) => isXpsError(error, 'XPS_INVALID_OPTION')))
  })

  it('is read back as it was', () => {
    const name = fc.stringMatching(/^[A-Za-z_][\w.-]{0,6}$/)
    const text = fc
      .string({ unit: 'grapheme', maxLength: 12 })
      .filter((one) => !/[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u.test(one))
    const namespace = fc.constantFrom('', 'urn:a', 'urn:b&"')
    const { element } = fc.letrec<{ element: XmlElement }>((tie) => ({
      element: fc
        .tuple(
          namespace,
          name,
          fc.oneof({ depthSize: 'small', withCrossShrink: true }, text, fc.array(tie('element'), { maxLength: 3 })),
          fc.dictionary(name, text, { maxKeys: 3 }),
        )
        .map(([ns, label, content, attributes]) => xml(ns, label, content as string, attributes)),
    }))
    fc.assert(
      fc.property(element, (built) => {
        expect(readXml(built.toString()).toString()).toBe(built.toString())
      }),
      { numRuns: 200 },
    )
  })

  it('keeps prefixes that values may use, wherever an element is moved to', () => {
    const root = readXml('<r xmlns:x="urn:xsi" xmlns:t="urn:t"><v x:type="t:Thing">1</v></r>')
    const moved = readXml(xml('', 'w', root.child('v') as XmlElement).toString()).child('v')
    expect(moved?.attribute('type', 'urn:xsi')).toBe('t:Thing')
    expect(moved?.resolve('t')).toBe('urn:t')
    const path = readXml('<r xmlns:p="urn:p" xmlns:q="urn:q"><v><in>/p:a[@q:b]</in></v></r>').child('v')
    expect(String(path)).toBe('<v xmlns:p="urn:p" xmlns:q="urn:q"><in>/p:a[@q:b]</in></v>')
  })

  it('takes no prefixes along that its values do not use, so that what is small stays so', () => {
    const declared = Array.from({ length: 500 }, (_, index) => `xmlns:p${index}="urn:${'x'.repeat(1_000)}${index}"`)
    const root = readXml(`<r ${declared.join(' ')}>${'<v>http://a:80/</v>'.repeat(1_000)}</r>`)
    const moved = xml('', 'w', root.elements)
    expect(moved.toString().length).toBe('<w></w>'.length + 1_000 * '<v>http://a:80/</v>'.length)
  })
})

describe('XML, as values', () => {
  const order = readXml(
    '<o><s> a </s><n>-1.5e2</n><i>12</i><b>1</b><d>2026-01-02T03:04:05Z</d><x>aMOp</x><l>1</l><l>2</l><e a="1">t</e></o>',
  )

  it('is read by name and type', () => {
    expect(order.string('s')).toBe(' a ')
    expect(order.number('n')).toBe(-150)
    expect(order.integer('i')).toBe(12)
    expect(order.boolean('b')).toBe(true)
    expect(order.date('d').getTime()).toBe(Date.UTC(2026, 0, 2, 3, 4, 5))
    expect(Buffer.from(order.bytes('x')).toString()).toBe('hé')
    expect(order.all('l').map(({ text }) => text)).toEqual(['1', '2'])
    expect(order.number('none', 7)).toBe(7)
  })

  it('throws for what is not there or is something else', () => {
    const reads = [
      () => order.string('none'),
      () => order.number('s'),
      () => order.integer('n'),
      () => order.boolean('i'),
      () => order.date('s'),
      () => order.bytes('s'),
    ]
    for (const read of reads)
      expect(read).toThrow(expect.toSatisfy((error: unknown) => isXpsError(error, 'XPS_PROTOCOL')))
  })

  it('is a plain value for schemas, without a prototype', () => {
    expect(JSON.parse(JSON.stringify(order.toValue()))).toEqual({
      s: ' a ',
      n: '-1.5e2',
      i: '12',
      b: '1',
      d: '2026-01-02T03:04:05Z',
      x: 'aMOp',
      l: ['1', '2'],
      e: { '@a': '1', '#text': 't' },
    })
    const value = readXml('<o><__proto__><a>1</a></__proto__></o>').toValue() as Record<string, unknown>
    expect(Object.keys(value)).toEqual(['__proto__'])
    expect(({} as Record<string, unknown>)['a']).toBeUndefined()
  })
})
