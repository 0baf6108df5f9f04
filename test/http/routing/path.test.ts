import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalText, isPlain, pathBelow, readPath } from '../../../src/http/routing/path.ts'

describe('readPath', () => {
  it.each([
    ['/', '/', '/'],
    ['//', '/', '/'],
    ['/a/./b', '/a/b', '/a/b'],
    ['/a/../b', '/b', '/b'],
    ['/a/..', '/', '/'],
    ['/a/b/..', '/a/', '/a/'],
    ['/a/.', '/a/', '/a/'],
    ['/../../a', '/a', '/a'],
    ['/a/%2e%2E/b', '/b', '/b'],
    ['/a/.%2e/b', '/b', '/b'],
    ['/a/%2e/b', '/a/b', '/a/b'],
    ['/.well-known/x', '/.well-known/x', '/.well-known/x'],
    ['/...', '/...', '/...'],
    ['/a//b', '/a/b', '/a//b'],
    ['/a//../b', '/a/b', '/a/b'],
    ['//a', '/a', '/a'],
    ['/x/..//a', '/a', '/a'],
    ['/%61pi', '/api', '/%61pi'],
    ['/caf%c3%a9', '/caf%C3%A9', '/caf%c3%a9'],
    ['/%24', '/$', '/%24'],
    ['/a%2fb', '/a/b', '/a%2fb'],
    ['/a%2F%2Fb', '/a/b', '/a%2F%2Fb'],
    ['/a%5Cb', '/a/b', '/a%5Cb'],
    ['/a\\b', '/a/b', '/a\\b'],
    ['/%252e%252e/a', '/%252e%252e/a', '/%252e%252e/a'],
    ['/%25', '/%25', '/%25'],
    ['/%zz%', '/%zz%', '/%zz%'],
    ['/%3fx', '/%3Fx', '/%3fx'],
    ['/%00', '/%00', '/%00'],
    ['*', '*', '*'],
  ])('reads %s as %s and forwards %s', (given, match, forward) => {
    expect(readPath(given)).toMatchObject({ match, forward })
  })

  it.each([
    '/public/..%2fadmin',
    '/public/%2e%2e%2Fadmin',
    '/public/x%2f..',
    '/public/x%2f..%2fadmin',
    '/public/.%2fadmin',
    '/public/..%5cadmin',
    '/public/..\\admin',
    '/public/..;/admin',
    '/public/..;x=1/admin',
    '/public/.;/admin',
    '/public/%2e%2e;/admin',
    '/public/x%2F..;a',
  ])('refuses %s, which servers read in two ways', (path) => {
    expect(() => readPath(path)).toThrow(expect.objectContaining({ code: 'XPS_BAD_REQUEST', status: 400 }))
  })

  it('keeps an encoded slash in its segment where parameters are cut', () => {
    expect(readPath('/projects/group%2Fname').data).toBe('/projects/group%2Fname')
  })

  it('leaves nothing to resolve in what it returns, and is the same when read again', () => {
    const piece = fc.constantFrom(
      '/',
      '//',
      '.',
      '..',
      '%2e',
      '%2E',
      'a',
      'b',
      '%61',
      '%2f',
      '%5c',
      ';',
      '%25',
      '%',
      'é',
      '\\',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
        const path = `/${pieces.join('')}`
        let read: ReturnType<typeof readPath>
        try {
          read = readPath(path)
        } catch {
          return
        }
        for (const text of [read.match, read.data, read.forward]) {
          // The one thing that everybody behind us does: decode, and resolve. It must lead nowhere else.
          const decoded = text.replace(/%2e/gi, '.')
          expect(decoded).not.toMatch(/(?:^|[/\\]|%2f|%5c)\.\.?(?:;[^/]*)?(?:$|[/\\]|%2f|%5c)/i)
          expect(text.startsWith('//')).toBe(false)
          expect(text.startsWith('/')).toBe(true)
        }
        expect(readPath(read.forward)).toEqual(read)
        expect(read.match).not.toContain('//')
        if (isPlain(path)) expect(read).toEqual({ match: path, data: path, forward: path })
      }),
      { numRuns: 2_000 },
    )
  })

  it('resolves plain dot segments as the URL parser of browsers does', () => {
    const segment = fc.constantFrom('.', '..', 'a', 'b', '%2e', '%2E%2e', '.%2E', 'c.d', '...')
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 8 }), fc.boolean(), (segments, slash) => {
        const path = `/${segments.join('/')}${slash ? '/' : ''}`
        expect(readPath(path).forward).toBe(new URL(path, 'http://app.test').pathname)
      }),
      { numRuns: 500 },
    )
  })
})

describe('canonicalText', () => {
  it('gives every spelling of a text one spelling, which decodes to the same', () => {
    const byte = fc.integer({ min: 0x21, max: 0x7e })
    fc.assert(
      fc.property(fc.array(fc.tuple(byte, fc.boolean())), (all) => {
        const bytes = all.filter(([code]) => code !== 0x2f)
        const spelled = bytes
          .map(([code, escaped]) =>
            escaped || code === 0x25 ? `%${code.toString(16).padStart(2, '0')}` : String.fromCharCode(code),
          )
          .join('')
        const escaped = bytes.map(([code]) => `%${code.toString(16).toUpperCase().padStart(2, '0')}`).join('')
        expect(decodeURIComponent(canonicalText(spelled))).toBe(decodeURIComponent(spelled))
        // '?' and '#' cannot stand in a path, so their two spellings never meet.
        if (!/[?#]/.test(spelled)) expect(canonicalText(spelled)).toBe(canonicalText(escaped))
        expect(canonicalText(canonicalText(spelled))).toBe(canonicalText(spelled))
      }),
      { numRuns: 500 },
    )
  })
})

describe('pathBelow', () => {
  it.each([
    ['/api/x', '/api', '/x'],
    ['/api', '/api', '/'],
    ['/api/', '/api', '/'],
    ['/api2', '/api', '/api2'],
    ['/other', '/api', '/other'],
    ['/a/b/c', '/a/b', '/c'],
    ['/x', '', '/x'],
    ['*', '/api', '*'],
    ['/%61pi/x%20y', '/api', '/x%20y'],
    ['/api//x//y', '/api', '/x//y'],
    ['/a//b/c', '/a/b', '/c'],
    ['/a%2Fb%2fc/d', '/a/b', '/c/d'],
    ['/api%2F', '/api', '/'],
    ['/api%2f%2fx', '/api', '/%2fx'],
    ['/%61p', '/api', '/%61p'],
  ])('of %s has, below %s, %s', (path, prefix, rest) => {
    expect(pathBelow(path, prefix)).toBe(rest)
  })
})
