import { describe, expect, it } from 'vitest'
import { CodingChooser, codings, PageChooser } from '../../../src/http/static/codings.ts'

const all = 0b1111
const chooser = new CodingChooser(['br', 'zstd', 'gzip'])

function choose(accepted: string | undefined, available = all, from = chooser): string {
  return codings[from.choose(accepted, available)] as string
}

describe('CodingChooser', () => {
  it.each([
    [undefined, 'identity'],
    ['', 'identity'],
    ['gzip', 'gzip'],
    ['GZIP', 'gzip'],
    ['gzip, deflate, br, zstd', 'br'],
    ['zstd, gzip, br', 'br'],
    ['gzip;q=1, br;q=0.5', 'gzip'],
    ['br;q=0.5, zstd;q=0.6, gzip;q=0.4', 'zstd'],
    ['br;q=0', 'identity'],
    ['br;q=0, gzip', 'gzip'],
    ['br; q=0.0 , gzip ; q=0.001', 'gzip'],
    ['*', 'br'],
    ['*;q=0', 'identity'],
    ['br;q=0, *', 'zstd'],
    ['gzip, *;q=0', 'gzip'],
    ['identity', 'identity'],
    ['identity;q=1, *;q=0', 'identity'],
    ['identity, gzip;q=0.5', 'identity'],
    ['identity;q=0.5, gzip', 'gzip'],
    ['identity;q=0', 'identity'],
    ['identity;q=0, gzip', 'gzip'],
    ['deflate', 'identity'],
    ['br;q=nonsense', 'identity'],
    ['brotli, xbr, brx', 'identity'],
    [',,, ;;; , br', 'br'],
  ])('chooses for %j: %s', (accepted, expected) => {
    expect(choose(accepted)).toBe(expected)
    expect(choose(accepted)).toBe(expected)
  })

  it('chooses of what there is', () => {
    expect(choose('br, gzip', 0b1001)).toBe('gzip')
    expect(choose('br, gzip', 0b0101)).toBe('identity')
    expect(choose('br, gzip', 0b0001)).toBe('identity')
    expect(choose('gzip;q=0.5, br', 0b1001)).toBe('gzip')
  })

  it('goes by our order where the client does not care, and only there', () => {
    const gzipFirst = new CodingChooser(['gzip', 'br'])
    expect(choose('br, gzip', all, gzipFirst)).toBe('gzip')
    expect(choose('br, gzip;q=0.9', all, gzipFirst)).toBe('br')
    expect(choose('zstd', all, gzipFirst)).toBe('zstd')
  })

  it('chooses well also when it has seen more values than it remembers, and long ones', () => {
    for (let count = 0; count < 300; count++) expect(choose(`x${count}, gzip`)).toBe('gzip')
    expect(choose(`${'x, '.repeat(1_000)}gzip`)).toBe('gzip')
    expect(choose('gzip, deflate, br, zstd')).toBe('br')
  })
})

describe('PageChooser', () => {
  const pages = new PageChooser()

  it.each([
    ['text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8', true],
    ['text/html', true],
    ['TEXT/HTML', true],
    ['application/json, text/html;q=0.1', true],
    ['text/html;q=0', false],
    ['text/html;q=0, */*', false],
    ['*/*', false],
    ['text/*', false],
    ['text/css,*/*;q=0.1', false],
    ['image/avif,image/webp,*/*', false],
    ['application/json', false],
    ['text/htmlx', false],
    ['', false],
    [undefined, false],
  ])('takes Accept: %s for a page: %s', (accept, expected) => {
    expect(pages.accepts(accept)).toBe(expected)
    expect(pages.accepts(accept)).toBe(expected)
  })
})
