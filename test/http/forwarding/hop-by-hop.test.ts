import { describe, expect, it } from 'vitest'
import { Fields } from '../../../src/http/fields.ts'
import { acceptsTrailers, dropNominated, isLookalike, nominatedNames } from '../../../src/http/forwarding/hop-by-hop.ts'
import { busy } from '../../support/busy.ts'

describe('nominatedNames', () => {
  it.each([
    'close',
    'keep-alive',
    'Keep-Alive',
    'KEEP-ALIVE, Upgrade',
    'upgrade',
    'TE, close',
    '',
    ' , ',
  ])('has nothing for %j', (value) => {
    expect(nominatedNames(value)).toBeUndefined()
  })

  it('has what is named, in lower case', () => {
    expect(nominatedNames('close, X-Secret ,\tHTTP2-Settings,x-secret')).toEqual(
      new Set(['x-secret', 'http2-settings']),
    )
  })

  it.each([
    'X-Forwarded-For',
    'x-forwarded-host',
    'X-FORWARDED-PROTO',
    'X-Forwarded-Prefix',
    'X-Real-IP',
    'Forwarded',
    'Via',
    'Host',
    'Content-Length',
    'Content-Type',
    'Authorization',
    'Cookie',
    'Set-Cookie',
    'Cache-Control',
    'If-Match',
    'Range',
    'Origin',
    'Sec-Fetch-Site',
    'Access-Control-Allow-Origin',
  ])('has not %s, which is for all recipients', (name) => {
    expect(nominatedNames(`close, ${name}`)).toBeUndefined()
  })

  it('has not what is protected', () => {
    expect(nominatedNames('X-User, X-Other', new Set(['x-user']))).toEqual(new Set(['x-other']))
  })
})

describe('dropNominated', () => {
  it('takes away what is named, and the names, so that nothing added later can be named', () => {
    const headers = new Fields({
      Host: 'a',
      Connection: 'close, X-Secret, Host',
      'X-Secret': ['1', '2'],
      'X-Kept': '3',
    })
    expect(dropNominated(headers)).toBe(true)
    expect([...headers]).toEqual([
      ['Host', 'a'],
      ['Connection', 'close'],
      ['X-Kept', '3'],
    ])
    headers.set('X-Secret', 'of a hook')
    expect(dropNominated(headers)).toBe(false)
    expect(headers.get('x-secret')).toBe('of a hook')
  })

  it('takes Connection away when nothing is left of it', () => {
    const headers = new Fields([
      ['Connection', 'x-a'],
      ['Connection', 'x-b'],
      ['X-B', '1'],
    ])
    expect(dropNominated(headers)).toBe(true)
    expect(headers.size).toBe(0)
  })

  it('does so in time that grows with the head, however many names there are', () => {
    const names = Array.from({ length: 10_000 }, (_, index) => `x${index.toString(36)}`)
    const headers = new Fields([['Connection', names.join(',')]])
    for (let index = 0; index < 100; index++) headers.append(`y${index.toString(36)}`, '')
    expect(busy(() => expect(dropNominated(headers)).toBe(true))).toBeLessThan(200)
    expect(headers.size).toBe(100)
  })

  it('changes nothing where nothing is named', () => {
    const headers = new Fields({ Connection: 'keep-alive, Upgrade', Upgrade: 'websocket' })
    expect(dropNominated(headers)).toBe(false)
    expect(headers.get('connection')).toBe('keep-alive, Upgrade')
    expect(dropNominated(new Fields())).toBe(false)
  })
})

describe('isLookalike', () => {
  it.each([
    'X_Forwarded_For',
    'x-forwarded_for',
    'CONTENT_LENGTH',
    'Transfer_Encoding',
    'X_REAL-IP',
    'x_forwarded_prefix',
  ])('knows %s for what it is', (name) => {
    expect(isLookalike(name)).toBe(true)
  })

  it.each(['X-Forwarded-For', 'X_Other', 'x_csrf_token', 'Host', '_host'])('leaves %s alone', (name) => {
    expect(isLookalike(name)).toBe(false)
  })

  it('knows those of protected names', () => {
    expect(isLookalike('X_User-Name', new Set(['x-user-name']))).toBe(true)
  })
})

describe('acceptsTrailers', () => {
  it.each<[string, boolean]>([
    ['trailers', true],
    ['gzip, Trailers', true],
    ['trailers , deflate;q=0.5', true],
    ['gzip', false],
    ['', false],
    ['nottrailers', false],
  ])('of %j is %j', (value, accepts) => {
    expect(acceptsTrailers(value)).toBe(accepts)
  })
})
