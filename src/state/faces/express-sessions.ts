/** What express-session makes, as far as we touch it. */
interface ExpressSession {
  cookie: ExpressCookie
}

interface ExpressCookie {
  expires?: unknown
  originalMaxAge?: unknown
}

interface Generator {
  generate: (request: object) => void
}

type SessionClass = new (request: object, data: object) => ExpressSession
type CookieClass = new (options: object) => ExpressCookie

/**
 * Makes session objects as the base class of express-session's stores does, without a dependency on it: the classes are
 * those of the session that it generates by the function which it gives to every store.
 */
export class ExpressSessions {
  readonly #store: Generator
  #classes: { Session: SessionClass; Cookie: CookieClass } | undefined

  constructor(store: Generator) {
    this.#store = store
  }

  create(request: object, data: object): object {
    const { Session, Cookie } = this.#know(request)
    const stored = data as ExpressSession
    const { expires, originalMaxAge } = stored.cookie
    const cookie = new Cookie(stored.cookie)
    if (typeof expires === 'string') cookie.expires = new Date(expires)
    // Setting `expires` has made another of it.
    cookie.originalMaxAge = originalMaxAge
    stored.cookie = cookie
    const session = new Session(request, stored)
    Object.assign(request, { session })
    return session
  }

  #know(request: object): { Session: SessionClass; Cookie: CookieClass } {
    if (this.#classes === undefined) {
      const sample = Object.create(request) as { session?: ExpressSession }
      this.#store.generate(sample)
      const session = sample.session as ExpressSession
      this.#classes = {
        Session: session.constructor as SessionClass,
        Cookie: session.cookie.constructor as CookieClass,
      }
    }
    return this.#classes
  }
}
