import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { XpsError } from '../../../src/errors.ts'
import { encodePath, readPath } from '../../../src/http/static/request-path.ts'

/** The status of what is thrown. */
function refused(raw: string, dotfiles = false, windows = false): number | undefined {
  try {
    readPath(raw, dotfiles, windows)
    return undefined
  } catch (error) {
    if (!(error instanceof XpsError)) throw error
    return error.status
  }
}

describe('readPath', () => {
  it.each([
    ['/', '', true],
    ['', '', false],
    ['/a', 'a', false],
    ['/a/', 'a', true],
    ['/a/b.txt', 'a/b.txt', false],
    ['/a%20b', 'a b', false],
    ['/%C3%A9t%C3%A9.html', 'été.html', false],
    ['/%F0%9F%98%80', '😀', false],
    ['/100%25', '100%', false],
    ['/a+b', 'a+b', false],
    ["/~!$&'()*,;=:@", "~!$&'()*,;=:@", false],
    ['/...', '...', false, true],
    ['/a..b', 'a..b', false],
    ['/.well-known/acme', '.well-known/acme', false],
  ])('reads %s', (raw, file, folder, dotfiles = false) => {
    expect(readPath(raw, dotfiles)).toEqual({ file, folder })
  })

  it('decodes once: what is encoded twice is a name with a percent sign', () => {
    expect(readPath('/%252e%252e/%252Fetc', true).file).toBe('%2e%2e/%2Fetc')
  })

  it.each([
    '/..',
    '/../x',
    '/a/../b',
    '/a/..',
    '/a/../',
    '/%2e%2e/x',
    '/%2E%2e/x',
    '/.%2e/x',
    '/%2e./x',
    '/.',
    '/./x',
    '/a/./b',
    '/%2e/x',
    '/..%2fx',
    '/a%2Fb',
    '/a%5Cb',
    '/a\\b',
    '/..\\x',
    '/..%5cx',
    '/a%00',
    '/%00',
    '/a.html%00.png',
    '/%',
    '/%2',
    '/%zz',
    '/a%2',
    '/%c0%ae%c0%ae/x',
    '/%e0%80%af',
    '/%ff',
    '/%c3',
    '/%ed%a0%80',
    '/é',
    '/a b',
    '/a\tb',
    '/a\0b',
    '/a\r\nb',
    '/a?b',
    '/a#b',
    'a',
    'http://host/a',
  ])('refuses %j with 400', (raw) => {
    for (const dotfiles of [false, true]) expect(refused(raw, dotfiles)).toBe(400)
  })

  it.each(['//', '//evil.com/%61', '/a//b', '/a//'])('does not find %s: no file has an empty name', (raw) => {
    expect(refused(raw, true)).toBe(404)
  })

  it.each([
    '/.env',
    '/%2eenv',
    '/.git/config',
    '/a/.hidden',
    '/a/.well-known/x',
    '/.well-known/.env',
    '/.well-knownx',
    '/.WELL-KNOWN/x',
    '/...',
  ])('does not find %s unless dotfiles are allowed', (raw) => {
    expect(refused(raw, false)).toBe(404)
    expect(refused(raw, true)).toBeUndefined()
  })

  it.each([
    '/file.txt::$DATA',
    '/c:',
    '/file.txt.',
    '/file.txt%20',
    '/a%3Cb',
    '/con%3A',
  ])('does not find %s where Windows would take it for another file', (raw) => {
    expect(refused(raw, true, true)).toBe(404)
    expect(refused(raw, true, false)).toBeUndefined()
  })

  it('reads what it encodes, whatever the names are', () => {
    const name = fc.string({ minLength: 1, unit: 'grapheme' }).filter((one) => {
      return Buffer.from(one).toString() === one && !/[/\\\0]/.test(one) && one !== '.' && one !== '..'
    })
    fc.assert(
      fc.property(fc.array(name, { minLength: 1, maxLength: 4 }), fc.boolean(), (names, folder) => {
        const file = names.join('/')
        expect(readPath(`/${encodePath(file)}${folder ? '/' : ''}`, true, false)).toEqual({ file, folder })
      }),
    )
  })

  it('never lets a name through that leads elsewhere, whatever comes', () => {
    const piece = fc.constantFrom(
      '/',
      '.',
      '..',
      '%2e',
      '%2f',
      '%5c',
      '\\',
      '%00',
      '%25',
      'a',
      '//',
      '%c0%af',
      '?',
      'é',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 10 }), (pieces) => {
        const raw = `/${pieces.join('')}`
        if (refused(raw, true) !== undefined) return
        const { file } = readPath(raw, true)
        expect(file === '' || file.split('/').every((name) => name !== '' && name !== '.' && name !== '..')).toBe(true)
        expect(file).not.toMatch(/[\\\0]/)
      }),
      { numRuns: 1_000 },
    )
  })
})
