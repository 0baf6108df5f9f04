import { describe, expect, it } from 'vitest'
import { PathRewrite } from '../../../src/http/forwarding/path-rewrite.ts'
import { type RedirectRewrite, Redirects } from '../../../src/http/forwarding/redirects.ts'
import { busy } from '../../support/busy.ts'

const own = ['127.0.0.1:3000']

function rewritten(url: string, options: RedirectRewrite = {}, secure = true, stripPrefix = false): string {
  const redirects = new Redirects(options, new PathRewrite({ stripPrefix }))
  return redirects.url(url, own, { secure, authority: 'app.test:8443' }, '/api')
}

describe('a URL in a response', () => {
  it.each([
    ['http://127.0.0.1:3000/x?y#z', 'https://app.test:8443/x?y#z'],
    ['HTTP://127.0.0.1:3000', 'https://app.test:8443'],
    ['https://127.0.0.1:3000/x', 'https://app.test:8443/x'],
    ['//127.0.0.1:3000/x', '//app.test:8443/x'],
    ['http://127.0.0.1:3001/x', 'http://127.0.0.1:3001/x'],
    ['http://127.0.0.1/x', 'http://127.0.0.1/x'],
    ['http://user@127.0.0.1:3000/x', 'http://user@127.0.0.1:3000/x'],
    ['http://127.0.0.1:3000.evil.test/x', 'http://127.0.0.1:3000.evil.test/x'],
    ['https://elsewhere.test/127.0.0.1:3000', 'https://elsewhere.test/127.0.0.1:3000'],
    ['http://app.test:8443/x', 'http://app.test:8443/x'],
    ['/x', '/x'],
    ['x/y', 'x/y'],
    ['?x', '?x'],
    ['mailto:a@127.0.0.1:3000', 'mailto:a@127.0.0.1:3000'],
    ['', ''],
  ])('from %s becomes %s', (url, expected) => {
    expect(rewritten(url)).toBe(expected)
  })

  it('gets the prefix of the route back', () => {
    expect(rewritten('/x', {}, true, true)).toBe('/api/x')
    expect(rewritten('http://127.0.0.1:3000/x', {}, true, true)).toBe('https://app.test:8443/api/x')
    expect(rewritten('http://app.test:8443/x', {}, true, true)).toBe('http://app.test:8443/api/x')
    expect(rewritten('//elsewhere.test/x', {}, true, true)).toBe('//elsewhere.test/x')
    expect(rewritten('x', {}, true, true)).toBe('x')
  })

  it('gets the host and the scheme that are asked for', () => {
    const from = 'http://127.0.0.1:3000/x'
    expect(rewritten(from, {}, false)).toBe('http://app.test:8443/x')
    expect(rewritten(from, { host: 'www.test' })).toBe('https://www.test/x')
    expect(rewritten(from, { host: 'leave' })).toBe('https://127.0.0.1:3000/x')
    expect(rewritten(from, { scheme: 'leave' })).toBe('http://app.test:8443/x')
    expect(rewritten(from, { host: 'leave', scheme: 'https' }, false)).toBe('https://127.0.0.1:3000/x')
  })

  it('is the upstream also with or without the port that goes without saying', () => {
    const redirects = new Redirects({}, new PathRewrite({}))
    const client = { secure: false, authority: 'app.test' }
    expect(redirects.url('http://up.test/x', ['up.test:80'], client, '')).toBe('http://app.test/x')
    expect(redirects.url('https://UP.test:443/x', ['up.test'], client, '')).toBe('http://app.test/x')
    expect(redirects.url('http://up.test:443/x', ['up.test'], client, '')).toBe('http://up.test:443/x')
  })

  it('stays as it is if the client said no host', () => {
    const redirects = new Redirects({}, new PathRewrite({}))
    const url = 'http://127.0.0.1:3000/x'
    expect(redirects.url(url, own, { secure: false, authority: '' }, '')).toBe(url)
  })

  it.each([
    ['5; url=http://127.0.0.1:3000/x', '5; url=https://app.test:8443/x'],
    ['0;URL="http://127.0.0.1:3000/x"', '0;URL="https://app.test:8443/x"'],
    ["1, url='http://127.0.0.1:3000/x", "1, url='https://app.test:8443/x"],
    ['5', '5'],
    ['5; url=/x', '5; url=/x'],
  ])('is found in Refresh: %s', (value, expected) => {
    const redirects = new Redirects({}, new PathRewrite({}))
    expect(redirects.refresh(value, own, { secure: true, authority: 'app.test:8443' }, '')).toBe(expected)
  })

  it('is read in time that grows with its length, whatever it is', () => {
    const redirects = new Redirects({}, new PathRewrite({ stripPrefix: true }))
    const client = { secure: true, authority: 'app.test' }
    for (const text of [
      '5;'.padEnd(30_000, ' '),
      `1; url="${'"'.repeat(30_000)}`,
      `http://${':'.repeat(30_000)}/`,
      '1'.repeat(30_000),
    ]) {
      const time = busy(() => {
        redirects.refresh(text, own, client, '/api')
        redirects.url(text, own, client, '/api')
      })
      expect(time).toBeLessThan(500)
    }
  })

  it.each<[unknown, string]>([
    [{ host: 'a b' }, 'redirects.host must be'],
    [{ scheme: 'ftp' }, 'redirects.scheme must be'],
  ])('cannot be rewritten with %j', (options, message) => {
    expect(() => new Redirects(options as RedirectRewrite, new PathRewrite({}))).toThrow(message)
  })
})
