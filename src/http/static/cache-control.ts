/** Tells for each file what caches may do with it; undefined for nothing. */
export type CacheControl = (file: string) => string | undefined

/**
 * The text for a time in seconds. It does not say `public`: a folder may lie behind a check of who asks, and nothing
 * must make a shared cache keep what was sent to one person.
 */
export function cacheControlFor(maxAge: number, immutable: boolean): string {
  if (maxAge === 0) return 'no-cache'
  return immutable ? `max-age=${maxAge}, immutable` : `max-age=${maxAge}`
}

/** The first pattern that fits a file decides; a file that none fits gets the fallback. */
export function cacheControlBy(table: Readonly<Record<string, string>>, fallback: string | undefined): CacheControl {
  const rules = Object.entries(table).map(([pattern, text]) => ({ fits: expressionOf(pattern), text }))
  return (file) => rules.find((rule) => rule.fits.test(file))?.text ?? fallback
}

/** `*` stands for a part of a name, `**` for anything; a pattern without a slash is about names in any folder. */
function expressionOf(pattern: string): RegExp {
  const path = pattern.replace(/^\//, '')
  const source = path
    .split(/(\*\*?)/)
    .map((part) => (part === '**' ? '.*' : part === '*' ? '[^/]*' : part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')))
    .join('')
  return new RegExp(`${pattern.includes('/') ? '^' : '(?:^|/)'}${source}$`, 's')
}
