import { XpsError } from '../errors.ts'

/**
 * Sees to it that a listener refuses a function that makes protocols, where what it makes was meant: `protocol: http`
 * would be accepted else, and fail with the first client. Throws `XPS_INVALID_OPTION` there.
 */
export function mustBeCalled(name: string, factory: (options: never) => unknown): void {
  // Asked by whoever is about to listen; not to be seen in what users read of the function.
  Object.defineProperty(factory, 'listensOn', {
    value: () => {
      throw new XpsError(
        'XPS_INVALID_OPTION',
        `protocol must be what ${name} returns, got ${name} itself: call it: ${name}(...)`,
      )
    },
  })
}
