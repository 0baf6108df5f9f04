import { describe, expect, it } from 'vitest'
import { Fields } from '../../../src/http/fields.ts'
import { ForwardedClient } from '../../../src/http/forwarding/forwarded-client.ts'
import { forwardedNode, forwardedValue, mayAppend } from '../../../src/http/forwarding/forwarded-field.ts'
import { Forwarding, type ForwardingOptions } from '../../../src/http/forwarding/forwarding.ts'
import type { ForwardedMode } from '../../../src/http/forwarding/provenance.ts'
import { RequestHead } from '../../../src/http/messages.ts'
import { busy } from '../../support/busy.ts'
import { get, linesOf, parsed } from './heads.ts'

const client = () => new ForwardedClient({ address: '::ffff:192.0.2.7', port: 4711 })
const proxy = () => new ForwardedClient({ address: '10.0.0.1', port: 80 })

/** The lines for an upstream that say where a request comes from. */
function said(options: ForwardingOptions, from: ForwardedClient, ...fields: readonly string[]): string[] {
  const block = new Forwarding({ via: false, trusted: ['10.0.0.0/8'], ...options }).requestBlock(
    get(...fields),
    from,
    'up',
  )
  return linesOf(block).filter((line) => /forwarded/i.test(line))
}

const claimed = ['X-Forwarded-For: 203.0.113.5', 'X-Forwarded-Host: www.test', 'X-forwarded-proto: https']
const claimedToo = ['Forwarded: for=203.0.113.5;proto=https']

describe('X-Forwarded-For, -Host and -Proto', () => {
  const ours = ['X-Forwarded-For: 192.0.2.7', 'X-Forwarded-Host: app.test', 'X-Forwarded-Proto: http']

  it('are said for a client, and what it claims is not believed', () => {
    expect(said({}, client())).toEqual(ours)
    expect(said({}, client(), ...claimed)).toEqual(ours)
  })

  it('are added to what a trusted peer says', () => {
    expect(said({}, proxy(), ...claimed)).toEqual([
      'X-Forwarded-Host: www.test',
      'X-forwarded-proto: https',
      'X-Forwarded-For: 203.0.113.5, 10.0.0.1',
    ])
    expect(said({}, proxy(), 'X-Forwarded-For: 1.1.1.1', 'x-forwarded-for: 2.2.2.2')).toEqual([
      'X-Forwarded-For: 1.1.1.1, 2.2.2.2, 10.0.0.1',
      'X-Forwarded-Host: app.test',
      'X-Forwarded-Proto: http',
    ])
    expect(said({}, proxy())).toEqual(['X-Forwarded-For: 10.0.0.1', ...ours.slice(1)])
  })

  it.each<[ForwardedMode, string[], string[]]>([
    ['replace', ours, ['X-Forwarded-For: 10.0.0.1', ...ours.slice(1)]],
    ['filter', [], claimed],
    ['remove', [], []],
    ['leave', claimed, claimed],
  ])('can be treated otherwise: %s', (xForwarded, ofClient, ofProxy) => {
    expect(said({ xForwarded }, client(), ...claimed)).toEqual(ofClient)
    expect(said({ xForwarded }, proxy(), ...claimed)).toEqual(ofProxy)
  })

  it('say https for a client that speaks TLS, and nothing of an address that there is not', () => {
    const secure = new ForwardedClient({ address: '2001:db8::7', secure: true })
    expect(said({}, secure)).toEqual([
      'X-Forwarded-For: 2001:db8::7',
      'X-Forwarded-Host: app.test',
      'X-Forwarded-Proto: https',
    ])
    const unix = new ForwardedClient()
    expect(said({}, unix, ...claimed)).toEqual(ours.slice(1))
    expect(said({ trusted: ['unix'] }, unix, ...claimed)).toContain('X-Forwarded-For: 203.0.113.5')
  })

  it('follow the host of each request of a connection', () => {
    const forwarding = new Forwarding()
    const one = client()
    for (const host of ['a.test', 'b.test:81', 'b.test:81', 'a.test']) {
      expect(forwarding.requestBlock(parsed('GET / HTTP/1.1', `Host: ${host}`), one, 'up')).toContain(
        `X-Forwarded-Host: ${host}\r\n`,
      )
    }
    expect(forwarding.requestBlock(parsed('GET / HTTP/1.0'), one, 'up')).not.toContain('X-Forwarded-Host')
  })

  it('are those of each route, where a connection has requests for several', () => {
    const one = client()
    const all = new Forwarding({ forwarded: 'replace' })
    const none = new Forwarding({ xForwarded: 'remove', via: false })
    for (let round = 0; round < 2; round++) {
      expect(all.requestBlock(get(), one, 'up')).toContain('Forwarded: for=192.0.2.7;host=app.test;proto=http')
      expect(none.requestBlock(get(), one, 'up')).toBe('Host: app.test\r\n')
    }
  })
})

describe('Forwarded', () => {
  const mine = (options: ForwardingOptions, from: ForwardedClient, ...fields: readonly string[]) =>
    said({ xForwarded: 'remove', ...options }, from, ...fields)

  it('is not said, and what a client claims is removed', () => {
    expect(mine({}, client(), ...claimedToo)).toEqual([])
    expect(mine({}, proxy(), ...claimedToo)).toEqual(claimedToo)
  })

  it.each<[ForwardedMode, string[], string[]]>([
    [
      'append',
      ['Forwarded: for=192.0.2.7;host=app.test;proto=http'],
      ['Forwarded: for=203.0.113.5;proto=https, for=10.0.0.1;host=app.test;proto=http'],
    ],
    [
      'replace',
      ['Forwarded: for=192.0.2.7;host=app.test;proto=http'],
      ['Forwarded: for=10.0.0.1;host=app.test;proto=http'],
    ],
    ['remove', [], []],
    ['leave', claimedToo, claimedToo],
  ])('can be treated otherwise: %s', (forwarded, ofClient, ofProxy) => {
    expect(mine({ forwarded }, client(), ...claimedToo)).toEqual(ofClient)
    expect(mine({ forwarded }, proxy(), ...claimedToo)).toEqual(ofProxy)
  })

  it('is said anew where a client has left a quotation open, which would swallow what is added', () => {
    expect(mine({ forwarded: 'append' }, proxy(), 'Forwarded: for="_evil')).toEqual([
      'Forwarded: for=10.0.0.1;host=app.test;proto=http',
    ])
  })

  it('quotes addresses of IPv6, ports and hosts with ports', () => {
    const six = new ForwardedClient({ address: '2001:db8::7', port: 4711 })
    const block = (options: ForwardingOptions) =>
      new Forwarding({ forwarded: 'replace', ...options }).requestBlock(
        parsed('GET / HTTP/1.1', 'Host: [::1]:80'),
        six,
        'up',
      )
    expect(block({})).toContain('Forwarded: for="[2001:db8::7]";host="[::1]:80";proto=http\r\n')
    expect(block({ forwardedPort: true })).toContain('for="[2001:db8::7]:4711";')
    expect(new Forwarding({ forwarded: 'replace' }).requestBlock(get(), new ForwardedClient(), 'up')).toContain(
      'for=unknown;',
    )
  })

  it('has values as RFC 7239 wants them', () => {
    expect(forwardedNode('192.0.2.7')).toBe('192.0.2.7')
    expect(forwardedNode('192.0.2.7', 80)).toBe('"192.0.2.7:80"')
    expect(forwardedValue('a"b\\c')).toBe('"a\\"b\\\\c"')
    expect(forwardedValue('app.test')).toBe('app.test')
    expect(forwardedValue('')).toBe('""')
    for (const [value, may] of Object.entries({
      'for=a': true,
      'for="a\\""': true,
      'for="a': false,
      'a\\': false,
      'for="a\\': false,
    })) {
      expect(mayAppend(value), value).toBe(may)
    }
  })
})

describe('Via', () => {
  it('names the version that the message came in, and this proxy, behind those before it', () => {
    const forwarding = new Forwarding()
    const block = forwarding.requestBlock(get('Via: 1.0 fred', 'via: 1.1 barney'), client(), 'up')
    expect(linesOf(block).filter((line) => /^via/i.test(line))).toEqual([
      'Via: 1.0 fred',
      'via: 1.1 barney',
      'Via: 1.1 xps',
    ])
    expect(forwarding.requestBlock(parsed('GET / HTTP/1.0', 'Host: a'), client(), 'up')).toContain('Via: 1.0 xps\r\n')
    expect(new Forwarding({ via: 'edge-1:80' }).requestBlock(get(), client(), 'up')).toContain('Via: 1.1 edge-1:80\r\n')
    expect(new Forwarding({ via: false }).requestBlock(get(), client(), 'up')).not.toContain('Via')
  })

  it('tells a request that goes in circles', () => {
    const forwarding = new Forwarding({ maxLoops: 2 })
    expect(forwarding.stops(get('Via: 1.1 xps, 1.1 other'))).toBeUndefined()
    expect(forwarding.stops(get('Via: 1.1 xps, 1.1 other', 'Via: HTTP/1.1 XPS (comment)'))).toBe('loop')
    expect(forwarding.stops(get('Via: 1.1 xps.test, 1.1 other xps, xps'))).toBeUndefined()
    expect(new Forwarding({ via: false, maxLoops: 1 }).stops(get('Via: 1.1 xps'))).toBeUndefined()
    expect(forwarding.stops(get())).toBeUndefined()
  })
})

describe('the address of the client', () => {
  const forwarding = new Forwarding({ trusted: ['10.0.0.0/8', 'loopback'] })

  it.each<[string[], string]>([
    [[], '10.0.0.1'],
    [['203.0.113.5'], '203.0.113.5'],
    [['198.51.100.1, 203.0.113.5'], '203.0.113.5'],
    [['198.51.100.1, 203.0.113.5, 10.1.1.1'], '203.0.113.5'],
    [['198.51.100.1', '203.0.113.5, 10.1.1.1'], '203.0.113.5'],
    [['10.3.3.3, 10.2.2.2'], '10.3.3.3'],
    [['203.0.113.5:4711'], '203.0.113.5'],
    [['[2001:db8::1]:4711 , 10.2.2.2'], '2001:db8::1'],
    [['2001:db8::1'], '2001:db8::1'],
    [['::ffff:203.0.113.5'], '203.0.113.5'],
    [['203.0.113.5, unknown, 10.2.2.2'], '10.2.2.2'],
    [['203.0.113.5, , 10.2.2.2'], '10.2.2.2'],
    [['<script>'], '10.0.0.1'],
    [[''], '10.0.0.1'],
  ])('from a trusted peer that says %j is %s', (values, address) => {
    expect(forwarding.clientAddress(get(...values.map((value) => `X-Forwarded-For: ${value}`)), proxy())).toBe(address)
  })

  it('is found in time that grows with what is said, whatever that is', () => {
    for (const value of [
      ' '.repeat(20_000),
      `${' '.repeat(20_000)}:x`,
      ':'.repeat(20_000),
      '['.repeat(20_000),
      ','.repeat(20_000),
    ]) {
      const request = new RequestHead('GET', '/', '1.1', new Fields({ a: '1' }), 'a')
      request.headers.append('X-Forwarded-For', `x${value}x`)
      const time = busy(() => expect(forwarding.clientAddress(request, proxy())).toBe('10.0.0.1'))
      expect(time).toBeLessThan(500)
    }
  })

  it('is the peer, if nobody trusts it', () => {
    expect(forwarding.clientAddress(get('X-Forwarded-For: 203.0.113.5'), client())).toBe('192.0.2.7')
    expect(new Forwarding().clientAddress(get('X-Forwarded-For: 203.0.113.5'), proxy())).toBe('10.0.0.1')
  })
})

describe('the side that a client sees', () => {
  it('is ours, or what a trusted peer says', () => {
    const forwarding = new Forwarding({ trusted: ['10.0.0.0/8'] })
    expect(forwarding.publicSide(get(...claimed), client())).toEqual({ secure: false, authority: 'app.test' })
    expect(forwarding.publicSide(get(...claimed), proxy())).toEqual({ secure: true, authority: 'www.test' })
    expect(forwarding.publicSide(get(), proxy())).toEqual({ secure: false, authority: 'app.test' })
    const chain = get('X-Forwarded-Proto: https, http', 'X-Forwarded-Host: a.test, b.test')
    expect(forwarding.publicSide(chain, proxy())).toEqual({ secure: true, authority: 'a.test' })
  })
})
