import { expect, vi } from 'vitest'

/** Waits for a claim to come true; rejects with what was wrong with it last. */
export function until(claim: () => void | Promise<void>, timeout = 5_000): Promise<void> {
  return vi.waitFor(claim, { timeout, interval: 2 })
}

/**
 * Waits until a number is above another, and then stays as it is for a while: that nothing moves any more is no event.
 */
export async function stands(number: () => number, above = -1): Promise<void> {
  let before = Number.NaN
  let same = 0
  await until(() => {
    const now = number()
    same = now === before && now > above ? same + 1 : 0
    before = now
    expect(same, `${now} does not stand`).toBeGreaterThan(20)
  }, 10_000)
}
