import { symlink, utimes } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { ask, Site } from './site.ts'

const day = new Date(Date.UTC(2024, 0, 10, 12, 3, 4))

/** The links of a page, in order, with their texts. */
function links(html: string): [href: string, text: string][] {
  const decode = (text: string): string => text.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)))
  return [...html.matchAll(/<a href="([^"]*)">([^<]*)<\/a>/g)].map(([, href, text]) => [
    decode(href as string),
    decode(text as string),
  ])
}

describe('a listing', () => {
  it('is off unless it is asked for', async () => {
    await using site = await Site.of({ 'a.txt': '' })
    expect((await ask(site.files(), '/')).status).toBe(404)
  })

  it('has folders first, by name with numbers in their order, with size and date', async () => {
    await using site = await Site.of({ 'b10.txt': 'x'.repeat(1234), 'b9.txt': '', 'A.txt': '', 'z/1': '', 'y/1': '' })
    await utimes(site.path('b10.txt'), day, day)
    const reply = await ask(site.files({ listing: true }), '/')
    expect(reply).toMatchObject({ status: 200, headers: { 'content-type': 'text/html; charset=utf-8' } })
    expect(links(reply.text)).toEqual([
      ['./y/', 'y/'],
      ['./z/', 'z/'],
      ['./A.txt', 'A.txt'],
      ['./b9.txt', 'b9.txt'],
      ['./b10.txt', 'b10.txt'],
    ])
    expect(reply.text).toContain('>b10.txt</a><td>1234<td>2024-01-10 12:03:04')
  })

  it('shows the way up in a folder below, and the whole path', async () => {
    await using site = await Site.of({ 'a/b/c.txt': '' })
    const files = site.files({ listing: true })
    const reply = await ask(files, '/a/b/', { base: '/files' })
    expect(links(reply.text)).toEqual([
      ['../', '../'],
      ['./c.txt', 'c.txt'],
    ])
    expect(reply.text).toContain('<title>/files/a/b/</title>')
    expect((await ask(files, '/a', { base: '/files' })).headers['location']).toBe('/files/a/')
    expect((await ask(files, '/', { base: '/files/' })).text).toContain('<title>/files/</title>')
  })

  it('lets no name be anything but a name, and its links lead back to it', async () => {
    const names = [
      '<script>alert(1)<!--',
      '" onmouseover="alert(1)',
      "'><img src=x>",
      'javascript:alert(1)',
      '&amp;',
      '%2e%2e',
      'a?b#c',
      'été 😀',
      ' ',
      '100%',
    ]
    await using site = await Site.of(Object.fromEntries(names.map((name) => [name, name])))
    const files = site.files({ listing: true })
    const { text, headers } = await ask(files, '/')
    expect(text).not.toContain('<script>')
    expect(text).not.toContain('<img')
    expect(text).not.toContain('" onmouseover')
    expect(headers['content-security-policy']).toContain("default-src 'none'")
    expect(headers['x-content-type-options']).toBe('nosniff')
    const found = links(text)
    expect(found.map(([, name]) => name).sort()).toEqual([...names].sort())
    for (const [href, name] of found) {
      expect(href).toMatch(/^\.\/[^/:]*$/)
      const url = new URL(href, 'http://host/')
      expect(url.host).toBe('host')
      expect((await ask(files, url.pathname)).text).toBe(name)
    }
  })

  it('leaves out what cannot be asked for', async () => {
    await using site = await Site.of({
      'a.txt': '',
      '.env': '',
      '.well-known/x': '',
      'back\\slash': '',
      '../secret.txt': '',
      '../other/x': '',
    })
    await symlink('../secret.txt', site.path('out.txt'))
    await symlink('../other', site.path('outdir'))
    await symlink('a.txt', site.path('in.txt'))
    await symlink('nowhere', site.path('dangling'))
    const names = async (options = {}): Promise<string[]> => {
      const { text } = await ask(site.files({ listing: true, ...options }), '/')
      return links(text).map(([, name]) => name)
    }
    expect(await names()).toEqual(['a.txt', 'in.txt'])
    expect(await names({ dotfiles: 'allow' })).toEqual(['.well-known/', '.env', 'a.txt', 'in.txt'])
    expect(await names({ symlinks: true })).toEqual(['outdir/', 'a.txt', 'in.txt', 'out.txt'])
  })

  it('lists no folder out of the root, and no hidden one', async () => {
    await using site = await Site.of({ '../other/x': '', '.git/config': '' })
    await symlink('../other', site.path('outdir'))
    const files = site.files({ listing: true })
    expect((await ask(files, '/outdir/')).status).toBe(403)
    expect((await ask(files, '/outdir')).status).toBe(403)
    expect((await ask(files, '/.git/')).status).toBe(404)
    expect(links((await ask(site.files({ listing: true, symlinks: true }), '/outdir/')).text)).toHaveLength(2)
  })

  it('shows no more than it may, and says so', async () => {
    await using site = await Site.of(Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`${index}`, ''])))
    const some = await ask(site.files({ listing: { maxEntries: 10 } }), '/')
    expect(links(some.text)).toHaveLength(10)
    expect(some.text).toContain('There is more')
    const all = await ask(site.files({ listing: { maxEntries: 30 } }), '/')
    expect(links(all.text)).toHaveLength(30)
    expect(all.text).not.toContain('There is more')
  })

  it('answers HEAD with the length, and gives way to an index', async () => {
    await using site = await Site.of({ 'a.txt': '', 'folder/index.html': 'index', 'empty/x/y': '' })
    const files = site.files({ listing: true })
    const head = await ask(files, '/', { method: 'HEAD' })
    expect(head.answer?.body).toBeUndefined()
    expect(head.headers['content-length']).toBe(String((await ask(files, '/')).body.length))
    expect((await ask(files, '/folder/')).text).toBe('index')
    expect((await ask(files, '/folder/', { method: 'POST' })).status).toBe(405)
  })

  it('shows at once what has come', async () => {
    await using site = await Site.of({ 'a.txt': '' })
    const files = site.files({ listing: true })
    await ask(files, '/')
    await site.write('b.txt', '')
    expect(links((await ask(files, '/')).text)).toHaveLength(2)
  })
})
