import { describe, expect, it } from 'vitest'
import { CookieAttribute, type CookieRewrite } from '../../../src/http/forwarding/cookies.ts'

describe('an attribute of a cookie', () => {
  it.each<[CookieRewrite, string, string]>([
    ['app.test', 'a=1; Domain=up.test; Path=/', 'a=1; Domain=app.test; Path=/'],
    ['app.test', 'a=1;domain = .up.test', 'a=1;domain = app.test'],
    ['app.test', 'a=1; Path=/', 'a=1; Path=/'],
    ['', 'a=1; Domain=up.test; Path=/', 'a=1; Path=/'],
    ['', 'a=domain=up.test', 'a=domain=up.test'],
    [{ 'up.test': 'app.test' }, 'a=1; Domain=up.test', 'a=1; Domain=app.test'],
    [{ 'up.test': 'app.test' }, 'a=1; Domain=other.test', 'a=1; Domain=other.test'],
    [{ 'up.test': 'app.test', '*': '' }, 'a=1; Domain=other.test; Secure', 'a=1; Secure'],
    [{ 'up.test': '' }, 'a=1; Domain=up.test', 'a=1'],
    ['app.test', 'a=1; Domain=up.test; domain=x', 'a=1; Domain=app.test; domain=app.test'],
    ['$1$&', 'a=1; Domain=up.test', 'a=1; Domain=$1$&'],
  ])('with %j makes of %s this: %s', (rule, cookie, expected) => {
    expect(new CookieAttribute('cookieDomain', 'domain', rule).rewrite(cookie)).toBe(expected)
  })

  it('may be the path', () => {
    expect(new CookieAttribute('cookiePath', 'path', { '/': '/api/' }).rewrite('a=1; Path=/; Domain=x')).toBe(
      'a=1; Path=/api/; Domain=x',
    )
  })

  it.each([[7], [null], [['x']], ['a;b'], ['a\r\nb'], [{ a: 7 }], [{ a: 'x;y' }]])('cannot become %j', (rule) => {
    expect(() => new CookieAttribute('cookiePath', 'path', rule as CookieRewrite)).toThrow(
      expect.objectContaining({ code: 'XPS_INVALID_OPTION', message: expect.stringContaining('cookiePath must be') }),
    )
  })
})
