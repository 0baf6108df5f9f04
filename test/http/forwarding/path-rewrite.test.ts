import { describe, expect, it } from 'vitest'
import { PathRewrite, type PathRewriteOptions } from '../../../src/http/forwarding/path-rewrite.ts'
import { request } from '../routing/requests.ts'

function target(options: PathRewriteOptions, given: string, prefix = '/api'): string {
  return new PathRewrite(options).target(request(given), prefix)
}

describe('the target for an upstream', () => {
  it('is what came, if nothing else is said', () => {
    expect(target({}, '/api/x?y=/api')).toBe('/api/x?y=/api')
    expect(target({ prefix: '/' }, '/api')).toBe('/api')
  })

  it('loses the prefix of the route', () => {
    const stripPrefix = true
    expect(target({ stripPrefix }, '/api/x?y=1')).toBe('/x?y=1')
    expect(target({ stripPrefix }, '/api?y=1')).toBe('/?y=1')
    expect(target({ stripPrefix }, '/api/')).toBe('/')
    expect(target({ stripPrefix }, '/%61pi//x%2Fy')).toBe('/x%2Fy')
    expect(target({ stripPrefix }, '/x', '')).toBe('/x')
    expect(target({ stripPrefix }, '/apix')).toBe('/apix')
  })

  it('gets another prefix', () => {
    expect(target({ prefix: '/base/' }, '/x?y')).toBe('/base/x?y')
    expect(target({ prefix: '/base', stripPrefix: true }, '/api/x')).toBe('/base/x')
    expect(target({ prefix: '/base', stripPrefix: true }, '/api')).toBe('/base/')
    expect(target({ prefix: '/ä b' }, '/x')).toBe('/%C3%A4%20b/x')
  })

  it('is rewritten by a pattern, with parameters as they were spelled', () => {
    const rewrite = { from: '/old/:id{/more}', to: '/new/:id/x' }
    expect(target({ rewrite }, '/old/a%20b%2Fc?q=1')).toBe('/new/a%20b%2Fc/x?q=1')
    expect(target({ rewrite }, '/%6Fld/17/more')).toBe('/new/17/x')
    expect(target({ rewrite }, '/other/17')).toBe('/other/17')
    expect(target({ rewrite: { from: '/a/*rest', to: '/b/*rest' } }, '/a/x//y/%C3%A9')).toBe('/b/x//y/%C3%A9')
    expect(target({ rewrite: { from: '/:id', to: '/find\\?id=:id' }, stripPrefix: true }, '/api/7?x=1')).toBe(
      '/find?id=7&x=1',
    )
  })

  it('is rewritten by a function', () => {
    const rewrite = (path: string) => `/v2${path.toUpperCase()}`
    expect(target({ rewrite, stripPrefix: true, prefix: '/base' }, '/api/x?y=1')).toBe('/base/v2/X?y=1')
    expect(target({ rewrite: (path) => `${path}?a=1` }, '/x?y=1')).toBe('/x?a=1&y=1')
    expect(target({ rewrite: (_path, { method }) => `/${method}` }, '/x')).toBe('/GET')
  })

  it.each(['', 'x', 'http://x/', '/a b', '/a\r\nx', '/é', '/#', undefined, 7])('is never %j', (path) => {
    expect(() => target({ rewrite: () => path as string }, '/x')).toThrow(
      expect.objectContaining({ code: 'XPS_FAULT', status: 500 }),
    )
  })

  it('is the asterisk, if that came', () => {
    expect(target({ prefix: '/base', stripPrefix: true, rewrite: () => '/x' }, '*')).toBe('*')
  })

  it.each<[unknown, string]>([
    [{ stripPrefix: 'yes' }, 'stripPrefix must be true or false'],
    [{ prefix: 'base' }, 'prefix must be a path'],
    [{ prefix: '/a?b' }, 'prefix must be a path'],
    [{ prefix: '/..%2f' }, 'prefix must be a path'],
    [{ prefix: 7 }, 'prefix must be a path'],
    [{ rewrite: '/x' }, 'rewrite must be'],
    [{ rewrite: { from: '/x' } }, 'rewrite must be'],
    [{ rewrite: { from: '/x/:', to: '/y' } }, 'rewrite must be'],
    [{ rewrite: { from: '/x', to: '/y/:id' } }, "'from' does not always have id"],
    [{ rewrite: { from: '/x{/:id}', to: '/y/:id' } }, "'from' does not always have id"],
    [{ rewrite: { from: '/x', to: 'y' } }, "'to' does not start with a slash"],
  ])('cannot be made with %j', (options, message) => {
    expect(() => new PathRewrite(options as PathRewriteOptions)).toThrow(
      expect.objectContaining({ code: 'XPS_INVALID_OPTION', message: expect.stringContaining(message) }),
    )
  })
})

describe('the way back', () => {
  it.each<[PathRewriteOptions, string, string]>([
    [{}, '/x', '/x'],
    [{ stripPrefix: true }, '/x?y#z', '/api/x?y#z'],
    [{ stripPrefix: true }, '/', '/api/'],
    [{ stripPrefix: true }, '/api/x', '/api/x'],
    [{ stripPrefix: true }, '/api?x', '/api?x'],
    [{ stripPrefix: true }, '/apix', '/api/apix'],
    [{ prefix: '/base' }, '/base/x', '/x'],
    [{ prefix: '/base' }, '/base?x', '/?x'],
    [{ prefix: '/base' }, '/other', '/other'],
    [{ prefix: '/base', stripPrefix: true }, '/base/x', '/api/x'],
    [{ rewrite: (path) => path, stripPrefix: true }, '/x', '/x'],
  ])('with %j from %s is %s', (options, path, named) => {
    expect(new PathRewrite(options).reverse(path, '/api')).toBe(named)
  })
})
