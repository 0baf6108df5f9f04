// A session of a web framework is an object. Each of its properties is a key of the shared session, with the JSON of its
// value: so two requests that change different properties do not undo each other, and other programs can read them.

/** The properties of a session as JSON, by name. */
export type JsonEntries = ReadonlyMap<string, string>

/** What is kept of a session. Functions, and what has no JSON, are not. */
export function jsonOf(session: object): JsonEntries {
  const entries = new Map<string, string>()
  for (const [name, value] of Object.entries(session)) {
    const json = JSON.stringify(value) as string | undefined
    if (json !== undefined && name !== '__proto__') entries.set(name, json)
  }
  return entries
}

/** The object of which {@link jsonOf} was made. What others have put that is no JSON is a text. */
export function sessionOf(entries: Iterable<readonly [string, string]>): Record<string, unknown> {
  const session: Record<string, unknown> = {}
  for (const [name, json] of entries) if (name !== '__proto__') session[name] = parsedValue(json)
  // The frameworks count on it.
  session['cookie'] ??= {}
  return session
}

/** What became of the properties since they were read: `after` is {@link jsonOf} of the session. */
export function changesOf(
  before: JsonEntries,
  session: object,
  after: JsonEntries,
): { put: [string, string][]; remove: string[] } {
  return {
    put: [...after].filter(([name, json]) => !isJsonOf(before.get(name), json)),
    remove: [...before.keys()].filter((name) => !after.has(name) && !isHidden(session, name)),
  }
}

/** Whether a text says the same as a JSON: that of other programs may be spelled otherwise. */
function isJsonOf(text: string | undefined, json: string): boolean {
  return text === json || (text !== undefined && JSON.stringify(parsedValue(text)) === json)
}

/** A name that the frameworks have in their sessions for something else: nobody sees what others have put there. */
function isHidden(session: object, name: string): boolean {
  return name in session && !Object.prototype.propertyIsEnumerable.call(session, name)
}

/** How long a session may be unused, by its cookie, in milliseconds; undefined if that does not say. */
export function idleOf(session: unknown): number | undefined {
  const { cookie } = session as { cookie?: { originalMaxAge?: unknown } }
  const age = cookie?.originalMaxAge
  return typeof age === 'number' && age > 0 && Number.isFinite(age) ? Math.ceil(age) : undefined
}

/** The value of a JSON; what others have put that is none is a text. */
export function parsedValue(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
