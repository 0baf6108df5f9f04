import { describe, expect, it } from 'vitest'
import { StaticFiles } from '../../../src/http/static/static-files.ts'
import { type StaticOptions, staticOptionNames, staticSettings } from '../../../src/http/static/static-options.ts'

describe('the options of StaticFiles', () => {
  it.each([
    ['index', 'index.html'],
    ['index', ['a/b']],
    ['index', ['..']],
    ['index', ['']],
    ['extensions', 'html'],
    ['extensions', ['a/b']],
    ['fallback', ''],
    ['fallback', '../x'],
    ['fallback', 'a//b'],
    ['fallback', 'a\\b'],
    ['fallback', 5],
    ['listing', 'yes'],
    ['listing', { maxEntries: 0 }],
    ['listing', { max: 5 }],
    ['dotfiles', 'ignore'],
    ['dotfiles', true],
    ['symlinks', 'yes'],
    ['types', { js: 'a\r\nb' }],
    ['types', { js: 5 }],
    ['precompressed', 'br'],
    ['precompressed', ['identity']],
    ['precompressed', ['br', 'br']],
    ['precompressed', ['deflate']],
    ['compress', 'gzip'],
    ['compress', { brotli: 12 }],
    ['compress', { gzip: 0 }],
    ['compress', { level: 5 }],
    ['compress', { minSize: 'much' }],
    ['maxAge', -1],
    ['maxAge', 1.5],
    ['maxAge', 31_536_001],
    ['maxAge', '1 day'],
    ['immutable', true],
    ['cacheControl', true],
    ['cacheControl', ['a']],
    ['cacheControl', ''],
    ['cacheControl', 'a\nb'],
    ['cacheControl', { '*': 5 }],
    ['extraHeaders', { 'Content-Type': 'text/html' }],
    ['extraHeaders', { VARY: 'Origin' }],
    ['extraHeaders', { 'bad name': 'x' }],
    ['extraHeaders', { good: 'bad\r\nvalue' }],
    ['nosniff', 'no'],
    ['maxRanges', 0],
    ['chunkSize', 0],
    ['chunkSize', 'large'],
    ['cache', true],
    ['cache', { maxBytes: 0 }],
    ['cache', { maxFileSize: '1 GB' }],
    ['cache', { freshFor: -1 }],
    ['cache', { ttl: 5 }],
    ['caching', {}],
  ])('refuses %s: %j, and says its name', (name, value) => {
    const make = (): StaticFiles => new StaticFiles('public', { [name]: value } as StaticOptions)
    expect(make).toThrow(expect.objectContaining({ code: 'XPS_INVALID_OPTION' }))
    expect(make).toThrow(name)
  })

  it('refuses a folder that is none, and options that are none', () => {
    for (const folder of ['', undefined, 5]) {
      expect(() => new StaticFiles(folder as string)).toThrow(expect.objectContaining({ code: 'XPS_INVALID_OPTION' }))
    }
    expect(() => new StaticFiles('public', 5 as unknown as StaticOptions)).toThrow('an object')
  })

  it('have defaults, whose sizes fit together', () => {
    expect(staticSettings({})).toMatchObject({
      index: ['index.html'],
      fallback: undefined,
      listing: undefined,
      dotfiles: false,
      symlinks: false,
      precompressed: ['br', 'zstd', 'gzip'],
      compress: undefined,
      extraHeaders: { 'x-content-type-options': 'nosniff' },
      maxRanges: 16,
      chunkSize: 262_144,
      cache: { maxBytes: 32_000_000, maxFileSize: 262_144, freshFor: 1_000 },
    })
    expect(staticSettings({ cache: { maxBytes: '10 KB' } }).cache?.maxFileSize).toBe(10_000)
    expect(staticSettings({ cache: false }).cache).toBeUndefined()
    expect(staticSettings({ precompressed: false }).precompressed).toEqual([])
    expect(staticSettings({ listing: true }).listing).toEqual({ maxEntries: 1_000 })
    expect(staticSettings({ compress: true }).compress).toEqual({ minSize: 1_024, brotli: 5, gzip: 6 })
  })

  it('are all named for whoever takes them together with others', () => {
    const all: Required<Record<keyof StaticOptions, true>> = {
      index: true,
      extensions: true,
      fallback: true,
      listing: true,
      dotfiles: true,
      symlinks: true,
      types: true,
      precompressed: true,
      compress: true,
      maxAge: true,
      immutable: true,
      cacheControl: true,
      extraHeaders: true,
      nosniff: true,
      maxRanges: true,
      chunkSize: true,
      cache: true,
      clock: true,
    }
    expect([...staticOptionNames].sort()).toEqual(Object.keys(all).sort())
  })

  describe('and Cache-Control by pattern', () => {
    const fits = (pattern: string, file: string): boolean =>
      staticSettings({ cacheControl: { [pattern]: 'yes' } }).cacheControl(file) === 'yes'

    it.each([
      ['*.html', 'index.html', true],
      ['*.html', 'a/b/index.html', true],
      ['*.html', 'index.htm', false],
      ['*.html', 'xhtml', false],
      ['/*.html', 'index.html', true],
      ['/*.html', 'a/index.html', false],
      ['assets/**', 'assets/a/b.js', true],
      ['assets/**', 'other/assets/a.js', false],
      ['assets/*', 'assets/a/b.js', false],
      ['**/deep/*.js', 'a/b/deep/c.js', true],
      ['**', 'anything/at.all', true],
      ['a+b(1).js', 'a+b(1).js', true],
      ['a.js', 'abjs', false],
      ['robots.txt', 'robots.txt', true],
      ['robots.txt', 'xrobots.txt', false],
    ])('%s fits %s: %s', (pattern, file, expected) => {
      expect(fits(pattern, file)).toBe(expected)
    })
  })
})
