import { describe, expect, it } from 'vitest'
import { Fields, type FieldsInit } from '../../../src/http/fields.ts'
import { isPlain, isRangeValid, judge, parseDate } from '../../../src/http/static/preconditions.ts'

const at = Date.UTC(2024, 0, 10, 12, 0, 0)
const date = new Date(at).toUTCString()
const before = new Date(at - 1000).toUTCString()
const after = new Date(at + 1000).toUTCString()

const strong = { etag: '"abc"', lastModified: at }
const weak = { etag: 'W/"abc"', lastModified: at }

function verdict(headers: FieldsInit, current = strong): string {
  return judge(new Fields(headers), current)
}

describe('judge', () => {
  it.each([
    ['"abc"', 'proceed'],
    ['*', 'proceed'],
    ['"x", "abc"', 'proceed'],
    ['"x","abc","y"', 'proceed'],
    ['W/"abc"', 'failed'],
    ['"x", W/"abc"', 'failed'],
    ['W/"abc", "abc"', 'proceed'],
    ['"x"', 'failed'],
    ['"ABC"', 'failed'],
    ['abc', 'failed'],
    ['"abc', 'failed'],
    ['', 'failed'],
  ])('If-Match: %s comes to %s', (value, expected) => {
    expect(verdict({ 'If-Match': value })).toBe(expected)
  })

  it('takes no weak tag for a match where it has to be strong, not even the very same', () => {
    expect(verdict({ 'If-Match': 'W/"abc"' }, weak)).toBe('failed')
    expect(verdict({ 'If-Match': '"abc"' }, weak)).toBe('failed')
    expect(verdict({ 'If-Match': '*' }, weak)).toBe('proceed')
  })

  it.each([
    ['"abc"', 'not-modified'],
    ['W/"abc"', 'not-modified'],
    ['*', 'not-modified'],
    ['"x", W/"y", "abc"', 'not-modified'],
    ['"x" , W/"abc"', 'not-modified'],
    ['"a,b", "abc"', 'not-modified'],
    ['"x"', 'proceed'],
    ['"x", "abcd"', 'proceed'],
    ['abc', 'proceed'],
    ['', 'proceed'],
  ])('If-None-Match: %s comes to %s', (value, expected) => {
    expect(verdict({ 'If-None-Match': value })).toBe(expected)
    expect(verdict({ 'If-None-Match': value }, weak)).toBe(expected)
  })

  it('takes several fields for one list', () => {
    const fields = new Fields()
    fields.append('If-None-Match', '"x"').append('if-none-match', '"abc"')
    expect(judge(fields, strong)).toBe('not-modified')
  })

  it.each([
    [date, 'not-modified'],
    [after, 'not-modified'],
    [before, 'proceed'],
    ['yesterday', 'proceed'],
    ['2030', 'proceed'],
    [`${date}, ${date}`, 'proceed'],
  ])('If-Modified-Since: %s comes to %s', (value, expected) => {
    expect(verdict({ 'If-Modified-Since': value })).toBe(expected)
  })

  it.each([
    [date, 'proceed'],
    [after, 'proceed'],
    [before, 'failed'],
    ['yesterday', 'proceed'],
  ])('If-Unmodified-Since: %s comes to %s', (value, expected) => {
    expect(verdict({ 'If-Unmodified-Since': value })).toBe(expected)
  })

  it('goes by RFC 9110, 13.2.2 where there are several', () => {
    // If-Unmodified-Since does not count beside If-Match.
    expect(verdict({ 'If-Match': '"abc"', 'If-Unmodified-Since': before })).toBe('proceed')
    expect(verdict({ 'If-Match': '"x"', 'If-Unmodified-Since': after })).toBe('failed')
    // If-Modified-Since does not count beside If-None-Match.
    expect(verdict({ 'If-None-Match': '"x"', 'If-Modified-Since': after })).toBe('proceed')
    expect(verdict({ 'If-None-Match': '"abc"', 'If-Modified-Since': before })).toBe('not-modified')
    // What may fail comes before what may save a body.
    expect(verdict({ 'If-Match': '"x"', 'If-None-Match': '"abc"' })).toBe('failed')
    expect(verdict({ 'If-Unmodified-Since': before, 'If-Modified-Since': after })).toBe('failed')
    expect(verdict({ 'If-Match': '"abc"', 'If-None-Match': '"abc"' })).toBe('not-modified')
  })
})

describe('isRangeValid', () => {
  it.each([
    ['"abc"', true],
    ['"x"', false],
    ['W/"abc"', false],
    ['abc', false],
    ['*', false],
    ['"abc", "x"', false],
    [date, true],
    [before, false],
    [after, false],
    ['nonsense', false],
  ])('If-Range: %s is %s', (value, expected) => {
    expect(isRangeValid(new Fields({ 'If-Range': value }), strong)).toBe(expected)
  })

  it('is never valid by a weak tag, and always without If-Range', () => {
    expect(isRangeValid(new Fields({ 'If-Range': 'W/"abc"' }), weak)).toBe(false)
    expect(isRangeValid(new Fields({ 'If-Range': '"abc"' }), weak)).toBe(false)
    expect(isRangeValid(new Fields(), weak)).toBe(true)
  })
})

describe('isPlain', () => {
  it.each([
    'Range',
    'If-Match',
    'If-None-Match',
    'If-Modified-Since',
    'If-Unmodified-Since',
  ])('is false with %s, however it is spelled', (name) => {
    expect(
      isPlain(
        new Fields([
          ['Accept', '*/*'],
          [name, 'x'],
        ]),
      ),
    ).toBe(false)
    expect(isPlain(new Fields({ [name.toUpperCase()]: 'x' }))).toBe(false)
  })

  it('is true for what a browser sends', () => {
    expect(isPlain(new Fields({ Accept: '*/*', 'Accept-Encoding': 'br', 'If-Range': '"x"' }))).toBe(true)
  })
})

describe('parseDate', () => {
  const moment = Date.UTC(1994, 10, 6, 8, 49, 37)

  it.each([
    'Sun, 06 Nov 1994 08:49:37 GMT',
    'Sunday, 06-Nov-94 08:49:37 GMT',
    'Sun Nov  6 08:49:37 1994',
  ])('reads %s', (text) => {
    expect(parseDate(text)).toBe(moment)
  })

  it.each([
    '',
    '0',
    '1994',
    '1994-11-06T08:49:37Z',
    'Sun, 06 Nov 1994 08:49:37',
    'Sun, 06 Nov 1994 08:49:37 +0100',
    'Sun, 06 Nov 1994 08:49:37 GMT ',
    'Sun, 66 Nov 1994 08:49:37 GMT',
    'Sun, 06 Xxx 1994 08:49:37 GMT',
    'sun, 06 nov 1994 08:49:37 gmt',
  ])('does not take %j for a date', (text) => {
    expect(parseDate(text)).toBeUndefined()
  })
})
