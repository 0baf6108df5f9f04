import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Rejection } from '../../../src/soap/rejection.ts'
import { defaultXmlLimits, readXml, type XmlLimits, XmlReader } from '../../../src/soap/xml/reader.ts'

function refusal(text: string, limits: XmlLimits = defaultXmlLimits): string | undefined {
  try {
    readXml(text, limits)
    return undefined
  } catch (error) {
    if (error instanceof Rejection) return error.reason
    throw error
  }
}

describe('XML, read', () => {
  it('is a tree with names in their namespaces', () => {
    const root = readXml(
      '<?xml version="1.0" encoding="UTF-8"?><a:x xmlns:a="urn:a" xmlns="urn:d" a:i="1" j="2"><y/></a:x>',
    )
    expect([root.namespace, root.name]).toEqual(['urn:a', 'x'])
    expect(root.attributes).toEqual([
      { namespace: 'urn:a', name: 'i', value: '1' },
      { namespace: '', name: 'j', value: '2' },
    ])
    expect(root.attribute('i', 'urn:a')).toBe('1')
    expect(root.child('y')?.namespace).toBe('urn:d')
    expect(root.child('y')?.resolve('a')).toBe('urn:a')
    expect(root.child('y')?.resolve('b')).toBeUndefined()
  })

  it('joins text, CDATA and references, and leaves comments out', () => {
    expect(readXml('<x> a&lt;&#228;<!-- c --><![CDATA[<&]]> </x>').text).toBe(' a<ä<& ')
    expect(readXml('<x>\n <y/>\n <z> </z>\n</x>').children.length).toBe(2)
    expect(readXml('<x>\n <z> </z>\n</x>').string('z')).toBe(' ')
    expect(readXml('<x>one<y/>two</x>').text).toBe('onetwo')
  })

  it.each([
    ['a document type', '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'],
    ['a document type without a root', '<!DOCTYPE x>'],
    ['a processing instruction', '<x><?php echo ?></x>'],
    ['a style sheet before the root', '<?xml-stylesheet href="a"?><x/>'],
    ['an entity that is not one of the five', '<x>&nbsp;</x>'],
    ['tags that do not match', '<x><y></x></y>'],
    ['a tag that is not closed', '<x><y>'],
    ['two roots', '<x/><y/>'],
    ['text beside the root', '<x/>y'],
    ['nothing', ''],
    ['an attribute twice', '<x a="1" a="2"/>'],
    ['an attribute twice, by two prefixes', '<x xmlns:a="u" xmlns:b="u" a:i="1" b:i="2"/>'],
    ['a prefix that is not bound', '<a:x/>'],
    ['a prefix of an attribute that is not bound', '<x a:b="1"/>'],
    ['a control character', '<x>\u0001</x>'],
    ['a reference to a control character', '<x>&#0;</x>'],
    ['an attribute without quotes', '<x a=1/>'],
    ['a < in an attribute', '<x a="<"/>'],
    ['another encoding', '<?xml version="1.0" encoding="ISO-8859-1"?><x/>'],
  ])('refuses %s', (_what, text) => {
    expect(refusal(text)).toBe('xml')
  })

  it('reads what is at its limits, and refuses one more', () => {
    const limits = { depth: 3, attributes: 2, nodes: 4, text: 5 }
    const fits = ['<a><b><c/></b></a>', '<a b="1" c="2"/>', '<a><b>1</b><c/></a>', '<a>12345</a>', '<a b="12345"/>']
    const breaks = [
      '<a><b><c><d/></c></b></a>',
      '<a b="1" c="2" d="3"/>',
      '<a><b>1</b><c/><d/></a>',
      '<a>123456</a>',
      '<a b="123456"/>',
    ]
    for (const text of fits) expect(refusal(text, limits)).toBeUndefined()
    for (const text of breaks) expect(refusal(text, limits)).toBe('too-large')
  })

  it('refuses bombs in a moment', () => {
    const bombs = [
      '<a>'.repeat(100_000),
      `<a ${Array.from({ length: 50_000 }, (_, index) => `b${index}="1"`).join(' ')}/>`,
      `<!DOCTYPE a [<!ENTITY b "${'c'.repeat(10_000)}">]><a>${'&b;'.repeat(20_000)}</a>`,
      `<${'n'.repeat(1_000_000)}/>`,
      `<a xmlns:${'p'.repeat(2_000)}="u"/>`,
    ]
    for (const bomb of bombs) {
      // The best of several, and time on a processor only: others may have it in between.
      const times = [1, 2, 3, 4, 5].map(() => {
        const before = process.cpuUsage()
        expect(refusal(bomb)).toMatch(/xml|too-large/)
        const { user, system } = process.cpuUsage(before)
        return (user + system) / 1_000
      })
      expect(Math.min(...times)).toBeLessThan(100)
    }
  })

  it('refuses more elements than it keeps, when it has seen so many', () => {
    expect(refusal(`<a>${'<b/>'.repeat(200_000)}</a>`)).toBe('too-large')
  })

  it('reads on with another reader after one has thrown', () => {
    for (let count = 0; count < 40; count++) {
      expect(refusal('<a><b c="1"')).toBe('xml')
      expect(readXml('<a> <b/></a>').elements.length).toBe(1)
    }
  })

  it('reads the same in pieces', () => {
    const text = '<a:x xmlns:a="urn:a" b="&amp;1">\r\n <y>t&#x20AC;xt😀<![CDATA[ & ]]></y><!-- c --><z/></a:x>'
    const whole = readXml(text).toString()
    fc.assert(
      fc.property(fc.array(fc.nat(text.length), { maxLength: 8 }), (cuts) => {
        const places = [0, ...cuts.sort((a, b) => a - b), text.length]
        const reader = XmlReader.take(defaultXmlLimits, 'utf-8')
        for (let index = 1; index < places.length; index++) reader.write(text.slice(places[index - 1], places[index]))
        expect(reader.end().toString()).toBe(whole)
      }),
      { numRuns: 100 },
    )
  })
})
